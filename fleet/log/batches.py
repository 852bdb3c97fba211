"""Kafka's RecordBatch, version 2: written with aiokafka's builder, read here.

aiokafka's reader believes the lengths in a batch, and ends the process on some that lie; a log may come from
anywhere, so every length is checked against what is there. Only what ``batch_of`` writes is read: no compression,
no headers, no producer.

Source: Apache Kafka protocol guide, "Record Batch".
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from fleet.log.protocol import Entry, Record
from nodes.spec.layout import Malformed

BATCH_SIZE_MAX: Final = 1 << 30  # bytes; the builder's own limit never comes first
# Base offset, length, leader epoch, magic, CRC32C; attributes, last offset delta, first timestamp, max timestamp,
# producer id, producer epoch, base sequence, record count.
_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
BATCH_HEAD_SIZE: Final = _HEAD.size
_BASE_OFFSET: Final = struct.Struct(">q")  # the first field, outside the CRC
_LENGTH_FROM: Final = 12  # bytes of the head that its length does not count
_CRC_FROM: Final = 21  # bytes of the head that its CRC does not cover
_MAGIC: Final = 2
_VARINT_BITS_MAX: Final = 63  # shift of the last byte of a varint


def batch_of(base_offset: int, records: Sequence[Record]) -> bytes:
    """A RecordBatch of these records, the first at ``base_offset``; uncompressed, without a producer."""
    assert records, "a batch holds at least one record"
    builder = DefaultRecordBatchBuilder(_MAGIC, 0, 0, -1, -1, -1, BATCH_SIZE_MAX)
    append = builder.append
    for index, (timestamp_ms, key, value) in enumerate(records):
        append(index, timestamp_ms, key, value, [])
    batch = builder.build()
    _BASE_OFFSET.pack_into(batch, 0, base_offset)
    return bytes(batch)


def batch_span(head: bytes) -> tuple[int, int]:
    """Offset of the first record and count of records, as the head of a batch says."""
    base, _, _, _, _, _, _, _, _, _, _, _, count = _HEAD.unpack_from(head)
    return base, count


def entries_of(batch: bytes, topic: str, partition: int) -> Iterator[Entry]:
    """The records of a batch. Raises Malformed."""
    offset, first_ms, count = _checked_head(batch)
    at = BATCH_HEAD_SIZE
    for index in range(count):
        size, at = _varint(batch, at)
        end = at + size
        delta_ms, at = _varint(batch, at + 1)  # behind the attributes, of which there are none
        number, at = _varint(batch, at)
        if number != index:
            raise Malformed("record batch", at, f"record {index} says that it is {number}")
        key, at = _octets(batch, at)
        value, at = _octets(batch, at)
        headers, at = _varint(batch, at)
        if headers or at != end:
            raise Malformed("record batch", at, f"record {index} does not fill its {size} bytes")
        yield Entry(topic, partition, offset + index, first_ms + delta_ms, key, value)
    if at != len(batch):
        raise Malformed("record batch", at, f"{len(batch) - at} bytes behind the last of {count} records")


def values_of(batch: bytes) -> tuple[int, list[bytes], list[bytes]]:
    """Offset of the first record, the values and the keys; as ``entries_of`` reads them. Raises Malformed."""
    offset, _, count = _checked_head(batch)
    values, keys = [], []
    at = BATCH_HEAD_SIZE
    try:
        for _ in range(count):
            key, value, at = _pair_at(batch, at)
            values.append(value)
            keys.append(key)
    except IndexError:
        raise Malformed("record batch", len(batch), f"record {len(values)} of {count} is not all there") from None
    if at != len(batch):
        raise Malformed("record batch", at, f"{len(batch) - at} bytes behind the last of {count} records")
    return offset, values, keys


def _pair_at(batch: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Key and value of a record and where the next one begins; IndexError behind the batch's end.

    Numbers of one byte are read in place, since nearly all are.
    """
    start = at
    size = batch[at]
    size, at = (size >> 1, at + 1) if size < 0x80 else _varint(batch, at)
    behind = at + size
    at += 1  # the attributes, of which there are none
    while batch[at] >= 0x80:  # the time
        at += 1
    at += 1
    while batch[at] >= 0x80:  # the number in the batch
        at += 1
    at += 1
    size = batch[at]
    size, at = (size >> 1, at + 1) if size < 0x80 else _varint(batch, at)
    key = batch[at : at + max(size, 0)]
    at += len(key)
    size = batch[at]
    size, at = (size >> 1, at + 1) if size < 0x80 else _varint(batch, at)
    if size < 0 or at + size + 1 != behind or batch[behind - 1]:
        raise Malformed("record batch", start, "a record does not fill its bytes")
    return key, batch[at : at + size], behind


def _checked_head(batch: bytes) -> tuple[int, int, int]:
    """Base offset, first timestamp in ms, count of records."""
    if len(batch) < BATCH_HEAD_SIZE:
        raise Malformed("record batch", 0, f"{len(batch)} bytes, a batch has at least {BATCH_HEAD_SIZE}")
    base, length, _, magic, crc, attributes, last, first_ms, _, _, _, _, count = _HEAD.unpack_from(batch)
    if length != len(batch) - _LENGTH_FROM:
        raise Malformed("record batch", 8, f"length {length} in {len(batch)} bytes")
    if magic != _MAGIC:
        raise Malformed("record batch", 16, f"version {magic}, expected {_MAGIC}")
    if crc != calc_crc32c(batch[_CRC_FROM:]):
        raise Malformed("record batch", 17, "the checksum is wrong")
    if attributes or last != count - 1:
        raise Malformed(
            "record batch", _CRC_FROM, f"attributes {attributes:#x}, {count} records, the last is {last}"
        )
    return base, first_ms, count


def _varint(batch: bytes, at: int) -> tuple[int, int]:
    """A signed number of variable length, and where the next field begins."""
    word = shift = 0
    while at < len(batch) and shift <= _VARINT_BITS_MAX:
        octet = batch[at]
        at += 1
        if octet < 0x80:
            word |= octet << shift
            return word >> 1 ^ -(word & 1), at
        word |= (octet & 0x7F) << shift
        shift += 7
    raise Malformed("record batch", at, "a number that does not end")


def _octets(batch: bytes, at: int) -> tuple[bytes, int]:
    size, at = _varint(batch, at)
    end = at + size
    if not at <= end <= len(batch):
        raise Malformed("record batch", at, f"{size} bytes of which {len(batch) - at} are there")
    return batch[at:end], end
