"""Every state that a loss of power may leave on a disk, at every point of what was recorded.

What was synchronised is there. Of what was not: a name stands for any of the files that it stood for since its
folder was synchronised, or for none; each write of a file is there, or not, or in part, whatever came before or
behind it. What was not written below a file's end is zeros, and the end may lie as far behind as the writes
reached. A part of a write is its beginning, up to any byte of a short one and to the bounds of sectors and
fields of a long one, or some of its sectors; what is not there of a sector may be garbage too.

Bounds: sectors of 512 bytes; one write is torn at a time, while each other one is wholly there or not at all;
one file is torn at a time. The head of a file is there, or not, or its beginning, but no garbage: nobody could
tell it from a file of something else, which is refused and never cut off. What one write puts behind it in the
same sector is not there without it.
"""

import itertools
import random
from enum import Enum
from typing import NamedTuple

from fleet.log.frames import FILE_HEAD_SIZE
from tests.fleet.log.recording_disk import FOLDER, FolderSynced, Named, Said, Synced, Truncated, Wrote

SECTOR = 512
SHORT = 256  # bytes of a write that is torn at every byte, where that is asked for
FIELDS = (
    1,
    4,
    8,
    11,
    12,
    13,
    17,
    25,
    37,
    38,
    39,
    49,
    50,
    54,
    78,
)  # bytes of a frame up to the end of some field, and around it
PENDING_MAX = 5  # operations on a file between two syncs
NAMES_MAX = 6  # names of which nobody knows what they stand for


class Torn(Enum):
    """At which places a write is torn."""

    EVERY_BYTE = "of a short write; otherwise as BOUNDS"
    BOUNDS = "of sectors and fields"
    HALF = "one place alone: for long stories"


class Crash(NamedTuple):
    """A state, and what was said before it."""

    said: int  # how much of it
    image: dict  # path -> content; None of a folder


class Held:
    """A file: what is on the disk, and what may be."""

    def __init__(self):
        self.content = b""
        self.pending = []

    def sync(self):
        self.content = applied(self.content, [(one, WHOLE) for one in self.pending])
        self.pending = []


WHOLE = None  # of a write: all of it


def applied(content, operations):
    """A file with some operations done to it: each with the patches that are there of it, or WHOLE."""
    stored = bytearray(content)
    for one, patches in operations:
        if isinstance(one, Truncated):
            del stored[one.size :]
            continue
        for at, octets in ((0, one.octets),) if patches is WHOLE else patches:
            start = one.at + at
            stored.extend(bytes(max(0, start - len(stored))))
            stored[start : start + len(octets)] = octets
    return bytes(stored)


def garbage(size):
    return random.Random(size).randbytes(size)


