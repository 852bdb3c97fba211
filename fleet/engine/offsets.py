"""Where the commands stand that a shard counts: on Kafka not every offset has a record."""

from collections import deque
from collections.abc import Iterable

from fleet.log.protocol import Commands, Entry

Run = tuple[int, int]  # count of the commands in front of it, offset of its first one


class Offsets:
    """The offsets of commands by their count. A file log has one run, and both are the same."""

    def __init__(self, runs: Iterable[Run] = ((0, 0),)) -> None:
        self._runs = deque(runs)
        assert self._runs, "there is always a last run"

    def add(self, count: int, offset: int) -> None:
        """Behind so many commands the next one stands at this offset, and further ones follow it."""
        assert offset >= self.of(count), "offsets only go up"
        if offset != self.of(count):
            self._runs.append((count, offset))

    def of(self, count: int) -> int:
        """The offset from which on what comes behind so many commands is found."""
        first, offset = next(run for run in reversed(self._runs) if run[0] <= count)
        return offset + count - first

    def since(self, count: int) -> tuple[Run, ...]:
        """The runs that hold what comes behind so many commands; earlier ones are forgotten."""
        while len(self._runs) > 1 and self._runs[1][0] <= count:
            self._runs.popleft()
        return tuple(self._runs)


def runs_of(entries: Iterable[Entry]) -> list[Commands]:
    """Commands cut wherever an offset is missing."""
    runs: list[Commands] = []
    for entry in entries:
        if not runs or entry.offset != runs[-1].behind:
            runs.append(Commands(entry.offset, [], []))
        runs[-1].values.append(entry.value)
        runs[-1].keys.append(entry.key)
    return runs
