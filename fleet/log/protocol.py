"""What the rest of the fleet asks of a log, whatever keeps it.

A run's log has one topic of commands and three of events, each with the scenario's number of partitions.
Commands are appended, by anyone; the events of one partition are committed together over their topics by its one
writer, and only what was committed is acknowledged. With a commit goes, now and then, a checkpoint: what the
shard has to know to go on from there.

Whoever takes a partition over gets the last checkpoint and the events that stand behind it. It handles the
commands behind the checkpoint once more, and what comes again is compared with what stands there.

Source: the design's section 4.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from fleet.manifest import Manifest, Summary


class Entry(NamedTuple):
    """One record of a topic."""

    topic: str
    partition: int
    offset: int  # position in the partition; of an event the one that it says
    timestamp_ms: int  # real time since 1970
    key: bytes
    value: bytes


Record = tuple[int, bytes, bytes]  # a record to be written: timestamp (ms), key, value


class Written(NamedTuple):
    """One record to be written, by name."""

    timestamp_ms: int
    key: bytes
    value: bytes


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """Where a shard stands: it covers every event that was committed before, and those it is committed with."""

    state: bytes  # of the shard
    hosts: dict[str, bytes]  # snapshot of every host that was ever touched


class Standing(NamedTuple):
    """What whoever takes a partition over finds."""

    checkpoint: Checkpoint | None  # the last one; None: begin at the first command
    behind: Mapping[str, Iterator[Entry]]  # by topic: the events behind it, in order
    said: str = ""  # what was cut off, for people


CHECKPOINTS_MAX: Final = 4  # that are tried; behind so many unusable ones a partition begins at its first command
Unusable = Callable[[Checkpoint], str]  # why a checkpoint cannot be gone on from; empty: it can


def usable(_: Checkpoint) -> str:
    """Whatever it holds."""
    return ""


class LogError(Exception):
    """The log cannot do what was asked: one line that names the place and what to do."""


class Unreachable(LogError):
    """No broker answers."""


class CorruptLog(LogError):
    """What is stored contradicts itself."""

    def __init__(self, place: str, offset: int, reason: str, *, unit: str = "byte") -> None:
        super().__init__(f"{place}: at {unit} {offset}: {reason}")
        self.place = place
        self.offset = offset  # bytes from the start of the file, or records from that of the partition
        self.reason = reason
        self.unit = unit


class Contradiction(LogError):
    """An event that came again is not the one that stands in the log."""


class EventWriter(Protocol):
    """Writes the events of one partition."""

    def take_over(self, unusable: Unusable = usable) -> Standing:  # a plain call: shards are made without a loop
        """Become the partition's writer. Called once, before the first commit. Raises LogError.

        Where checkpoints are unusable, those before them count, or none: then everything comes again.
        """

    async def commit(self, batches: Mapping[str, Sequence[Record]], checkpoint: Checkpoint | None = None) -> None:
        """Append records to topics; returns when all of them are durable.

        Until then each topic may hold a beginning of its records, or, where a log can, none does until all do.
        """

    async def close(self) -> None:
        """Nothing more will be written."""


LOST: Final = b"\xc1"  # in place of a value that cannot be read any more; no MessagePack begins so


class Commands(NamedTuple):
    """Commands that stand one behind the other. One whose bytes are lost has LOST in their place."""

    offset: int  # of the first
    values: list[bytes]
    keys: list[bytes]

    @property
    def behind(self) -> int:
        """The offset behind the last."""
        return self.offset + len(self.values)

    def split(self, offset: int) -> "tuple[Commands, Commands]":
        """Those in front of an offset, and those from it on."""
        at = max(0, offset - self.offset)
        return (
            Commands(self.offset, self.values[:at], self.keys[:at]),
            Commands(self.offset + at, self.values[at:], self.keys[at:]),
        )


class CommandFeed(Protocol):
    """The commands of one partition from an offset on, as they come."""

    async def next(self) -> Commands:
        """Further commands, durable, in order; waits for some. Empty: there will be no more.

        Between two answers offsets may be missing: on Kafka not every offset has a record.
        """

    def finish(self, offset: int) -> None:
        """There will be none at or behind this offset."""

    def stop(self) -> None:
        """No more are wanted."""

    def close(self) -> None:
        """Be done with it."""


class Following(Protocol):
    """Records of one partition as they come."""

    def next(self) -> list[Entry]:
        """Further records; none while there are none. Never waits for some. Raises LogError."""

    def close(self) -> None:
        """Be done with it."""


class Log(Protocol):
    """The log of one run."""

    @property
    def manifest(self) -> Manifest:
        """What the run is."""

    async def append_commands(self, partition: int, commands: Sequence[Record]) -> int:
        """Append commands to a partition; returns the offset behind them when they are durable."""

    def commands_backwards(self, partition: int) -> Iterator[Entry]:
        """The commands that a partition holds, the last one first."""

    def feed(self, partition: int, offset: int) -> CommandFeed:
        """The commands of a partition from an offset on."""

    def writer(self, partition: int) -> EventWriter:
        """The one writer of a partition's events."""

    def read(self, topic: str, partition: int, *, start: int = 0) -> Iterator[Entry]:
        """The records of a partition of a topic from an offset on, in order. Raises CorruptLog at damage."""


class RunLog(Log, Protocol):
    """The log of one run, and how that ended."""

    @property
    def title(self) -> str:
        """What people call it."""

    def lock(self) -> None:
        """Carry the run out. Raises LogError where only one program may, and another one does."""

    def summary(self) -> Summary | None:
        """What the run came to; None while it runs, and after it was cut off."""

    def finish(self, summary: Summary) -> None:
        """Say how the run ended."""

    def unfinish(self) -> None:
        """The run goes on."""

    async def close(self) -> None:
        """Be done with it."""
