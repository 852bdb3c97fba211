"""The segments of one partition, for those who append to them.

    0007-0000.log, 0007-0001.log, ... of partition 7

The first one is made with the run, so one that is not there was deleted.

Whoever appends has the lock of the first segment: a writer of events for as long as it lives, a writer of
commands while it appends. It first looks at what others appended meanwhile, and cuts off a torn end that one of
them left when it was killed. What is whole it synchronises, with its name: whoever wrote it may have been
killed before that, and what is built on it would be on the disk without it. Then it adds whole frames. So a
segment is on the disk before the next one begins, and only the last frame of the last segment may be torn.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from fleet.log.disk import Disk
from fleet.log.frames import (
    COMMANDS,
    EVENTS,
    FILE_HEAD_SIZE,
    Damage,
    FileHead,
    Frame,
    Place,
    entries,
    file_head,
    frame_at,
    frames,
    place_at,
    read_file_head,
)
from fleet.log.protocol import CorruptLog, Entry, LogError
from nodes.events import COMMAND

MISSING: Final = {  # content -> what is said of a file that is gone
    COMMANDS: "the file is missing, and a run cannot go on without its commands",
    EVENTS: "the file is missing",
}
SEGMENT_SIZE_MAX: Final = 256 * 1024 * 1024  # bytes; then the next segment begins


class Found(NamedTuple):
    """A whole frame, and the file it stands in."""

    path: Path
    place: Place


def plain(fault: OSError, path: Path, doing: str) -> LogError:
    """An error of the system as one line."""
    return LogError(f"{path}: cannot {doing}: {fault.strerror or fault}")


def wrong_head(stored: bytes, expected: FileHead, place: str) -> str:
    """Why a file does not belong where it lies; empty when it does."""
    try:
        head = read_file_head(stored, place)
    except CorruptLog as fault:
        return fault.reason
    if head.run != expected.run:
        return "belongs to another run, or the manifest was changed since"
    if head != expected:
        kind = "events" if head.content else "commands"
        return f"holds segment {head.segment} of the {kind} of partition {head.partition}"
    return ""


def never_written(file: BinaryIO, stored: bytes, expected: FileHead) -> bool:
    """Whether a file is what a crash leaves of its first frame: head in part or zeros, and no whole frame.

    ``stored`` is the head as it was read; one that is another by now is being written.
    """
    in_part = all(got in (0, want) for got, want in zip(stored, file_head(expected), strict=False))
    if in_part and not any(isinstance(found, Frame) for found in frames(file)):
        return True
    # Looked at last, and past what the file object keeps: the first frame may have come since.
    return os.pread(file.fileno(), FILE_HEAD_SIZE, 0) != stored


def segment_path(folder: Path, partition: int, segment: int) -> Path:
    """The file of a segment."""
    return folder / f"{partition:04d}-{segment:04d}.log"


def segments_there(folder: Path, partition: int) -> list[int]:
    """The numbers of the segments of a partition that are there, in order."""
    numbers = (path.stem[5:] for path in folder.glob(f"{partition:04d}-*.log"))
    found = {int(number) for number in numbers if number.isascii() and number.isdigit()}
    return sorted(number for number in found if segment_path(folder, partition, number).exists())


def gap_in(numbers: Sequence[int]) -> int | None:
    """The first segment that is missing of those up to the last one that is there, or the first of all."""
    return next((number for number in range(len(numbers) or 1) if number not in numbers), None)


def entries_in(places: Iterable[Found], topic: str, partition: int) -> Iterator[Entry]:
    """The records of a topic in some frames."""
    for path, place in places:
        if topic not in place.records:
            continue
        with path.open("rb") as file:
            frame = frame_at(file, place.start)
        if isinstance(frame, str):
            raise CorruptLog(str(path), place.start, frame)
        for part in frame.parts:
            if part.topic == topic:
                yield from entries(part, partition, str(path), place.start)


class Segments:
    """The files of one partition, and where the last one ends."""

    def __init__(self, folder: Path, head: FileHead, size_max: int, disk: Disk, *, floor: int = 0) -> None:
        self._floor = floor  # commands that somebody acknowledged: what holds them is never cut off
        self._commands = 0  # counted so far
        self._folder = folder
        self._head = head  # of segment 0
        self._size_max = size_max
        self._disk = disk
        self._lock = -1  # descriptor of the first segment
        self._descriptor = -1  # of the last segment
        self._segment = -1  # number of the last one that was looked at
        self._size = 0  # bytes of it that are whole
        self._durable = 0  # bytes of it that were synchronised
        self._is_named = False  # so was its name
        self.said = ""  # what was cut off

    def path(self, segment: int) -> Path:
        """The file of a segment."""
        return segment_path(self._folder, self._head.partition, segment)

    def acquire(self, *, wait: bool) -> None:
        """Take the lock. LogError when another writer has it and ``wait`` is not set."""
        path = self.path(0)
        try:
            if self._lock < 0:
                self._check_there()
                self._lock = self._disk.open(path)
            taken = self._disk.lock(self._lock, wait=wait)
        except OSError as fault:
            raise plain(fault, path, "open") from None
        if not taken:
            raise LogError(f"{path}: another writer has it; one worker at a time writes a partition")

    def _check_there(self) -> None:
        """A file that is gone was deleted. Events alone can be made again, from their beginning."""
        numbers = segments_there(self._folder, self._head.partition)
        gap = gap_in(numbers)
        if gap is None:
            return
        said = MISSING[self._head.content]
        if self._head.content == COMMANDS:
            raise CorruptLog(str(self.path(gap)), 0, said)
        if numbers:
            rest = self._folder / f"{self._head.partition:04d}-*.log"
            raise CorruptLog(str(self.path(gap)), 0, f"{said}; remove {rest} too, and all of it is made again")
        self.said = f"{self.path(gap)}: {said}; its events are made again from their commands"

    def release(self) -> None:
        """Give the lock back; what others append will be looked at."""
        self._disk.unlock(self._lock)

    def catch_up(self) -> Iterator[Found]:
        """The frames that were appended since the last look; a torn end is cut off. Needs the lock."""
        segment = max(self._segment, 0)
        while True:
            yield from self._look_at(segment)
            if not self.path(segment + 1).exists():
                break
            segment += 1
        self._settle(segment)
        if self._commands < self._floor:
            missing = f"{self._commands} commands, the run had {self._floor}"
            raise CorruptLog(str(self.path(segment)), self._size, missing)

    def _settle(self, segment: int) -> None:
        """What was found is on the disk when this returns, whoever wrote it."""
        try:
            if self._size > self._durable:
                self._sync()
                self._durable = self._size
        except OSError as fault:
            raise plain(fault, self.path(segment), "synchronise") from None

    def _sync(self) -> None:
        self._disk.sync(self._descriptor)
        if not self._is_named:
            self._disk.sync_folder(self._folder)
            self._is_named = True

    def _look_at(self, segment: int) -> Iterator[Found]:
        path = self.path(segment)
        try:
            if segment != self._segment:
                self._open(segment)
            with path.open("rb") as file:
                size = file.seek(0, 2)
                if self._size < FILE_HEAD_SIZE:
                    self._check_head(path, file)
                    if self._size < FILE_HEAD_SIZE:
                        return
                while place := place_at(file, self._size, size):
                    last = place.end == size
                    if last and isinstance(frame_at(file, place.start), str):
                        break
                    self._size = place.end
                    self._commands = sum(place.records.get(COMMAND, (self._commands, 0)))
                    yield Found(path, place)
                if self._size < size:
                    self._cut(path, list(frames(file, self._size)), size)
        except OSError as fault:
            raise plain(fault, path, "read") from None

    def _check_head(self, path: Path, file: BinaryIO) -> None:
        """The head of a file: whole, or never written; then it is as if there were no file."""
        expected = self._head._replace(segment=self._segment)
        file.seek(0)
        stored = file.read(FILE_HEAD_SIZE)
        wrong = wrong_head(stored, expected, str(path))
        if not wrong:
            self._size = FILE_HEAD_SIZE
        elif self.path(self._segment + 1).exists() or not never_written(file, stored, expected):
            raise CorruptLog(str(path), 0, wrong)
        elif stored:
            self._disk.cut(self._descriptor, 0)

    def _cut(self, path: Path, rest: list[Frame | Damage], size: int) -> None:
        """What stands behind the last whole frame was being written when its writer ended."""
        damage = rest[0]
        if self._commands < self._floor:
            raise CorruptLog(str(path), self._size, f"{self._commands} commands, the run had {self._floor}")
        if not isinstance(damage, Damage) or len(rest) > 1 or self.path(self._segment + 1).exists():
            reason = damage.reason if isinstance(damage, Damage) else "a frame whose heads do not add up"
            raise CorruptLog(str(path), self._size, reason)
        self._disk.cut(self._descriptor, self._size)
        self.said = (
            f"{path}: at byte {self._size}: {damage.reason}; it was being written, and its "
            f"{size - self._size} bytes were cut off"
        )

    def _open(self, segment: int) -> None:
        self._close_last()
        self._segment = segment
        self._size = self._durable = 0
        self._is_named = False
        self._descriptor = self._disk.open(self.path(segment))

    def _close_last(self) -> None:
        if self._descriptor >= 0:
            self._disk.close(self._descriptor)
            self._descriptor = -1

    def append(self, frame: bytes) -> None:
        """Add a frame; it is on the disk when this returns. Needs the lock and a look. Raises LogError."""
        assert self._descriptor >= 0, "who appends has looked at what is there"
        try:
            if self._size > FILE_HEAD_SIZE and self._size + len(frame) > self._size_max:
                self._open(self._segment + 1)
            if self._size < FILE_HEAD_SIZE:  # one write, so that no frame can be there before the head
                frame = file_head(self._head._replace(segment=self._segment)) + frame
            self._disk.write(self._descriptor, frame)
            self._sync()
        except OSError as fault:
            raise plain(fault, self.path(max(self._segment, 0)), "write") from None
        self._size += len(frame)
        self._durable = self._size

    def close(self) -> None:
        """Be done with the files."""
        self._close_last()
        if self._lock >= 0:
            self._disk.close(self._lock)
            self._lock = -1
        self._segment = -1
