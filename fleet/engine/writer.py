"""The writer of commands: a scenario's plan becomes the run's input, durable before a shard sees it.

It resumes as everything does: the plan is made again, and what a partition holds already is passed over. It is
never far ahead of the shards.

Source: the design's section 4, "Commands are idempotent".
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol, TypeGuard

from fleet.codec import UnknownEvent, decode_any, encode
from fleet.engine.outlet import NS_PER_MS
from fleet.engine.pace import Pace
from fleet.log.protocol import Log, Written
from nodes.actor import PLAN, Roster
from nodes.events import COMMAND, ClockAdvanced, Event
from nodes.events.commands import Command
from nodes.stack.machine import NS_PER_S

AHEAD_MAX: Final = 16_384  # commands that are written and not handled; the writer waits at the bound
ORIGIN: Final = PLAN  # of a plan's commands
CLOCK_NS: Final = 60 * NS_PER_S  # between two advances of the clock
SETTLE_CLOCKS: Final = 2  # of them until reboots and restarts are over too

Commands = Mapping[int, list[Command | ClockAdvanced]]  # by partition, in order


class Source(Protocol):
    """Where a run's commands come from: a scenario's plan, or a recording."""

    epoch_ns: int  # real time of virtual time 0, ns since 1970

    @property
    def roster(self) -> Roster:
        """Which hosts there are."""

    def batches(self) -> Iterator[Commands]:
        """Every command, in order."""


class Planned(NamedTuple):
    """A command of a plan, where it stands."""

    offset: int
    command: Command | ClockAdvanced


class End(NamedTuple):
    """Where the commands of a partition end."""

    offset: int  # behind the last one
    planned: Planned | None  # the last one of the plan


class CommandWriter:
    """Writes a source's commands to a log. ``pace``: delays each until it is due."""

    def __init__(self, log: Log, source: Source, pace: Pace | None = None) -> None:
        self._log = log
        self._source = source
        self.pace = pace
        self._epoch_ms = source.epoch_ns // NS_PER_MS
        self._stopped = False
        self.done = False  # everything is written
        self._there: list[int] = []  # by partition: commands of the plan that it holds
        self.offsets: list[int] = []  # by partition: behind its last command
        self._from_ns = max((last.command.time_ns for last in self._look() if last is not None), default=0)

    def _look(self) -> list[Planned | None]:
        """Where each partition ends; returns the last command of the plan in each."""
        ends = [end_of(self._log, partition) for partition in range(self._log.manifest.partitions)]
        self.offsets = [end.offset for end in ends]
        self._there = [0 if end.planned is None else end.planned.command.n + 1 for end in ends]
        return [end.planned for end in ends]

    @property
    def written(self) -> int:
        """Commands in the log."""
        return sum(self.offsets)

    def stop(self) -> None:
        """Write no more."""
        self._stopped = True
        if self.pace is not None:
            self.pace.stop()

    async def run(self, room: Callable[[int], Awaitable[None]] | None = None) -> bool:
        """Write everything, a batch when there is ``room``; False when it was stopped before. Raises LogError."""
        if self.pace is not None:
            self.pace.begin(self._from_ns)
        for batch in self._source.batches():
            new = {partition: part for partition, all_ in batch.items() if (part := self._new(partition, all_))}
            async for due in self._due(new):
                if due and room is not None:
                    await room(self.written)
                if self._stopped:
                    return False
                await asyncio.gather(*(self._append(partition, commands) for partition, commands in due.items()))
        await self.settle()
        self.done = True
        return True

    async def _due(self, commands: Commands) -> AsyncIterator[Commands]:
        """The commands as they become due."""
        if self.pace is None:
            yield commands
            return
        for time_ns, part in self.pace.ticks(commands):
            await self.pace.until(time_ns)
            yield part

    async def settle(self) -> None:
        """Let the clock go on where commands stand behind its last advance."""
        last = await asyncio.to_thread(self._look)  # a broker may be gone for a while
        if all(
            found is not None and found.offset + 1 == end for found, end in zip(last, self.offsets, strict=True)
        ):
            return
        end_ns = max((found.command.time_ns for found in last if found is not None), default=0)
        for partition, there in enumerate(self._there):
            marks = range(1, SETTLE_CLOCKS + 1)
            await self._append(
                partition, [ClockAdvanced(there + i - 1, "", 0, end_ns + i * CLOCK_NS) for i in marks]
            )

    def _new(self, partition: int, commands: list[Command | ClockAdvanced]) -> list[Command | ClockAdvanced]:
        """Those that the partition does not hold yet."""
        there = self._there[partition]
        if commands and commands[-1].n < there:
            return []
        return [command for command in commands if command.n >= there] if there else commands

    async def _append(self, partition: int, commands: list[Command | ClockAdvanced]) -> None:
        self.offsets[partition] = await self._log.append_commands(
            partition,
            [
                Written(self._epoch_ms + command.time_ns // NS_PER_MS, command.host.encode(), encode(command))
                for command in commands
            ],
        )


def is_planned(command: Event | UnknownEvent) -> TypeGuard[Command | ClockAdvanced]:
    """Whether a command is the plan's, or the clock's."""
    return isinstance(command, ClockAdvanced) or (isinstance(command, Command) and command.origin == ORIGIN)


def end_of(log: Log, partition: int) -> End:
    """The end of a partition. The plan's commands are numbered among themselves, whatever lies between.

    Anything may lie between: a command is the plan's last one when the one before it is there, too.
    """
    offset = -1
    last: Planned | None = None
    for entry in log.commands_backwards(partition):
        offset = max(offset, entry.offset)
        command = decode_any(COMMAND, entry.value)
        if is_planned(command):
            if last is not None and last.command.n == command.n + 1:
                return End(offset + 1, last)
            if last is None or last.command.n != command.n:
                last = Planned(entry.offset, command)
    return End(offset + 1, last if last is not None and last.command.n == 0 else None)
