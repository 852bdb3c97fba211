"""Before a run: what it will come to, and whether the disk holds it."""

import shutil
from pathlib import Path
from typing import Final, NamedTuple

from fleet.engine.estimate import Estimate
from fleet.log.protocol import LogError

US_PER_COMMAND: Final = 80  # of one worker; measured with tests.bench.rates, and another one on another machine
START_S: Final = 1.0  # until the workers are there
KEEP_FREE: Final = 0.02  # of the disk; a run that would leave less is refused
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


class Room(NamedTuple):
    """What a run needs and what there is."""

    estimate: Estimate
    seconds: float
    free_bytes: int
    total_bytes: int

    def told(self) -> str:
        """In a line."""
        return (
            f"about {self.estimate.events:,} events, {size_in_words(self.estimate.size_bytes)}, "
            f"{self.seconds:,.0f} s"
        )

    @property
    def suffices(self) -> bool:
        """Whether the disk holds the run and keeps something free."""
        return self.estimate.size_bytes <= self.free_bytes - KEEP_FREE * self.total_bytes


def room_for(estimate: Estimate, folder: Path, *, workers: int) -> Room:
    """What a run will take of the disk where its folder will be, and of the time of so many workers."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    usage = shutil.disk_usage(there)
    seconds = START_S + estimate.commands * US_PER_COMMAND / 1e6 / workers
    return Room(estimate, seconds, usage.free, usage.total)


def check_room(room: Room, folder: Path) -> None:
    """LogError when the disk will not hold the run."""
    if not room.suffices:
        raise LogError(
            f"{folder}: the run takes about {size_in_words(room.estimate.size_bytes)}, and the disk has "
            f"{size_in_words(room.free_bytes)} left of {size_in_words(room.total_bytes)}; make room, end it "
            "earlier with --until, choose another --out, or go on with --yes"
        )


def size_in_words(size: float) -> str:
    """Bytes in the unit that people would use."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"
