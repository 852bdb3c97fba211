"""Virtual time paced against real time: when the writer of commands may write which.

The pace delays commands and does nothing else, so a run comes to the same bytes at any speed. Commands are written
in ticks of real time, those of a tick together at its end: none comes early, none more than a tick late. A run
that falls behind goes on as fast as it can until it is where it should be.

What a fault sets off later (a timer of its host) comes out with the next command of its partition, or with the
clock, each 60 virtual seconds: to fire it earlier would place it by real time, and a command sent from outside
could not be handled again in the same place.

Source: the design's section 3, "Time".
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

NS_PER_S: Final = 1_000_000_000
TICK_S: Final = 0.05  # real time whose commands are written together
LATE_S: Final = 1.0  # behind the pace, until people are told
SPEED_MAX: Final = 1e9  # virtual seconds in a real one; beyond it is max
UNPACED: Final = "max"
_SPEED: Final = re.compile(r"(\d{1,10}(?:\.\d{1,9})?)x?")


class Timed(Protocol):
    """Something with a virtual time."""

    @property
    def time_ns(self) -> int:
        """When it happens."""


Some = TypeVar("Some", bound=Timed)


class NoSpeed(ValueError):
    """A text that is no speed."""


def speed_of(text: str) -> float | None:
    """Virtual seconds in a real one; None for ``max``: as fast as it goes. Raises NoSpeed."""
    if text == UNPACED:
        return None
    found = _SPEED.fullmatch(text)
    speed = float(found[1]) if found else 0.0
    if not 0 < speed <= SPEED_MAX:
        raise NoSpeed(f'"{text}": expected {UNPACED}, or how many times faster than real time: 1x, 60x, 0.5x')
    return speed


class Pace:
    """Says when commands are due, in the time of the event loop. ``say``: gets a line when they come late."""

    def __init__(self, speed: float, say: Callable[[str], None]) -> None:
        assert speed > 0, "time goes on"
        self.speed = speed
        self._say = say
        self._late = False  # people know
        self._stopping = asyncio.Event()
        self._from_ns = 0
        self._from_s = 0.0

    def begin(self, time_ns: int) -> None:
        """It is this virtual time now."""
        self._from_ns = time_ns
        self._from_s = asyncio.get_running_loop().time()

    def stop(self) -> None:
        """Wait for nothing more."""
        self._stopping.set()

    def ticks(self, commands: Mapping[int, Sequence[Some]]) -> Iterator[tuple[int, dict[int, list[Some]]]]:
        """Commands by the end of the tick that they belong to, in order: virtual time, and those by partition."""
        tick_ns = max(1, round(self.speed * TICK_S * NS_PER_S))
        found: dict[int, dict[int, list[Some]]] = {}
        for partition, part in commands.items():
            for command in part:
                found.setdefault(-(-command.time_ns // tick_ns), {}).setdefault(partition, []).append(command)
        for tick in sorted(found):
            yield tick * tick_ns, found[tick]

    async def until(self, time_ns: int) -> None:
        """Wait for a virtual time, or for a stop."""
        due_s = self._from_s + (time_ns - self._from_ns) / (self.speed * NS_PER_S)
        wait_s = due_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()
            except TimeoutError:
                return
        elif wait_s < -LATE_S and not self._late:
            self._late = True
            self._say(
                f"the run is {-wait_s:.1f} s behind its pace of {self.speed:g}x, and goes on as fast as it can"
            )
