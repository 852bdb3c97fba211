"""What the rest of the fleet asks of a log, whatever keeps it.

A run's log has one topic of commands and three of events, each with the scenario's number of partitions. Commands
are appended; the events of one partition are committed together over their topics, and only what was committed is
acknowledged.

Source: the design's section 4.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from fleet.manifest import Manifest


class Entry(NamedTuple):
    """One record of a topic."""

    topic: str
    partition: int
    offset: int  # position in the partition
    timestamp_ms: int  # real time since 1970
    key: bytes
    value: bytes


class Written(NamedTuple):
    """One record to be written."""

    timestamp_ms: int
    key: bytes
    value: bytes


class LogError(Exception):
    """The log cannot do what was asked: one line that names the place and what to do."""


class CorruptLog(LogError):
    """What is stored contradicts itself."""

    def __init__(self, place: str, offset: int, reason: str) -> None:
        super().__init__(f"{place}: at byte {offset}: {reason}")
        self.place = place
        self.offset = offset  # bytes from the start of the file
        self.reason = reason


class EventWriter(Protocol):
    """Writes the events of one partition."""

    async def commit(self, batches: Mapping[str, Sequence[Written]]) -> None:
        """Append records to topics, all or none of them; returns when they are durable."""

    async def close(self) -> None:
        """Nothing more will be written."""


class Log(Protocol):
    """The log of one run."""

    @property
    def manifest(self) -> Manifest:
        """What the run is."""

    async def append_commands(self, partition: int, commands: Sequence[Written]) -> None:
        """Append commands to a partition; returns when they are durable."""

    def writer(self, partition: int) -> EventWriter:
        """The one writer of a partition's events."""

    def read(self, topic: str, partition: int) -> Iterator[Entry]:
        """The records of a partition of a topic, in order. Raises CorruptLog where they end in damage."""
