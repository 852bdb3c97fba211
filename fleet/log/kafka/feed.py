"""The commands of one partition as they come, and the records of any topic for those who follow a run.

Source: the design's section 4 (commands).
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from fleet.engine.offsets import runs_of
from fleet.log.kafka.loop import Loop
from fleet.log.kafka.positions import Sieve
from fleet.log.kafka.reader import Reader
from fleet.log.protocol import Commands, Entry

POLL_S: Final = 0.2  # of one look: so long may it take until a stop or an end is noticed

GIVEN_MAX: Final = 256  # commands handed out at once


class KafkaFeed:
    """Gives runs of commands without a hole (fleet.log.protocol.CommandFeed)."""

    def __init__(self, loop: Loop, reader: Reader) -> None:
        self._loop = loop
        self._reader = reader
        self._runs: deque[Commands] = deque()  # read, and not handed out
        self._end: int | None = None
        self._stopped = False
        self._behind = reader.position  # offset behind what was handed out

    def finish(self, offset: int) -> None:
        """There will be none at or behind this offset."""
        self._end = offset

    def stop(self) -> None:
        """No more are wanted."""
        self._stopped = True

    async def next(self) -> Commands:
        """Further commands, durable; waits for some. Raises LogError."""
        while not self._stopped:
            if self._runs and (given := self._in_front()).values:
                self._behind = given.behind
                return given
            if self._end is not None and self._reader.position >= self._end:
                break
            for run in runs_of(await self._loop.wait(self._reader.next(POLL_S))):
                self._runs.extend(_cut(run))
        return Commands(self._behind, [], [])

    def _in_front(self) -> Commands:
        """Of the next run what stands in front of the end; the rest stays, the end may be taken back."""
        run = self._runs.popleft()
        if self._end is None or run.behind <= self._end:
            return run
        given, rest = run.split(self._end)
        self._runs.appendleft(rest)
        return given

    def close(self) -> None:
        """Be done with it."""
        self._stopped = True
        self._loop.post(self._reader.close())


def _cut(run: Commands) -> Iterator[Commands]:
    for at in range(0, len(run.values), GIVEN_MAX):
        behind = at + GIVEN_MAX
        yield Commands(run.offset + at, run.values[at:behind], run.keys[at:behind])


class KafkaFollowing:
    """The records of one partition of one topic as they come, each once (fleet.log.protocol.Following)."""

    def __init__(self, loop: Loop, reader: Reader, sieve: Sieve | None) -> None:
        self._loop = loop
        self._reader = reader
        self._sieve = sieve  # of events
        self._end: int | None = None

    def next(self) -> list[Entry]:
        """Further records."""
        found = self._loop.call(self._next())
        return found if self._sieve is None else list(self._sieve.sift(found))

    async def _next(self) -> list[Entry]:
        return await self._reader.next(0.0) if self._end is None else await self._reader.upto(self._end)

    async def find_end(self) -> None:
        """Nothing more will be written: from now on what stands there is waited for. In the loop of the log."""
        self._end = await self._reader.end()

    def close(self) -> None:
        """Be done with it."""
        self._loop.post(self._reader.close())
