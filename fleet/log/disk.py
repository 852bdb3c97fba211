"""The file system as the file log uses it: a few calls that a test can record and play back.

What the log relies on: what was written to a file is there after ``sync`` of that file, a name after
``sync_folder`` of its folder, and a file that is put in another one's place is there wholly or not at all.
Whatever lies between two of these calls may be lost, in part or in any order.

Source: POSIX fdatasync(), rename(); LWN, "Ensuring data reaches disk" (2011).
"""

import fcntl
import os
from pathlib import Path
from typing import Final

_MODE: Final = 0o644


class Disk:
    """The real one. Every method raises OSError."""

    def make_folder(self, folder: Path) -> None:
        """A new folder."""
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, path: Path) -> int:
        """A file for reading and appending, made when it is not there."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)

    def write(self, descriptor: int, octets: bytes) -> None:
        """Append to a file."""
        left = memoryview(octets)
        while left:
            left = left[os.write(descriptor, left) :]

    def sync(self, descriptor: int) -> None:
        """What a file holds is on the disk when this returns."""
        os.fdatasync(descriptor)

    def cut(self, descriptor: int, size: int) -> None:
        """Cut a file off behind ``size`` bytes."""
        os.ftruncate(descriptor, size)
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Be done with a file; its lock goes with it."""
        os.close(descriptor)

    def put(self, path: Path, content: bytes) -> None:
        """A whole file, there wholly or not at all."""
        scratch = path.with_suffix(".part")
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        self.sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)
        self.sync_folder(path.parent)

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
