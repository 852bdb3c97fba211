"""Wires the floors of one host: what one asks of its neighbour, and when."""
