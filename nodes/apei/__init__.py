"""The contract of both boundaries: error source table and error source."""
