"""What people are shown: traces, events by name, a host at a time, what a run came to."""
