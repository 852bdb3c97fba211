"""Many hosts, one log: scenarios, commands, shards, files."""