def parts_of(write, torn):
    """What may be there of a write, as patches at places in it."""
    octets, size = write.octets, len(write.octets)
    bounds = [at - write.at for at in range(-(-write.at // SECTOR) * SECTOR, write.at + size, SECTOR)]
    cuts = {*FIELDS, size // 2, size - 1, *(at + near for at in bounds for near in (-1, 0, 1))}
    if torn is Torn.HALF:
        cuts = {size // 2}
    elif torn is Torn.EVERY_BYTE and size <= SHORT:
        cuts = set(range(size))
    cuts = sorted(at for at in cuts if 0 < at < size)
    for at in cuts:
        yield [(0, octets[:at])]
        if write.at + at > FILE_HEAD_SIZE:
            end = min([bound for bound in bounds if bound > at], default=size)
            yield [(at, octets[at:])]
            yield [(0, octets[:at]), (at, garbage(end - at))]
    sectors = [(start, octets[start:end]) for start, end in itertools.pairwise(sorted({0, *bounds, size}))]
    yield from some_of(sectors)


def some_of(sectors):
    """Some of a write's sectors: every choice of a few, and one alone or all but one of many."""
    if len(sectors) <= 4:
        for count in range(1, len(sectors)):
            yield from (list(some) for some in itertools.combinations(sectors, count))
        return
    for at in range(len(sectors)):
        yield sectors[at : at + 1]
        yield sectors[:at] + sectors[at + 1 :]
    yield sectors[::2]


def contents_of(held, torn):
    """Everything that a file may hold."""
    assert len(held.pending) <= PENDING_MAX, held.pending
    found = {}
    for there in itertools.product((True, False), repeat=len(held.pending)):
        chosen = [(one, WHOLE) for one, is_there in zip(held.pending, there, strict=True) if is_there]
        found[applied(held.content, chosen)] = None
    for at, write in enumerate(held.pending):
        if not isinstance(write, Wrote):
            continue
        before = [(one, WHOLE) for one in held.pending[:at]]
        behind = [(one, WHOLE) for one in held.pending[at + 1 :]]
        for part in parts_of(write, torn):
            for first, last in ((before, behind), (before, []), ([], [])):
                found[applied(held.content, [*first, (write, part), *last])] = None
    end = max([len(held.content), *(one.at + len(one.octets) for one in held.pending if isinstance(one, Wrote))])
    for content in list(found):
        found[content + bytes(max(0, end - len(content)))] = None
    return list(found)


class Replay:
    """What may be on the disk as what was recorded goes by."""

    def __init__(self, torn):
        self._torn = torn
        self._names = {}  # path -> files that it may stand for, the last one as it is
        self._files = {}

    def go_on(self, one):
        """One more operation."""
        match one:
            case Named(path, file):
                self._names.setdefault(path, [None]).append(file)
            case Wrote(file) | Truncated(file):
                self._files.setdefault(file, Held()).pending.append(one)
            case Synced(file):
                self._files.setdefault(file, Held()).sync()
            case FolderSynced(folder):
                for path, files in self._names.items():
                    if folder_of(path) == folder:
                        del files[:-1]

    def images(self):
        """Every state of the disk."""
        unsure = [path for path, files in self._names.items() if len(set(files)) > 1]
        assert len(unsure) <= NAMES_MAX, unsure
        for chosen in itertools.product(*(dict.fromkeys(reversed(self._names[path])) for path in unsure)):
            names = {path: files[-1] for path, files in self._names.items()} | dict(
                zip(unsure, chosen, strict=True)
            )
            names = {path: file for path, file in names.items() if file is not None}
            names = {path: file for path, file in names.items() if is_reached(path, names)}
            yield from self._images_of(names)

    def _images_of(self, names):
        files = [file for file in dict.fromkeys(names.values()) if file != FOLDER]
        helds = {file: self._files.get(file, Held()) for file in files}
        torn = [file for file in files if helds[file].pending]
        for done in (True, False):
            others = {
                file: applied(held.content, [(one, WHOLE) for one in held.pending if done])
                for file, held in helds.items()
            }
            yield imaged(names, others)
            for file in torn:
                for content in contents_of(helds[file], self._torn):
                    yield imaged(names, others | {file: content})


def folder_of(path):
    return path.rpartition("/")[0] or "."


def is_reached(path, names):
    """Whether every folder above it is there."""
    folder = folder_of(path)
    return folder == "." or (folder in names and is_reached(folder, names))


def imaged(names, contents):
    return {path: None if file == FOLDER else contents[file] for path, file in names.items()}


def crashes(record, torn):
    """Every state at every point, each only once for what was said before it."""
    replay = Replay(torn)
    seen = set()
    said = 0
    for index, one in enumerate([*record.done, Synced(0)]):  # the end is a point too
        if isinstance(one, Said):
            said += 1
            continue
        if index >= record.began:
            for image in replay.images():
                key = said, tuple(sorted(image.items(), key=lambda item: item[0]))
                if key not in seen:
                    seen.add(key)
                    yield Crash(said, image)
        replay.go_on(one)


def laid_out(image, root):
    """The state as files in a folder."""
    for path, content in sorted(image.items()):
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
    return root
