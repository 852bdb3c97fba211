"""The events of a run as they are written, in the order of time.

Each partition says with its watermarks how far it is; what lies before the lowest watermark of all can be told.
The partitions that are furthest behind are read first, so that little waits.

Source: the design's section 3, "Time" (watermarks).
"""

import heapq
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from fleet.codec import TOPICS, UnknownEvent, decode_any
from fleet.log.protocol import Entry, Following
from nodes.events import COMMAND, DEAD_LETTER, ClockAdvanced, Event

AHEAD_MAX: Final = 20_000  # events of a partition that wait for others, before it is read no further
Decoded = tuple[Entry, Event | UnknownEvent]


class Followed(Protocol):
    """A log that can be followed."""

    def is_over(self) -> bool:
        """Whether the run has ended."""

    def following(self, partition: int, topics: Sequence[str]) -> Iterable[Following]:
        """What hands out the records of some topics of a partition as they come."""


class _Stream:
    """What one partition brings."""

    def __init__(self, of: Following, topics: Sequence[str], host: bytes | None) -> None:
        self._of = of
        self._host = host
        self._topics = topics
        self._marks = dict.fromkeys((topic for topic in topics if topic != DEAD_LETTER), -1)
        self.waiting: list[Decoded] = []

    @property
    def mark_ns(self) -> int:
        """Nothing that is still to come is earlier; letters are told as they come."""
        return min(self._marks.values(), default=sys.maxsize)

    def read(self) -> bool:
        """Read on; False when there is nothing."""
        found = self._of.next()
        for entry in found:
            if entry.topic in self._topics:
                event = decode_any(entry.topic, entry.value)
                if isinstance(event, ClockAdvanced):
                    self._marks[entry.topic] = event.time_ns
                if self._host in (None, entry.key):
                    self.waiting.append((entry, event))
        return bool(found)

    def take(self, before_ns: int | None) -> list[Decoded]:
        """What lies before a time, or everything."""
        self.waiting.sort(key=order)
        upto = len(self.waiting)
        if before_ns is not None:
            upto = next((at for at, (_, event) in enumerate(self.waiting) if event.time_ns >= before_ns), upto)
        taken, self.waiting = self.waiting[:upto], self.waiting[upto:]
        return taken

    def close(self) -> None:
        """Be done with it."""
        self._of.close()


def order(pair: Decoded) -> tuple[int, int, str, int, int]:
    """The order in which events are told: by time, then partition, host, sequence and topic."""
    entry, event = pair
    return event.time_ns, entry.partition, event.host, event.sequence, TOPICS.index(entry.topic)


def follow(
    log: Followed, partitions: Sequence[int], topics: Sequence[str], host: str | None, *, pause: Callable[[], None]
) -> Iterator[Decoded]:
    """The events of some topics, until the run is over. ``pause`` is called while nothing comes."""
    key = None if host is None else host.encode()
    commands, events = [of for of in topics if of == COMMAND], [of for of in topics if of != COMMAND]
    streams = [
        _Stream(found, wanted, key)
        for wanted in (commands, events)
        for partition in (partitions if wanted else ())
        for found in log.following(partition, wanted)
    ]
    try:
        while True:
            over = log.is_over()
            moved = _read(streams)
            low_ns = min(stream.mark_ns for stream in streams)
            done = over and not moved
            yield from heapq.merge(*(stream.take(None if done else low_ns) for stream in streams), key=order)
            if done:
                return
            if not moved:
                pause()
    finally:
        for stream in streams:
            stream.close()


def _read(streams: Sequence[_Stream]) -> bool:
    """Read on where it is due: those that are furthest behind, and whoever has little waiting."""
    low_ns = min(stream.mark_ns for stream in streams)
    due = [stream for stream in streams if stream.mark_ns <= low_ns or len(stream.waiting) < AHEAD_MAX]
    moved = [stream.read() for stream in due]
    return any(moved)
