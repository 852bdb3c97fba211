"""What a scenario says: tables and their checks, the hosts it names, its faults, the plan of its commands."""
