"""Reading the files of a partition while they are written: the commands for a shard, the events for people.

A frame that is not whole yet is one that somebody is writing, or was when the machine stopped: the follower waits
for it, or for the one that is written in its place. When something stands behind a frame that fails its check,
nobody will finish it, and that is corruption; so it is where the frame must be there.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from fleet.log.batches import values_of
from fleet.log.disk import DISK, Disk
from fleet.log.frames import FILE_HEAD_SIZE, FileHead, Frame, entries, frame_at, place_at
from fleet.log.protocol import Commands, CorruptLog, Entry
from fleet.log.segments import MISSING, never_written, plain, wrong_head
from nodes.events import COMMAND
from nodes.spec.layout import Malformed

POLL_S: Final = 0.005  # between two looks at a file that has not grown
POLL_MAX_S: Final = 0.1  # they grow to this while nothing comes
READ_FRAMES_MAX: Final = 16  # read at once
PATIENCE: Final = 50  # looks at a frame that fails its check, until it is damage and not being written


class FrameFollower:
    """The frames of one partition, one after another, as far as they are there."""

    def __init__(self, path_of: Callable[[int], Path], head: FileHead, disk: Disk = DISK) -> None:
        self._path_of = path_of
        self._head = head._replace(segment=0)
        self._disk = disk
        self._is_named = False  # the present file's name was synchronised
        self._file: BinaryIO | None = None
        self._at = 0
        self._failed = 0  # looks at the present frame that found it broken
        self.must_be_there = False  # what comes next was acknowledged

    @property
    def path(self) -> Path:
        """The file that is being read."""
        return self._path_of(self._head.segment)

    def skip_to(self, topic: str, offset: int) -> None:
        """Pass over frames that hold nothing of a topic at or behind an offset, by their heads."""
        while self._ready():
            assert self._file is not None
            size = self._file.seek(0, 2)
            place = place_at(self._file, self._at, size)
            if place is None:
                if not self._next_segment():
                    return
                continue
            first, count = place.records.get(topic, (0, 0))
            if first + count > offset:
                return
            self._at = place.end

    def next(self) -> Frame | None:
        """The next frame; None while it is not there. Raises LogError."""
        try:
            while self._ready():
                assert self._file is not None
                found = frame_at(self._file, self._at)
                if isinstance(found, Frame):
                    self._at = self._file.tell()
                    self._failed = 0
                    return found
                if self._next_segment():
                    continue
                self._check_patience(found)
                return None
        except OSError as fault:
            raise plain(fault, self.path, "read") from None
        return None

    def _ready(self) -> bool:
        """Whether a segment is open and its head is there."""
        if self._file is None:
            try:
                self._file = self.path.open("rb", buffering=0)
            except FileNotFoundError:
                raise CorruptLog(str(self.path), 0, MISSING[self._head.content]) from None
            self._at = 0
        if self._at < FILE_HEAD_SIZE:
            self._file.seek(0)
            stored = self._file.read(FILE_HEAD_SIZE) or b""
            wrong = wrong_head(stored, self._head, str(self.path))
            if wrong and never_written(self._file, stored, self._head):
                return False
            if wrong:
                raise CorruptLog(str(self.path), 0, wrong)
            self._at = FILE_HEAD_SIZE
        return True

    def _next_segment(self) -> bool:
        """Go on to the next segment, where this one has been read to its end. True: there is something to read."""
        assert self._file is not None
        following = self._path_of(self._head.segment + 1)
        if not following.exists():
            return False
        if self._at != self._file.seek(0, 2):
            if isinstance(frame_at(self._file, self._at), Frame):
                return True  # written since the last look, and the next segment begun
            raise CorruptLog(str(self.path), self._at, "a frame is broken, and a further segment follows")
        self.close()
        self._head = self._head._replace(segment=self._head.segment + 1)
        return True

    def _check_patience(self, reason: str) -> None:
        """A broken frame with something behind it is not being written, nor is one that must be there."""
        assert self._file is not None
        size = self._file.seek(0, 2)
        whole = place_at(self._file, self._at, size)
        nobody_writes_it = whole is not None and (self.must_be_there or whole.end < size)
        self._failed = self._failed + 1 if nobody_writes_it else 0
        if self._failed > PATIENCE:
            raise CorruptLog(str(self.path), self._at, reason)

    def sync(self) -> None:
        """Whoever wrote what was read may not have said so yet: it is on the disk when this returns.

        Segments before the present one are already: whoever began this one saw to that.
        """
        if self._file is None:
            return
        try:
            self._disk.sync(self._file.fileno())
            if not self._is_named:
                self._disk.sync_folder(self.path.parent)
        except OSError as fault:
            raise plain(fault, self.path, "synchronise") from None
        self._is_named = True

    def close(self) -> None:
        """Be done with the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._is_named = False


class FileFeed:
    """The commands of one partition from an offset on (fleet.log.protocol.CommandFeed)."""

    def __init__(self, frames: FrameFollower, offset: int) -> None:
        self._frames = frames
        self._offset = offset  # of the next command
        self._end: int | None = None
        self._stopped = False
        self._started = False

    def finish(self, offset: int) -> None:
        """There will be none at or behind this offset."""
        self._end = offset
        self._frames.must_be_there = self._offset < offset

    def stop(self) -> None:
        """No more are wanted."""
        self._stopped = True

    async def next(self) -> Commands:
        """Further commands, durable; waits for some. Empty: there will be no more. Raises LogError."""
        pause_s = POLL_S
        while not self._stopped and (self._end is None or self._offset < self._end):
            found = await asyncio.to_thread(self._read)
            if self._end is not None:
                found, _ = found.split(self._end)
            if found.values:
                self._offset = found.behind
                return found
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, POLL_MAX_S)
        return Commands(self._offset, [], [])

    def _read(self) -> Commands:
        if not self._started:
            self._frames.skip_to(COMMAND, self._offset)
            self._started = True
        found = Commands(self._offset, [], [])
        for _ in range(READ_FRAMES_MAX):
            frame = self._frames.next()
            if frame is None:
                break
            for part in frame.parts:
                self._take(found, part.batch, frame.start)
        if found.values:
            self._frames.sync()
        return found

    def _take(self, found: Commands, batch: bytes, start: int) -> None:
        try:
            first, values, keys = values_of(batch)
        except Malformed as fault:
            raise CorruptLog(str(self._frames.path), start, f"in {COMMAND}: {fault}") from None
        before = max(0, self._offset - first)
        found.values.extend(values[before:])
        found.keys.extend(keys[before:])

    def close(self) -> None:
        """Be done with it."""
        self._frames.close()


class FileFollowing:
    """The records of one partition as its frames come (fleet.log.protocol.Following)."""

    def __init__(self, frames: FrameFollower, partition: int, topics: Sequence[str]) -> None:
        self._frames = frames
        self._partition = partition
        self._topics = topics

    def next(self) -> list[Entry]:
        """Those of the next frame that holds some."""
        found: list[Entry] = []
        while not found and (frame := self._frames.next()) is not None:
            for part in frame.parts:
                if part.topic in self._topics:
                    found += entries(part, self._partition, str(self._frames.path), frame.start)
        return found

    def close(self) -> None:
        """Be done with it."""
        self._frames.close()
