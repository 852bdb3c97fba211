"""What a scenario says: its tables and their checks, the hosts that it names, its faults, the plan of its commands."""
