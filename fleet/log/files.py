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
from typing import Final

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
from fleet.manifest import FORMAT, Manifest, Summary
from nodes.events import COMMAND

SEGMENT_SIZE_MAX: Final = 256 * 1024 * 1024  # bytes; then the next segment begins
_MANIFEST: Final = "manifest.json"
_SUMMARY: Final = "summary.json"
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


def _read_json(path: Path, kind: type[Manifest] | type[Summary]) -> Manifest | Summary:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as fault:
        raise _plain(fault, path, "read") from None
    except msgspec.DecodeError as fault:
        raise CorruptLog(str(path), 0, str(fault)) from None


class Appender:
    """Appends frames to the segments of one partition."""

    def __init__(self, folder: Path, head: FileHead) -> None:
        self._folder = folder
        self._head = head
        self._descriptor = -1
        self._size = 0
        self.next_offset = dict.fromkeys(TOPICS, 0)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{self._head.partition:04d}-{segment:04d}.log"

    def _open(self) -> None:
        """Begin the next segment."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._head = self._head._replace(segment=self._head.segment + 1)
        path = self._path(self._head.segment)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogError(f"{path}: another process writes it") from None
        head = file_head(self._head)
        os.write(self._descriptor, head)
        self._size = len(head)
        _sync_folder(self._folder)

    async def commit(self, batches: Mapping[str, Sequence[Written]]) -> None:
        """Append one frame; returns when it is on the disk."""
        stored = {}
        for topic, records in batches.items():
            if records:
                stored[topic] = batch_of(self.next_offset[topic], records)
                self.next_offset[topic] += len(records)
        if not stored:
            return
        frame = frame_of(stored)
        try:
            if self._descriptor < 0 or self._size + len(frame) > SEGMENT_SIZE_MAX:
                self._open()
            await asyncio.to_thread(self._append, frame)
        except OSError as fault:
            raise _plain(fault, self._path(self._head.segment), "write") from None
        self._size += len(frame)

    def _append(self, frame: bytes) -> None:
        left = memoryview(frame)
        while left:
            left = left[os.write(self._descriptor, left) :]
        os.fdatasync(self._descriptor)

    async def close(self) -> None:
        """Nothing more will be written."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FileLog:
    """The log of one run in a directory."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._run = run_name_of(manifest)
        self._commands: dict[int, Appender] = {}

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> "FileLog":
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
        return cls(folder, manifest)

    @classmethod
    def open(cls, folder: Path) -> "FileLog":
        """A run that is there."""
        if not (folder / _MANIFEST).is_file():
            raise LogError(f"{folder}: no run lies here ({_MANIFEST} is missing)")
        manifest = _read_json(folder / _MANIFEST, Manifest)
        assert isinstance(manifest, Manifest)
        if manifest.format != FORMAT:
            raise CorruptLog(str(folder / _MANIFEST), 0, f"format {manifest.format}, this program reads {FORMAT}")
        return cls(folder, manifest)

    def summary(self) -> Summary | None:
        """What the run came to; None while it runs, and after it was cut off."""
        if not (self.folder / _SUMMARY).is_file():
            return None
        summary = _read_json(self.folder / _SUMMARY, Summary)
        assert isinstance(summary, Summary)
        return summary

    def finish(self, summary: Summary) -> None:
        """Say how the run ended."""
        _write_whole(self.folder / _SUMMARY, msgspec.json.format(msgspec.json.encode(summary)) + b"\n")

    def _appender(self, content: int, partition: int) -> Appender:
        return Appender(self.folder / _FOLDERS[content], FileHead(content, partition, 0, self._run))

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
        return sorted((self.folder / _FOLDERS[content]).glob(f"{partition:04d}-*.log"))

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
        """Every frame of a partition, and every stretch that is none."""
        paths = self.segments(content, partition)
        for segment, path in enumerate(paths):
            expected = FileHead(content, partition, segment, self._run)
            try:
                with path.open("rb") as file:
                    wrong = _wrong_head(file.read(FILE_HEAD_SIZE), expected, str(path))
                    if wrong:
                        yield path, Damage(0, FILE_HEAD_SIZE, wrong, torn=False)
                    for found in frames(file):
                        if isinstance(found, Damage) and found.torn and path != paths[-1]:
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
        for path, found in self.frames(COMMANDS if topic == COMMAND else EVENTS, partition):
            if isinstance(found, Damage):
                if on_damage is not None:
                    on_damage(path, found)
                elif not found.torn:
                    raise CorruptLog(str(path), found.start, found.reason)
                continue
            for part in found.parts:
                if part.topic == topic:
                    yield from entries(part, partition, str(path), found.start)


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
