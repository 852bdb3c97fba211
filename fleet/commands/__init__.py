"""The commands of rasfleet, one module each, loaded when called."""
