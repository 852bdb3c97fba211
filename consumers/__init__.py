"""Folds over the log: counting, correlating, exporting. They know of a host only its events."""
