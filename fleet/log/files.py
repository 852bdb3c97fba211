"""The file log: a directory for each run, append-only segments for each partition, commands in files of their own.

    RUN/manifest.json        what the run is, written first
    RUN/commands/07-0000.log commands of partition 7, appended under a lock
    RUN/events/07-0000.log   events of partition 7, one frame a commit
    RUN/summary.json         how it ended: digest and counts

Readable while it is written. Source: the design's section 4, "File log".
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from fleet.codec import TOPICS
from fleet.log.batches import batch_of
from fleet.log.frames import (
    COMMANDS,
    EVENTS,
    FILE_HEAD_SIZE,
    Damage,
    FileHead,
    Frame,
    batch_count,
    entries,
    file_head,
    frame_of,
    frames,
    read_file_head,
)
from fleet.log.protocol import CorruptLog, Entry, LogError, Written
from fleet.manifest import FORMAT, Form, Manifest, Summary
from nodes.events import COMMAND

SEGMENT_SIZE_MAX: Final = 256 * 1024 * 1024  # bytes; then the next segment begins
_MANIFEST: Final = "manifest.json"
_SUMMARY: Final = "summary.json"
Kept = TypeVar("Kept", Manifest, Summary, Form)
_FOLDERS: Final = {COMMANDS: "commands", EVENTS: "events"}


def _plain(fault: OSError, path: Path, doing: str) -> LogError:
    return LogError(f"{path}: cannot {doing}: {fault.strerror or fault}")


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there wholly or not at all."""
    scratch = path.with_suffix(".part")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        _sync_folder(path.parent)
    except OSError as fault:
        raise _plain(fault, path, "write") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_json(path: Path, kind: type[Kept]) -> Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as fault:
        raise _plain(fault, path, "read") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise CorruptLog(str(path), 0, str(fault)) from None


class Appender:
    """Appends frames to the segments of one partition. After a failure it writes nothing more."""

    def __init__(self, folder: Path, head: FileHead, segment_size_max: int = SEGMENT_SIZE_MAX) -> None:
        self._folder = folder
        self._head = head
        self._segment_size_max = segment_size_max
        self._descriptor = -1
        self._size = 0
        self._failed = False
        self.next_offset = dict.fromkeys(TOPICS, 0)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{self._head.partition:04d}-{segment:04d}.log"

    def _open(self) -> None:
        """Begin the next segment."""
        if self._descriptor >= 0:
            self._close()
            self._head = self._head._replace(segment=self._head.segment + 1)
        path = self._path(self._head.segment)
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileExistsError, BlockingIOError):
            raise LogError(f"{path}: another writer has it; a run's files are written once") from None
        head = file_head(self._head)
        self._write(head)
        self._size = len(head)
        _sync_folder(self._folder)

    async def commit(self, batches: Mapping[str, Sequence[Written]]) -> None:
        """Append one frame; returns when it is on the disk."""
        if self._failed:
            raise LogError(f"{self._path(self._head.segment)}: writing failed before, so nothing more is written")
        stored = {
            topic: batch_of(self.next_offset[topic], records) for topic, records in batches.items() if records
        }
        if stored:
            self._failed = True  # unless what follows comes to its end
            await self._store(frame_of(stored))
            self._failed = False
        for topic, records in batches.items():
            self.next_offset[topic] += len(records)

    async def _store(self, frame: bytes) -> None:
        """Write a frame. One who is cancelled waits all the same: the thread at work has the descriptor."""
        try:
            if self._descriptor < 0 or self._size + len(frame) > self._segment_size_max:
                self._open()
            writing = asyncio.ensure_future(asyncio.to_thread(self._append, frame))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait({writing})
                writing.exception()  # nobody is left to be told
                raise
        except OSError as fault:
            raise _plain(fault, self._path(self._head.segment), "write") from None
        self._size += len(frame)

    def _append(self, frame: bytes) -> None:
        self._write(frame)
        os.fdatasync(self._descriptor)

    def _write(self, octets: bytes) -> None:
        left = memoryview(octets)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    async def close(self) -> None:
        """Nothing more will be written."""
        if self._descriptor >= 0:
            self._close()


