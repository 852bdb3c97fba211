"""Who calls the MM partition, and when it is done: there is one partition, and it serves one call at a time.

A PE that finds it busy spins in EL3 until it is idle; who came first is served first.

Sources: TF-A services/std_svc/spm/spm_mm/spm_mm_main.c spm_mm_sp_call(), sp_state_wait_switch().
"""

from typing import Final

from nodes.el3.section_bodies import Captured

CALL_NS: Final = 60_000  # one call of the MM partition; assumed

Building = tuple[tuple[Captured, int], ...]  # what the partition is to build, each with what it carries
_NOTHING: Final[dict[int, Building]] = {}  # shared, never changed in place


class Partition:
    """The calls of the MM partition that have not returned, by the PE that made them."""

    __slots__ = ("building", "busy_until", "spinning")

    def __init__(self) -> None:
        self.building = _NOTHING
        self.busy_until = 0  # ns; 0 when it is idle
        self.spinning: tuple[int, ...] = ()  # PEs that wait until it is idle

    def call(self, pe: int, building: Building, now: int) -> int:
        """A PE calls for each record; how long it spins until its call begins, ns."""
        assert pe not in self.building, "a PE that is inside the call cannot call again"
        self.building = {**self.building, pe: building}
        begins = max(now, self.busy_until)
        self.busy_until = begins + CALL_NS * len(building)
        if begins > now:
            self.spinning = (*self.spinning, pe)
        return begins - now

    def enter(self, pe: int) -> int:
        """The partition is idle for a PE; how long its call takes, ns."""
        if self.spinning:
            self.spinning = tuple(other for other in self.spinning if other != pe)
        return CALL_NS * len(self.building[pe])

    def returned(self, pe: int) -> Building:
        """The call of a PE returns what was built."""
        built = self.building.get(pe, ())
        self.building = {other: kept for other, kept in self.building.items() if other != pe} or _NOTHING
        if not self.building:
            self.busy_until = 0
        return built

    def reset(self) -> None:
        """Nothing is being built."""
        self.building, self.busy_until, self.spinning = _NOTHING, 0, ()

    def carried(self) -> int:
        """Occurrences between a cleared record and a written block; for the accounting check."""
        return sum(carried for building in self.building.values() for _, carried in building)
