"""The file system as the file log uses it: a few calls that a test can record and play back.

What the log relies on: what was written to a file is there after ``sync`` of that file, a name after
``sync_folder`` of its folder, and a file that is put in another one's place is there wholly or not at all.
Whatever lies between two of these calls may be lost, in part or in any order.

Source: POSIX fdatasync(), rename(); LWN, "Ensuring data reaches disk" (2011).
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MODE: Final = 0o644


class Disk:
    """The real one: what the log asks for, made of the few calls that change something. All raise OSError."""

    def make_folder(self, folder: Path) -> None:
        """A folder and those above it: there, with their names on the disk."""
        missing = [each for each in folder.parents if not each.exists()]
        for each in (*reversed(missing), folder):
            self.make_name(each)
            self.sync_folder(each.parent)

    def make_files(self, paths: Iterable[Path]) -> None:
        """Empty files of one folder: there, with their names on the disk."""
        for path in paths:
            self.close(self.open(path))
        self.sync_folder(path.parent)

    def cut(self, descriptor: int, size: int) -> None:
        """Cut a file off behind ``size`` bytes, on the disk too."""
        self.truncate(descriptor, size)
        self.sync(descriptor)

    def put(self, path: Path, content: bytes) -> None:
        """A whole file in the place of what was there: wholly or not at all."""
        scratch = path.with_suffix(".part")
        descriptor = self.open(scratch)
        try:
            self.truncate(descriptor, 0)  # what a crash left
            self.write(descriptor, content)
            self.sync(descriptor)
        finally:
            self.close(descriptor)
        self.rename(scratch, path)
        self.sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        self.unlink(path)
        self.sync_folder(path.parent)

    def make_name(self, folder: Path) -> None:
        """A folder, unless it is there."""
        folder.mkdir(exist_ok=True)

    def open(self, path: Path) -> int:
        """A file for reading and appending, made when it is not there."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)

    def write(self, descriptor: int, octets: bytes) -> None:
        """Append to a file."""
        left = memoryview(octets)
        while left:
            left = left[os.write(descriptor, left) :]

    def truncate(self, descriptor: int, size: int) -> None:
        """A file ends behind ``size`` bytes."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """What a file holds is on the disk when this returns."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Be done with a file; its lock goes with it."""
        os.close(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        """Put a file in another one's place."""
        path.replace(target)

    def unlink(self, path: Path) -> None:
        """A name is gone."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """The names in a folder are on the disk when this returns."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, descriptor: int, *, wait: bool) -> bool:
        """Lock a file or folder against other processes; False when another one has it and ``wait`` is not set."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, descriptor: int) -> None:
        """Give a lock back."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


DISK: Final = Disk()
