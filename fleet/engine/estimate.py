"""About how many events and bytes a run will come to, from what its faults are.

A run whose hosts mask, count, or fall silent differs: an estimate says whether a disk will hold a run, no more.

Source: ``python -m tests.bench.sizes``: 2,000 faults of a kind over 100 hosts with 4 guests and 24 virtual hours,
with the default switches; bytes of the log's files, commands and frames included.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

CLOCK: Final = (3.0, 107.0)  # events and bytes of an advance of the clock in a partition
MEASURED: Final = {  # fault -> events and bytes of one
    "memory-ce": (7.0, 608),
    "memory-de": (8.0, 653),
    "memory-ueo": (10.6, 800),
    "memory-uer": (62.9, 7103),
    "memory-ueu": (11.3, 859),
    "memory-uc": (8.3, 729),
    "cache-ce": (7.0, 606),
    "cache-de": (8.0, 651),
    "cache-ueo": (10.6, 1336),
    "cache-uer": (17.4, 1871),
    "cache-ueu": (10.3, 1337),
    "cache-uc": (8.3, 727),
    "tlb-ce": (7.0, 606),
    "tlb-de": (7.0, 597),
    "tlb-ueo": (8.0, 1189),
    "tlb-uer": (8.0, 1189),
    "tlb-ueu": (10.3, 1337),
    "tlb-uc": (8.3, 727),
    "bus-ce": (7.0, 606),
    "bus-de": (8.0, 651),
    "bus-ueo": (8.0, 1189),
    "bus-uer": (9.0, 1254),
    "bus-ueu": (10.3, 1337),
    "bus-uc": (8.3, 727),
    "pcie-ce": (8.0, 783),
    "pcie-de": (8.0, 783),
    "pcie-ueo": (8.0, 783),
    "pcie-uer": (8.0, 783),
    "pcie-ueu": (9.0, 862),
    "pcie-uc": (9.0, 862),
}
OTHER: Final = (3.0, 300.0)  # events and bytes of a step that injects nothing; assumed


class Estimate(NamedTuple):
    """About what a run will come to."""

    commands: int  # exact
    events: int
    size_bytes: int


def estimate_of(faults: Sequence[tuple[Mapping[str, int], int]], *, others: int, clocks: int) -> Estimate:
    """Of faults by the weights of their kinds and their number, of other steps, and of advances of the clock."""
    events, size_bytes = (CLOCK[part] * clocks + OTHER[part] * others for part in range(2))
    for weights, count in faults:
        whole = sum(weights.values())
        events += count * sum(MEASURED[name][0] * weight for name, weight in weights.items()) / max(1, whole)
        size_bytes += count * sum(MEASURED[name][1] * weight for name, weight in weights.items()) / max(1, whole)
    return Estimate(sum(count for _, count in faults) + others + clocks, round(events), round(size_bytes))
