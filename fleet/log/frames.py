"""Files of frames: the form of the file log.

A file begins with a head that says whose it is. A frame is one commit: its length, CRC32C, a checkpoint when it
has one, and for each topic a Kafka RecordBatch (version 2), so that the same bytes could stand in a broker. A
frame that ends early or fails its check at the end of a file was being written when the program stopped; one
before whole frames is corruption.

Sources: the design's section 4, "File log"; Apache Kafka protocol guide, "Record Batch"; RFC 3720 (CRC32C).
"""

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final, NamedTuple

from aiokafka.record.util import calc_crc32c

from fleet.codec import TOPICS
from fleet.log.batches import BATCH_HEAD_SIZE, batch_span, entries_of
from fleet.log.protocol import CorruptLog, Entry
from fleet.manifest import FORMAT
from nodes.spec.layout import Malformed

FILE_MAGIC: Final = b"rasfleet"
FRAME_MAGIC: Final = b"FRM1"
FRAME_SIZE_MAX: Final = 1 << 30  # bytes of a frame's parts, most of them a checkpoint's; a longer one is refused
_FILE_HEAD: Final = struct.Struct("<8sHHHI16s")  # magic, format, content, partition, segment, run
_FILE_CRC: Final = struct.Struct("<I")
_FRAME_HEAD: Final = struct.Struct("<4sII")  # magic, length of the parts in bytes, their CRC32C
_PART_HEAD: Final = struct.Struct("<BI")  # topic's number, length in bytes
FILE_HEAD_SIZE: Final = _FILE_HEAD.size + _FILE_CRC.size
_TOPIC_NUMBER: Final = {topic: number for number, topic in enumerate(TOPICS)}
_CHECKPOINT: Final = 255  # in place of a topic's number; always the first part
COMMANDS, EVENTS = 0, 1  # content of a file


class FileHead(NamedTuple):
    """Whose a file is."""

    content: int
    partition: int
    segment: int
    run: bytes  # 16 bytes that name the run


class Part(NamedTuple):
    """The records of one topic in one frame."""

    topic: str
    batch: bytes


class Frame(NamedTuple):
    """One commit, and where it stands."""

    start: int  # bytes from the start of the file
    parts: tuple[Part, ...]
    checkpoint: bytes | None = None


class Place(NamedTuple):
    """Where a frame stands and what it says it holds, by its heads alone."""

    start: int
    end: int
    records: dict[str, tuple[int, int]]  # topic -> offset of its first record, count
    has_checkpoint: bool


class Damage(NamedTuple):
    """Bytes that are no whole frame."""

    start: int
    end: int
    reason: str
    torn: bool  # at the end of the file: it was being written


def file_head(head: FileHead) -> bytes:
    """The first bytes of a file."""
    packed = _FILE_HEAD.pack(FILE_MAGIC, FORMAT, head.content, head.partition, head.segment, head.run)
    return packed + _FILE_CRC.pack(calc_crc32c(packed))


def read_file_head(stored: bytes, place: str) -> FileHead:
    """The head of a file; CorruptLog when it is no file of ours."""
    if len(stored) < FILE_HEAD_SIZE:
        raise CorruptLog(place, 0, f"{len(stored)} bytes, a file has at least {FILE_HEAD_SIZE}")
    magic, form, content, partition, segment, run = _FILE_HEAD.unpack_from(stored)
    (crc,) = _FILE_CRC.unpack_from(stored, _FILE_HEAD.size)
    if magic != FILE_MAGIC:
        raise CorruptLog(place, 0, f"begins with {magic!r}, expected {FILE_MAGIC!r}")
    if crc != calc_crc32c(stored[: _FILE_HEAD.size]):
        raise CorruptLog(place, 0, "the head fails its checksum")
    if form != FORMAT:
        raise CorruptLog(place, 8, f"format {form}, this program reads {FORMAT}")
    return FileHead(content, partition, segment, run)


def batch_count(part: Part) -> int:
    """How many records a batch says that it holds."""
    return batch_span(part.batch)[1]


def frame_of(batches: Mapping[str, bytes], checkpoint: bytes | None = None) -> bytes:
    """One commit over topics, with the checkpoint that covers it."""
    pieces = [] if checkpoint is None else [_PART_HEAD.pack(_CHECKPOINT, len(checkpoint)), checkpoint]
    for topic, batch in batches.items():
        pieces += (_PART_HEAD.pack(_TOPIC_NUMBER[topic], len(batch)), batch)
    parts = b"".join(pieces)
    assert len(parts) <= FRAME_SIZE_MAX, f"a commit of {len(parts)} bytes"
    return _FRAME_HEAD.pack(FRAME_MAGIC, len(parts), calc_crc32c(parts)) + parts


