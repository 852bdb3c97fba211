"""Checkpoints in a compacted topic: a chain of chunks, and at last a head that says where they are.

    key "7/0/2"  the third chunk of partition 7's checkpoint in slot 0
    key "7/0"    its head: what it covers, the offsets of its chunks, its size and checksum

Two slots in turn: while one is written the other stays whole, compacted or not. A chain without a head was cut
off, and one whose chunks are not what its head says is passed over; then the one before counts.

Source: the design's section 4, "Resume"; Apache Kafka, log compaction.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Final

import msgspec
from aiokafka.record.util import calc_crc32c

from fleet.log.kafka.reader import Reader
from fleet.log.kafka.stream import Stream
from fleet.log.protocol import CHECKPOINTS_MAX, Checkpoint, Entry, Unusable, usable

CHUNK_BYTES: Final = 512 * 1024
FORMAT: Final = 1
WINDOW: Final = 32  # records looked at together when reading backwards, at first
WINDOW_BYTES_MAX: Final = 4 << 20  # of a window's records; one that has more is read in smaller ones
RECORD_BYTES: Final = 300  # about what a record takes besides its key and value
STAMP_MS: Final = 0  # of a checkpoint's records: it has no time of its own


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint covers, and where it is. Fields are only ever appended, with defaults."""

    format: int
    number: int  # of the partition's checkpoints, from 1
    slot: int
    offsets: dict[str, int]  # by topic of events: in Kafka, from which on what it does not cover stands
    positions: dict[str, int]  # and the position of the first of these
    chunks: list[int]  # their offsets
    size: int  # bytes of all chunks
    crc: int  # CRC32C of all chunks


class Checkpoints:
    """The checkpoints of one partition."""

    def __init__(self, partition: int, stream: Stream, reader: Callable[[int], Reader]) -> None:
        self._partition = partition
        self._stream = stream
        self._reader = reader
        self._number = 0  # of the last whole one

    async def put(self, checkpoint: Checkpoint, offsets: dict[str, int], positions: dict[str, int]) -> None:
        """Write a checkpoint; durable, and the last one, when this returns. Raises LogError."""
        stored = msgspec.msgpack.encode(checkpoint)
        number = self._number + 1
        slot = number % 2
        chunks = []
        for index, at in enumerate(range(0, len(stored), CHUNK_BYTES)):
            chunk = stored[at : at + CHUNK_BYTES]
            behind = await self._stream.append([(STAMP_MS, self._key(slot, index), chunk)])
            chunks.append(behind - 1)
        head = Head(FORMAT, number, slot, offsets, positions, chunks, len(stored), calc_crc32c(stored))
        await self._stream.append([(STAMP_MS, self._key(slot), msgspec.msgpack.encode(head))])
        self._number = number

    def _key(self, slot: int, chunk: int = -1) -> bytes:
        return f"{self._partition}/{slot}{f'/{chunk}' if chunk >= 0 else ''}".encode()

    async def last(
        self, ends: Mapping[str, int], unusable: Unusable = usable
    ) -> tuple[Head | None, Checkpoint | None, str]:
        """The last one that can be gone on from, and what is wrong with those behind it. Raises LogError.

        ``ends``: where the topics of events end.
        """
        wrong: list[str] = []
        windows = backwards(self._reader(0))
        try:
            async for entry in _heads(windows):
                found = await self._assembled(entry, ends, unusable)
                if not isinstance(found, str):
                    self._number = found[0].number
                    return *found, "; ".join(wrong)
                wrong.append(f"{entry.topic}, partition {entry.partition}, offset {entry.offset}: {found}")
                if len(wrong) == CHECKPOINTS_MAX:
                    break
        finally:
            await windows.aclose()
        return None, None, "; ".join(wrong)

    async def _assembled(
        self, entry: Entry, ends: Mapping[str, int], unusable: Unusable
    ) -> tuple[Head, Checkpoint] | str:
        """A checkpoint by its head, or what is wrong with it."""
        try:
            head = msgspec.msgpack.decode(entry.value, type=Head)
            if head.format != FORMAT:
                return f"the head of a checkpoint has format {head.format}, this program reads {FORMAT}"
            for topic, end in ends.items():
                if topic not in head.offsets or topic not in head.positions:
                    return f"a checkpoint that says nothing of {topic}"
                if head.offsets[topic] > end:
                    return (
                        f"it covers {topic} up to offset {head.offsets[topic]}, which ends at {end}: "
                        "the broker lost records, and their events are made again"
                    )
            stored = await self._chunks(head, entry.offset)
            if len(stored) != head.size or calc_crc32c(stored) != head.crc:
                return f"a checkpoint of {head.size} bytes that is not whole; the one before it counts"
            checkpoint = msgspec.msgpack.decode(stored, type=Checkpoint)
            return unusable(checkpoint) or (head, checkpoint)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            return f"no checkpoint: {fault}"

    async def _chunks(self, head: Head, end: int) -> bytes:
        if not head.chunks or not 0 <= head.chunks[0] < end:
            return b""
        reader = self._reader(head.chunks[0])
        wanted = set(head.chunks)
        parts = []
        try:
            while part := await reader.upto(min(end, head.chunks[-1] + 1)):
                parts += [found.value for found in part if found.offset in wanted]
        finally:
            await reader.close()
        return b"".join(parts)


async def _heads(windows: AsyncIterator[list[Entry]]) -> AsyncIterator[Entry]:
    async for window in windows:
        for entry in window:
            if entry.key.count(b"/") == 1:
                yield entry
        window.clear()  # before the next one is read


async def backwards(
    reader: Reader, *, window: int = WINDOW, size_max: int = WINDOW_BYTES_MAX
) -> AsyncGenerator[list[Entry], None]:
    """The records of a partition, the last one first; read in windows, and no more of them than are wanted.

    A window grows while records are small, and shrinks where it would hold too much. Whoever is done with one
    clears it before asking for the next: then no two are held.
    """
    try:
        end = await reader.end()
        while end > 0:
            start = max(0, end - window)
            found, size = await _between(reader, start, end, size_max)
            if size > size_max and window > 1:
                window = max(1, min(window, end) // 2)
            else:
                found.reverse()
                yield found
                end = start
                window *= 2 if size <= size_max // 2 else 1
            del found  # before the next one is read
    finally:
        await reader.close()


async def _between(reader: Reader, start: int, end: int, size_max: int) -> tuple[list[Entry], int]:
    """The records between two offsets and their size, as far as these are looked at: up to what is too much."""
    found: list[Entry] = []
    size = 0
    reader.go(start)
    while size <= size_max and (part := await reader.upto(end)):
        size += sum(RECORD_BYTES + len(entry.key) + len(entry.value) for entry in part)
        found += part
    return found, size
