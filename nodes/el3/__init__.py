"""Firmware at EL3 and its MM partition: classify, probe, clear, build the record, notify."""
