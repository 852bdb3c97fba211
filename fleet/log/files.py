"""The file log: a directory for each run, append-only segments for each partition, commands in files of their own.

    RUN/manifest.json          what the run is; there is a run once it is there
    RUN/commands/0007-0000.log commands of partition 7, appended under a lock
    RUN/events/0007-0000.log   events of partition 7, one frame a commit, some with a checkpoint
    RUN/summary.json           how it ended: digest and counts

The first file of every partition is made before the manifest, so one that is not there was deleted. All of it is
readable while it is written. Source: the design's section 4, "File log".
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from fleet.log.appending import CommandAppender, FileWriter, in_thread
from fleet.log.batches import batch_span
from fleet.log.disk import DISK, Disk
from fleet.log.follow import FileFeed, FileFollowing, FrameFollower
from fleet.log.frames import (
    COMMANDS,
    EVENTS,
    FILE_HEAD_SIZE,
    Damage,
    FileHead,
    Frame,
    batch_count,
    entries,
    frame_at,
    frames,
    place_at,
    read_file_head,
)
from fleet.log.protocol import CorruptLog, Entry, LogError, Record
from fleet.log.segments import (
    MISSING,
    SEGMENT_SIZE_MAX,
    Found,
    Segments,
    entries_in,
    gap_in,
    never_written,
    plain,
    segment_path,
    segments_there,
    wrong_head,
)
from fleet.manifest import FORMAT, Form, Manifest, Summary
from nodes.events import COMMAND

MANIFEST: Final = "manifest.json"
_SUMMARY: Final = "summary.json"
Kept = TypeVar("Kept", Manifest, Summary, Form)
_FOLDERS: Final = {COMMANDS: "commands", EVENTS: "events"}


def _read_json(path: Path, kind: type[Kept]) -> Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as fault:
        raise plain(fault, path, "read") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise CorruptLog(str(path), 0, str(fault)) from None


class FileLog:
    """The log of one run in a directory."""

    def __init__(
        self, folder: Path, manifest: Manifest, *, segment_size_max: int = SEGMENT_SIZE_MAX, disk: Disk = DISK
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._segment_size_max = segment_size_max
        self._disk = disk
        self.run = run_name_of(manifest)  # as the heads of its files have it
        self._commands: dict[int, CommandAppender] = {}
        self._lock = -1
        self._is_named = False  # the manifest's name was synchronised

    @classmethod
    def create(
        cls, folder: Path, manifest: Manifest, *, segment_size_max: int = SEGMENT_SIZE_MAX, disk: Disk = DISK
    ) -> "FileLog":
        """A new run; a folder that holds something is refused."""
        try:
            disk.make_folder(folder)
            if any(folder.iterdir()):
                raise LogError(f"{folder}: holds something already; choose another folder, or remove it")
            for name in _FOLDERS.values():
                disk.make_folder(folder / name)
                disk.make_files(segment_path(folder / name, each, 0) for each in range(manifest.partitions))
        except OSError as fault:
            raise plain(fault, folder, "create") from None
        _put(disk, folder / MANIFEST, manifest)
        log = cls(folder, manifest, segment_size_max=segment_size_max, disk=disk)
        log._is_named = True
        return log

    @classmethod
    def open(cls, folder: Path, *, disk: Disk = DISK) -> "FileLog":
        """A run that is there."""
        if not (folder / MANIFEST).is_file():
            raise LogError(f"{folder}: no run lies here ({MANIFEST} is missing)")
        form = _read_json(folder / MANIFEST, Form).format  # another format may have other fields
        if form != FORMAT:
            raise CorruptLog(str(folder / MANIFEST), 0, f"format {form}, this program reads {FORMAT}")
        return cls(folder, _read_json(folder / MANIFEST, Manifest), disk=disk)

    @property
    def title(self) -> str:
        """What people call this log."""
        return str(self.folder)

    def lock(self) -> None:
        """Be the one program that carries this run out. LogError when another one does."""
        if self._lock >= 0:
            return
        try:
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            taken = self._disk.lock(self._lock, wait=False)
        except OSError as fault:
            raise plain(fault, self.folder, "lock") from None
        if not taken:
            raise LogError(f"{self.folder}: another rasfleet is carrying this run out; wait for it, or end it")

    def summary(self) -> Summary | None:
        """What the run came to; None while it runs, and after it was cut off."""
        if not (self.folder / _SUMMARY).is_file():
            return None
        summary = _read_json(self.folder / _SUMMARY, Summary)
        if any(len(counts) != self.manifest.partitions for counts in summary.counts.values()):
            reason = f"not of a run with {self.manifest.partitions} partitions, as {MANIFEST} says"
            raise CorruptLog(str(self.folder / _SUMMARY), 0, reason)
        return summary

    def finish(self, summary: Summary) -> None:
        """Say how the run ended."""
        _put(self._disk, self.folder / _SUMMARY, summary)

    def unfinish(self) -> None:
        """The run goes on."""
        try:
            self._disk.remove(self.folder / _SUMMARY)
        except OSError as fault:
            raise plain(fault, self.folder / _SUMMARY, "remove") from None

    def _head(self, content: int, partition: int) -> FileHead:
        return FileHead(content, partition, 0, self.run)

    def appending(self, content: int, partition: int) -> Segments:
        """The files of a partition, for one who appends."""
        self._settle()
        floor = 0
        if content == COMMANDS and (summary := self.summary()) is not None:
            floor = summary.counts[COMMAND][partition]
        folder = self.folder / _FOLDERS[content]
        return Segments(folder, self._head(content, partition), self._segment_size_max, self._disk, floor=floor)

    def _settle(self) -> None:
        """Whoever made the run may have been killed before the manifest's name was on the disk."""
        try:
            if not self._is_named:
                self._disk.sync_folder(self.folder)
        except OSError as fault:
            raise plain(fault, self.folder, "synchronise") from None
        self._is_named = True

    def writer(self, partition: int) -> FileWriter:
        """The one writer of a partition's events."""
        return FileWriter(self.appending(EVENTS, partition), partition)

    def commands(self, partition: int) -> CommandAppender:
        """What appends to a partition's commands."""
        appender = self._commands.get(partition)
        if appender is None:
            appender = self._commands[partition] = CommandAppender(self.appending(COMMANDS, partition))
        return appender

    async def append_commands(self, partition: int, commands: Sequence[Record]) -> int:
        """Append commands to a partition; returns the offset behind them when they are on the disk."""
        return await in_thread(self.commands(partition).append, commands)

    def follow(self, content: int, partition: int) -> FrameFollower:
        """The frames of a partition as they are written."""
        folder = self.folder / _FOLDERS[content]
        return FrameFollower(
            lambda segment: segment_path(folder, partition, segment), self._head(content, partition), self._disk
        )

    def feed(self, partition: int, offset: int) -> FileFeed:
        """The commands of a partition from an offset on."""
        return FileFeed(self.follow(COMMANDS, partition), offset)

    def is_over(self) -> bool:
        """Whether the run has ended, as far as is known."""
        return self.summary() is not None

    def following(self, partition: int, topics: Sequence[str]) -> list[FileFollowing]:
        """What hands out the records of some topics of a partition as they come: commands, or events."""
        return [FileFollowing(self.follow(_content(topics[0]), partition), partition, topics)]

    async def close(self) -> None:
        """No more commands will be appended, and another program may carry the run out."""
        for appender in self._commands.values():
            appender.close()
        self._commands.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def path(self, content: int, partition: int) -> Path:
        """The first file of a partition."""
        return segment_path(self.folder / _FOLDERS[content], partition, 0)

    def segments(self, content: int, partition: int) -> list[Path]:
        """The files of a partition, in order; an empty one at the end holds nothing yet."""
        return [path for _, path in self._segments(content, partition)]

    def _segments(self, content: int, partition: int) -> list[tuple[int, Path]]:
        folder = self.folder / _FOLDERS[content]
        numbers = segments_there(folder, partition)
        found = [(number, segment_path(folder, partition, number)) for number in numbers]
        return found[:-1] if found and not found[-1][1].stat().st_size else found

    def runs_in_heads(self) -> set[bytes]:
        """The runs that its files say they belong to."""
        found = set()
        for content in _FOLDERS:
            for partition in range(self.manifest.partitions):
                for path in self.segments(content, partition):
                    with path.open("rb") as file, suppress(CorruptLog):
                        found.add(read_file_head(file.read(FILE_HEAD_SIZE), str(path)).run)
        return found

    def has_its_manifest(self) -> bool:
        """Whether it was not one and the same other manifest that all files were written under."""
        found = self.runs_in_heads()
        return len(found) != 1 or found == {self.run}

    def missing(self, content: int, partition: int) -> Path | None:
        """A file of a partition that was deleted: every one has its first from the beginning on."""
        folder = self.folder / _FOLDERS[content]
        gap = gap_in(segments_there(folder, partition))
        return None if gap is None else segment_path(folder, partition, gap)

    def count(self, topic: str) -> int:
        """How many records a topic holds, in whole frames."""
        return sum(
            batch_count(part)
            for partition in range(self.manifest.partitions)
            for _, found in self.frames(_content(topic), partition)
            if isinstance(found, Frame)
            for part in found.parts
            if part.topic == topic
        )

    def strangers(self) -> list[Path]:
        """Files that no partition of this run has."""
        found = {path for name in _FOLDERS.values() for path in (self.folder / name).glob("*")}
        for name in _FOLDERS.values():
            for partition in range(self.manifest.partitions):
                numbers = segments_there(self.folder / name, partition)
                found -= {segment_path(self.folder / name, partition, number) for number in numbers}
        return sorted(found)

    def frames(self, content: int, partition: int) -> Iterator[tuple[Path, Frame | Damage]]:
        """Every frame of a partition, and every stretch that is none.

        A torn end is one only where somebody may be writing: after a run that ended it is damage, unless it lies
        behind the commands that the run handled.
        """
        there = self._segments(content, partition)
        missing = self.missing(content, partition)
        summary = self.summary()
        handled = 0 if summary is None else summary.counts[COMMAND][partition]
        commands = 0
        for segment, path in there:
            if missing is not None and missing < path:
                yield missing, Damage(0, 0, MISSING[content], torn=False)
                missing = None
            for found in self._frames_of(content, partition, segment, path):
                if isinstance(found, Frame):
                    commands += sum(batch_count(part) for part in found.parts)
                    yield path, found
                else:
                    writable = summary is None or (content == COMMANDS and commands >= handled)
                    yield path, found._replace(torn=found.torn and writable and path == there[-1][1])
        if missing is not None:
            yield missing, Damage(0, 0, MISSING[content], torn=False)

    def _frames_of(self, content: int, partition: int, segment: int, path: Path) -> Iterator[Frame | Damage]:
        expected = self._head(content, partition)._replace(segment=segment)
        try:
            with path.open("rb") as file:
                head = file.read(FILE_HEAD_SIZE)
                wrong = wrong_head(head, expected, str(path))
                if wrong:
                    yield Damage(0, len(head), wrong, never_written(file, head, expected))
                yield from frames(file)
        except OSError as fault:
            raise plain(fault, path, "read") from None

    def read(
        self,
        topic: str,
        partition: int,
        *,
        start: int = 0,
        on_damage: Callable[[Path, Damage], None] | None = None,
    ) -> Iterator[Entry]:
        """The records of a partition of a topic from an offset on; a torn frame at the end is not there yet.

        Damage is passed over and told to ``on_damage``; without it, damage before the end raises CorruptLog.
        """
        following = 0  # offset of the next record; -1: nobody knows, behind damage
        for path, found in self.frames(_content(topic), partition):
            if isinstance(found, Damage):
                _tell(path, found, on_damage)
                following = -1
                continue
            for part in found.parts:
                if part.topic != topic:
                    continue
                first, count = batch_span(part.batch)
                if following not in (-1, first):
                    gap = f"offset {following} of {topic} is missing, {first} stands there"
                    _tell(path, Damage(found.start, found.start, gap, torn=False), on_damage)
                following = first + count
                if following > start:
                    stored = entries(part, partition, str(path), found.start)
                    yield from (entry for entry in stored if entry.offset >= start)

    def commands_backwards(self, partition: int) -> Iterator[Entry]:
        """The commands of a partition that stand in the log, the last one first."""
        for found in reversed(list(self.places(COMMANDS, partition))):
            yield from reversed(list(entries_in([found], COMMAND, partition)))

    def places(self, content: int, partition: int) -> Iterator[Found]:
        """Every whole frame of a partition by its heads; a torn end is not there."""
        if missing := self.missing(content, partition):
            raise CorruptLog(str(missing), 0, MISSING[content])
        for segment, path in self._segments(content, partition):
            expected = self._head(content, partition)._replace(segment=segment)
            with path.open("rb") as file:
                head = file.read(FILE_HEAD_SIZE)
                wrong = wrong_head(head, expected, str(path))
                if wrong and self._is_last(content, partition, segment) and never_written(file, head, expected):
                    return
                if wrong:
                    raise CorruptLog(str(path), 0, wrong)
                at, size = FILE_HEAD_SIZE, file.seek(0, 2)
                while place := place_at(file, at, size):
                    if place.end == size and isinstance(frame_at(file, at), str):
                        break
                    yield Found(path, place)
                    at = place.end

    def _is_last(self, content: int, partition: int, segment: int) -> bool:
        return not segment_path(self.folder / _FOLDERS[content], partition, segment + 1).exists()


def _content(topic: str) -> int:
    return COMMANDS if topic == COMMAND else EVENTS


def _put(disk: Disk, path: Path, content: msgspec.Struct) -> None:
    try:
        disk.put(path, msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    except OSError as fault:
        raise plain(fault, path, "write") from None


def _tell(path: Path, damage: Damage, on_damage: Callable[[Path, Damage], None] | None) -> None:
    if on_damage is not None:
        on_damage(path, damage)
    elif not damage.torn:
        raise CorruptLog(str(path), damage.start, damage.reason)


def run_name_of(manifest: Manifest) -> bytes:
    """Sixteen bytes that name a run in the heads of its files."""
    return blake2b(msgspec.json.encode(manifest), digest_size=16).digest()