class FileLog:
    """The log of one run in a directory."""

    def __init__(self, folder: Path, manifest: Manifest, *, segment_size_max: int = SEGMENT_SIZE_MAX) -> None:
        self.folder = folder
        self.manifest = manifest
        self._segment_size_max = segment_size_max
        self._run = run_name_of(manifest)
        self._commands: dict[int, Appender] = {}

    @classmethod
    def create(cls, folder: Path, manifest: Manifest, *, segment_size_max: int = SEGMENT_SIZE_MAX) -> "FileLog":
        """A new run; a folder that holds something is refused."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise LogError(f"{folder}: holds something already; choose another --out or remove it")
            for name in _FOLDERS.values():
                (folder / name).mkdir()
        except OSError as fault:
            raise _plain(fault, folder, "create") from None
        _write_whole(folder / _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        return cls(folder, manifest, segment_size_max=segment_size_max)

    @classmethod
    def open(cls, folder: Path) -> "FileLog":
        """A run that is there."""
        if not (folder / _MANIFEST).is_file():
            raise LogError(f"{folder}: no run lies here ({_MANIFEST} is missing)")
        form = _read_json(folder / _MANIFEST, Form).format  # another format may have other fields
        if form != FORMAT:
            raise CorruptLog(str(folder / _MANIFEST), 0, f"format {form}, this program reads {FORMAT}")
        return cls(folder, _read_json(folder / _MANIFEST, Manifest))

    def summary(self) -> Summary | None:
        """What the run came to; None while it runs, and after it was cut off."""
        if not (self.folder / _SUMMARY).is_file():
            return None
        return _read_json(self.folder / _SUMMARY, Summary)

    def finish(self, summary: Summary) -> None:
        """Say how the run ended."""
        _write_whole(self.folder / _SUMMARY, msgspec.json.format(msgspec.json.encode(summary)) + b"\n")

    def _appender(self, content: int, partition: int) -> Appender:
        head = FileHead(content, partition, 0, self._run)
        return Appender(self.folder / _FOLDERS[content], head, self._segment_size_max)

    def writer(self, partition: int) -> Appender:
        """The one writer of a partition's events."""
        return self._appender(EVENTS, partition)

    async def append_commands(self, partition: int, commands: Sequence[Written]) -> None:
        """Append commands to a partition; returns when they are on the disk."""
        appender = self._commands.get(partition)
        if appender is None:
            appender = self._commands[partition] = self._appender(COMMANDS, partition)
        await appender.commit({COMMAND: commands})

    async def close(self) -> None:
        """No more commands will be appended."""
        for appender in self._commands.values():
            await appender.close()
        self._commands.clear()

    def segments(self, content: int, partition: int) -> list[Path]:
        """The files of a partition, in order."""
        found = (self.folder / _FOLDERS[content]).glob(f"{partition:04d}-*.log")
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def count(self, topic: str) -> int:
        """How many records a topic holds, in whole frames."""
        content = COMMANDS if topic == COMMAND else EVENTS
        return sum(
            batch_count(part)
            for partition in range(self.manifest.partitions)
            for _, found in self.frames(content, partition)
            if isinstance(found, Frame)
            for part in found.parts
            if part.topic == topic
        )

    def strangers(self) -> list[Path]:
        """Files that no partition of this run has."""
        found = {path for name in _FOLDERS.values() for path in (self.folder / name).glob("*")}
        for content in _FOLDERS:
            for partition in range(self.manifest.partitions):
                found -= set(self.segments(content, partition))
        return sorted(found)

    def frames(self, content: int, partition: int) -> Iterator[tuple[Path, Frame | Damage]]:
        """Every frame of a partition, and every stretch that is none.

        A torn end is one only where a run was cut off: after a run that ended it is damage.
        """
        paths = self.segments(content, partition)
        cut_off = not (self.folder / _SUMMARY).is_file()
        for segment, path in enumerate(paths):
            expected = FileHead(content, partition, segment, self._run)
            try:
                with path.open("rb") as file:
                    head = file.read(FILE_HEAD_SIZE)
                    wrong = _wrong_head(head, expected, str(path))
                    if wrong:
                        torn = cut_off and path == paths[-1] and file_head(expected).startswith(head)
                        yield path, Damage(0, len(head), wrong, torn)
                    for found in frames(file):
                        if isinstance(found, Damage) and found.torn and not (cut_off and path == paths[-1]):
                            yield path, found._replace(torn=False)
                        else:
                            yield path, found
            except OSError as fault:
                raise _plain(fault, path, "read") from None

    def read(
        self, topic: str, partition: int, *, on_damage: Callable[[Path, Damage], None] | None = None
    ) -> Iterator[Entry]:
        """The records of a partition of a topic, in order; a torn frame at the end is not there yet.

        Damage is passed over and told to ``on_damage``; without it, damage before the end raises CorruptLog.
        """
        following = 0  # offset of the next record; -1: nobody knows, behind damage
        for path, found in self.frames(COMMANDS if topic == COMMAND else EVENTS, partition):
            if isinstance(found, Damage):
                _tell(path, found, on_damage)
                following = -1
                continue
            stored = [
                entry
                for part in found.parts
                if part.topic == topic
                for entry in entries(part, partition, str(path), found.start)
            ]
            if stored and following not in (-1, stored[0].offset):
                gap = f"offset {following} of {topic} is missing, {stored[0].offset} stands there"
                _tell(path, Damage(found.start, found.start, gap, torn=False), on_damage)
            following = stored[-1].offset + 1 if stored else following
            yield from stored


def _tell(path: Path, damage: Damage, on_damage: Callable[[Path, Damage], None] | None) -> None:
    if on_damage is not None:
        on_damage(path, damage)
    elif not damage.torn:
        raise CorruptLog(str(path), damage.start, damage.reason)


def _wrong_head(stored: bytes, expected: FileHead, place: str) -> str:
    """Why a file does not belong where it lies; empty when it does."""
    try:
        head = read_file_head(stored, place)
    except CorruptLog as fault:
        return fault.reason
    if head.run != expected.run:
        return "belongs to another run"
    if head != expected:
        kind = "commands" if head.content == COMMANDS else "events"
        return f"holds segment {head.segment} of the {kind} of partition {head.partition}"
    return ""


def run_name_of(manifest: Manifest) -> bytes:
    """Sixteen bytes that name a run in the heads of its files."""
    return blake2b(msgspec.json.encode(manifest), digest_size=16).digest()
