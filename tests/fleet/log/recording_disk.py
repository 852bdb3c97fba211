"""A disk that does everything for real in a folder, and records what is done to it, in order.

Several processes may share it, each with a ``RecordingDisk`` of its own: one can be killed in front of any of
its operations, or in the middle of a write. What it wrote before stays, as it does where only a process ends;
nothing of it need be on the disk when the power fails later. Nothing is really synchronised: a replayed crash
loses more.
"""

import os
import threading
from typing import NamedTuple

from fleet.log.disk import Disk

FOLDER = -1  # in place of a file's number


class Named(NamedTuple):
    """A name in a folder stands for a file from now on, or for none."""

    path: str
    file: int | None


class Wrote(NamedTuple):
    """Bytes of a file."""

    file: int
    at: int
    octets: bytes


class Truncated(NamedTuple):
    file: int
    size: int


class Synced(NamedTuple):
    file: int


class FolderSynced(NamedTuple):
    path: str


class Said(NamedTuple):
    """What whoever uses the disk says: what was tried or acknowledged up to here."""

    what: object


class Killed(Exception):
    """The process is gone."""


class Record:
    """What was done to the files of a folder, from a state where all of it was on the disk."""

    def __init__(self, root):
        self.root = root
        self.done = []
        self.lock = threading.RLock()
        self._numbers = {}  # (device, inode) -> number of the file
        self._count = 0
        for path in sorted(root.rglob("*")):
            name = self.name(path)
            self.add(Named(name, FOLDER if path.is_dir() else self.new_file(path)))
            if path.is_file():
                self.add(Wrote(self._count, 0, path.read_bytes()))
                self.add(Synced(self._count))
        for folder in {path.parent for path in root.rglob("*")}:
            self.add(FolderSynced(self.name(folder)))
        self.began = len(self.done)  # what came before is on the disk

    def name(self, path):
        return str(path.relative_to(self.root))

    def add(self, one):
        self.done.append(one)

    def say(self, what):
        with self.lock:
            self.add(Said(what))

    def new_file(self, path):
        self._count += 1
        found = path.stat()
        self._numbers[found.st_dev, found.st_ino] = self._count
        return self._count

    def file(self, stat):
        return self._numbers[stat.st_dev, stat.st_ino]

    def process(self, **dies):
        """A process that uses the disk."""
        return RecordingDisk(self, **dies)


class RecordingDisk(Disk):
    """The disk of one process. ``kill_at``: before so many of its operations; ``half``: a write is begun then."""

    def __init__(self, record, *, kill_at=None, half=False):
        self.record = record
        self.operations = 0
        self._kill_at = kill_at
        self._half = half
        self._open = set()

    @property
    def killed(self):
        return self._kill_at is not None and self.operations > self._kill_at

    def kill_in(self, operations):
        """Kill it after so many further operations; None: not at all."""
        self._kill_at = None if operations is None else self.operations + operations

    def _step(self, *, may_be_half=False):
        """One more operation; True when it is the last thing that happens, in part."""
        self._raise_if_gone()
        self.operations += 1
        if self.killed and not (may_be_half and self._half):
            self._end()
        return self.killed

    def _end(self):
        """The process ends: its files are closed, its locks are free."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        raise Killed

    def make_name(self, folder):
        with self.record.lock:
            self._step()
            there = folder.exists()
            super().make_name(folder)
            if not there:
                self.record.add(Named(self.record.name(folder), FOLDER))

    def open(self, path):
        with self.record.lock:
            self._step()
            there = path.exists()
            descriptor = super().open(path)
            self._open.add(descriptor)
            if not there:
                self.record.add(Named(self.record.name(path), self.record.new_file(path)))
            return descriptor

    def write(self, descriptor, octets):
        with self.record.lock:
            in_part = self._step(may_be_half=True)
            octets = bytes(octets[: len(octets) // 2] if in_part else octets)
            found = os.fstat(descriptor)
            self.record.add(Wrote(self.record.file(found), found.st_size, octets))
            super().write(descriptor, octets)
            if in_part:
                self._end()

    def truncate(self, descriptor, size):
        with self.record.lock:
            self._step()
            found = os.fstat(descriptor)
            if found.st_size > size:
                self.record.add(Truncated(self.record.file(found), size))
            super().truncate(descriptor, size)

    def sync(self, descriptor):
        with self.record.lock:
            self._step()
            self.record.add(Synced(self.record.file(os.fstat(descriptor))))

    def close(self, descriptor):
        if descriptor in self._open:
            self._open.remove(descriptor)
            super().close(descriptor)

    def rename(self, path, target):
        with self.record.lock:
            self._step()
            file = self.record.file(path.stat())
            super().rename(path, target)
            self.record.add(Named(self.record.name(target), file))
            self.record.add(Named(self.record.name(path), None))

    def unlink(self, path):
        with self.record.lock:
            self._step()
            if path.exists():
                self.record.add(Named(self.record.name(path), None))
            super().unlink(path)

    def sync_folder(self, folder):
        with self.record.lock:
            self._step()
            self.record.add(FolderSynced(self.record.name(folder)))

    def lock(self, descriptor, *, wait):
        self._raise_if_gone()
        return super().lock(descriptor, wait=wait)

    def unlock(self, descriptor):
        self._raise_if_gone()
        super().unlock(descriptor)

    def _raise_if_gone(self):
        if self.killed:
            raise Killed
