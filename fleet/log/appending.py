"""Those who append to the file log: the writer of a partition's events, and whoever appends to its commands.

Source: the design's section 4, "File log".
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from fleet.codec import TOPICS
from fleet.log.batches import batch_of
from fleet.log.frames import frame_at, frame_of
from fleet.log.protocol import (
    CHECKPOINTS_MAX,
    Checkpoint,
    CorruptLog,
    LogError,
    Record,
    Standing,
    Unusable,
    usable,
)
from fleet.log.segments import Found, Segments, entries_in
from nodes.events import COMMAND, SHARD_TOPICS

Done = TypeVar("Done")


class FileWriter:
    """Appends the events of one partition, a frame a commit. After a failure it writes nothing more."""

    def __init__(self, segments: Segments, partition: int) -> None:
        self._segments = segments
        self._partition = partition
        self._next = dict.fromkeys(TOPICS, 0)
        self._taken_over = False
        self._failed = False

    def take_over(self, unusable: Unusable = usable) -> Standing:
        """Lock the partition, cut a torn end off, and find the last checkpoint with what stands behind it."""
        assert not self._taken_over, "a partition is taken over once"
        self._taken_over = True
        self._segments.acquire(wait=False)
        found = list(self._segments.catch_up())
        for _, place in found:
            for topic, (first, count) in place.records.items():
                self._next[topic] = first + count
        start, checkpoint, wrong = self._last(found, unusable)
        streams = {topic: entries_in(found[start:], topic, self._partition) for topic in SHARD_TOPICS}
        return Standing(checkpoint, streams, "; ".join(filter(None, (self._segments.said, *wrong))))

    def _last(self, found: list[Found], unusable: Unusable) -> tuple[int, Checkpoint | None, list[str]]:
        """The last checkpoint, behind which frame it stands, and what is wrong with those that came later."""
        wrong: list[str] = []
        for index in reversed(range(len(found))):
            if found[index].place.has_checkpoint:
                checkpoint = self._checkpoint(found[index])
                reason = unusable(checkpoint)
                if not reason:
                    return index + 1, checkpoint, wrong
                wrong.append(f"{found[index].path}, byte {found[index].place.start}: {reason}")
                if len(wrong) == CHECKPOINTS_MAX:
                    break
        return 0, None, wrong

    def _checkpoint(self, found: Found) -> Checkpoint:
        with found.path.open("rb") as file:
            frame = frame_at(file, found.place.start)
        if isinstance(frame, str):
            raise CorruptLog(str(found.path), found.place.start, frame)
        assert frame.checkpoint is not None, "its heads say so"
        try:
            return msgspec.msgpack.decode(frame.checkpoint, type=Checkpoint)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise CorruptLog(str(found.path), found.place.start, f"its checkpoint: {fault}") from None

    async def commit(self, batches: Mapping[str, Sequence[Record]], checkpoint: Checkpoint | None = None) -> None:
        """Append one frame; returns when it is on the disk."""
        if not self._taken_over:
            self.take_over()
        if self._failed:
            raise LogError(f"{self._segments.path(0)}: writing failed before, so nothing more is written")
        if not any(batches.values()) and checkpoint is None:
            return
        self._failed = True  # unless what follows comes to its end
        await in_thread(self._store, batches, checkpoint)
        self._failed = False

    def _store(self, batches: Mapping[str, Sequence[Record]], checkpoint: Checkpoint | None) -> None:
        stored = {topic: batch_of(self._next[topic], records) for topic, records in batches.items() if records}
        self._segments.append(frame_of(stored, None if checkpoint is None else msgspec.msgpack.encode(checkpoint)))
        for topic, records in batches.items():
            self._next[topic] += len(records)

    async def close(self) -> None:
        """Nothing more will be written."""
        self._segments.close()


class CommandAppender:
    """Appends to the commands of one partition, in turn with other processes that do."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self.next = 0  # offset of the next command

    def append(self, commands: Sequence[Record]) -> int:
        """Append commands; returns the offset behind them when they are on the disk."""
        return self.append_made(lambda _: commands)

    def append_made(self, make: Callable[[int], Sequence[Record]]) -> int:
        """Append what is made for the offset where it will stand; returns the offset behind it."""
        with self._locked():
            commands = make(self.next)
            if commands:
                self._segments.append(frame_of({COMMAND: batch_of(self.next, commands)}))
                self.next += len(commands)
            return self.next

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else appends meanwhile, and what others appended before is counted."""
        self._segments.acquire(wait=True)
        try:
            for _, place in self._segments.catch_up():
                first, count = place.records.get(COMMAND, (self.next, 0))
                self.next = first + count
            yield
        finally:
            self._segments.release()

    @property
    def said(self) -> str:
        """What was cut off."""
        return self._segments.said

    def close(self) -> None:
        """Be done with it."""
        self._segments.close()


async def in_thread(work: Callable[..., Done], *given: object) -> Done:
    """Do something in a thread. One who is cancelled waits all the same: the thread at work has the files."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        working.exception()  # nobody is left to be told
        raise
