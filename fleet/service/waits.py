"""How long something took, counted by how long: for a histogram."""

from bisect import bisect_left
from collections import Counter
from math import inf
from typing import Final

# Upper bounds of the buckets, in real time: prometheus_client's own.
WAITS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)


class Waits:
    """Pieces of real time: how many there were of each length, and all of them together."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()  # by place in WAITS_S
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(WAITS_S, seconds)] += 1
        self.seconds += seconds
