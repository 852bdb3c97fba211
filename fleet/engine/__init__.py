"""Carrying a run out: the writer of commands, shards, workers and who watches them, on files and on Kafka."""
