"""Where events and commands are kept."""