def _frame(start: int, stored: bytes) -> Frame | None:
    parts = []
    checkpoint = None
    at = 0
    while at < len(stored):
        if len(stored) - at < _PART_HEAD.size:
            return None
        number, length = _PART_HEAD.unpack_from(stored, at)
        at += _PART_HEAD.size
        if length > len(stored) - at:
            return None
        if number == _CHECKPOINT and at == _PART_HEAD.size:
            checkpoint = stored[at : at + length]
        elif number < len(TOPICS) and length >= BATCH_HEAD_SIZE:
            parts.append(Part(TOPICS[number], stored[at : at + length]))
        else:
            return None
        at += length
    return Frame(start, tuple(parts), checkpoint)


def _frame_at(file: BinaryIO, start: int) -> tuple[Frame, int] | str:
    """The frame at ``start`` and its end; why there is none."""
    file.seek(start)
    head = file.read(_FRAME_HEAD.size)
    if len(head) < _FRAME_HEAD.size:
        return f"{len(head)} bytes of a frame's head"
    magic, length, crc = _FRAME_HEAD.unpack(head)
    if magic != FRAME_MAGIC:
        return f"{magic!r} where a frame should begin"
    if length > FRAME_SIZE_MAX:
        return f"a frame of {length} bytes, at most {FRAME_SIZE_MAX}"
    stored = file.read(length)
    if len(stored) < length:
        return f"a frame of {length} bytes of which {len(stored)} are there"
    if calc_crc32c(stored) != crc:
        return "a frame fails its checksum"
    frame = _frame(start, stored)
    if frame is None:
        return "a frame whose parts do not add up"
    return frame, start + _FRAME_HEAD.size + length


def frame_at(file: BinaryIO, start: int) -> Frame | str:
    """The whole frame at ``start``, checked; why there is none."""
    found = _frame_at(file, start)
    return found if isinstance(found, str) else found[0]


def place_at(file: BinaryIO, start: int, end: int) -> Place | None:
    """The frame at ``start`` by its heads; None when it does not lie wholly before ``end``, or is none."""
    file.seek(start)
    head = file.read(_FRAME_HEAD.size)
    if len(head) < _FRAME_HEAD.size:
        return None
    magic, length, _ = _FRAME_HEAD.unpack(head)
    at, stop = start + _FRAME_HEAD.size, start + _FRAME_HEAD.size + length
    if magic != FRAME_MAGIC or stop > end:
        return None
    records: dict[str, tuple[int, int]] = {}
    has_checkpoint = False
    while at < stop:
        file.seek(at)
        read = file.read(_PART_HEAD.size + BATCH_HEAD_SIZE)
        if len(read) < _PART_HEAD.size:
            return None
        number, size = _PART_HEAD.unpack_from(read)
        at += _PART_HEAD.size + size
        if number == _CHECKPOINT:
            has_checkpoint = True
        elif number >= len(TOPICS) or size < BATCH_HEAD_SIZE or at > stop:
            return None
        else:
            records[TOPICS[number]] = batch_span(read[_PART_HEAD.size :])
    return Place(start, stop, records, has_checkpoint)


def _next_frame(file: BinaryIO, start: int, end: int) -> int:
    """Where the next whole frame begins at or after ``start``; ``end`` when there is none."""
    file.seek(start)
    rest = file.read(end - start)
    at = rest.find(FRAME_MAGIC)
    while at >= 0:
        if not isinstance(_frame_at(file, start + at), str):
            return start + at
        at = rest.find(FRAME_MAGIC, at + 1)
    return end


def frames(file: BinaryIO, start: int = FILE_HEAD_SIZE) -> Iterator[Frame | Damage]:
    """Every frame of a file from ``start`` on, and every stretch that is none."""
    end = file.seek(0, 2)
    while start < end:
        found = _frame_at(file, start)
        if isinstance(found, str):
            behind = _next_frame(file, start + 1, end)
            yield Damage(start, behind, found, torn=behind == end)
            start = behind
        else:
            frame, start = found
            yield frame


def entries(part: Part, partition: int, place: str, start: int) -> Iterator[Entry]:
    """The records of a part; CorruptLog when the batch is none."""
    try:
        yield from entries_of(part.batch, part.topic, partition)
    except Malformed as fault:
        raise CorruptLog(place, start, f"in {part.topic}: {fault}") from None
