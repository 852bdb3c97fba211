"""Many hosts, one log: scenarios, commands, shards, files."""

__version__ = "0.1.0"
