"""Whether Linux accepts a status block, and how it walks the block's entries.

Linux trusts less than the decoder of nodes.spec.status_block refuses: it adds an entry's head and the length of
its body in 32 bits, so a length just below 4 GiB wraps and the next entry begins inside this one. Everything
here follows that arithmetic. Two things are refused here that Linux does not refuse by itself: entries that end
outside the bytes given (the reader of an error source compares the lengths before), and an entry whose size
wraps to 0, which Linux walks for ever.

Sources: Linux 6.12 drivers/acpi/apei/ghes.c __ghes_check_estatus(); drivers/firmware/efi/cper.c
cper_estatus_check_header(), cper_estatus_check(); include/acpi/ghes.h acpi_hest_get_record_size(),
apei_estatus_for_each_section(). The same in 6.1.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from nodes.spec.layout import Malformed
from nodes.spec.status_block import (
    ENTRY_SIZE_OLD,
    HEAD_SIZE,
    StatusBlock,
    StatusBlockHead,
    block_length,
    entry_head_size,
)

_HEAD: Final = StatusBlockHead.codec
_ENTRY: Final = struct.Struct("<16sIHBBI")  # the start of both heads of a data entry
_HEADS_SIZE: Final = HEAD_SIZE + _ENTRY.size
_BLOCKS_KEPT: Final = 1024  # kinds of blocks whose walk is remembered
_DATA_LENGTH: Final = 3  # index in the head of a block
_DATA_LENGTH_AT: Final = 12  # offset in the head of a block, bytes
_RAW_OFFSET_AT: Final = 4  # offset in the head of a block, bytes


class Entry(NamedTuple):
    """One data entry as Linux finds it."""

    offset: int  # bytes from the start of the block
    section_type: bytes
    severity: int
    revision: int
    validation_bits: int
    flags: int
    body_offset: int  # bytes from the start of the block
    body_length: int  # bytes, as written; may reach beyond the block


def walk(block: bytes) -> Sequence[Entry]:
    """The entries of a block that Linux accepts, in order.

    Raises Malformed where Linux refuses the block.
    """
    return _only_entry(block[:_HEADS_SIZE], len(block)) or _walked(block)


@lru_cache(_BLOCKS_KEPT)
def _only_entry(heads: bytes, size: int) -> tuple[Entry, ...]:
    """The entry of a block that holds one and nothing else, which its heads alone tell; () for any other block."""
    if len(heads) < _HEADS_SIZE or size > StatusBlock.SIZE_MAX:
        return ()
    _, _, raw_length, data_length, _ = _HEAD.unpack_from(heads)
    section_type, severity, revision, validation, flags, length = _ENTRY.unpack_from(heads, HEAD_SIZE)
    head_size = entry_head_size(revision)
    if raw_length or HEAD_SIZE + data_length != size or head_size + length != data_length:
        return ()
    body = HEAD_SIZE + head_size
    return (Entry(HEAD_SIZE, section_type, severity, revision, validation, flags, body, length),)


def _walked(block: bytes) -> list[Entry]:
    data_length = _checked_data_length(block)
    block = copied(block)
    entries: list[Entry] = []
    at, end = HEAD_SIZE, HEAD_SIZE + data_length
    while at < end:
        if end - at < ENTRY_SIZE_OLD:
            raise Malformed("entry", at, f"{end - at} bytes are left for a head")
        section_type, severity, revision, validation, flags, length = _ENTRY.unpack_from(block, at)
        head_size = entry_head_size(revision)
        size = head_size + length & 0xFFFF_FFFF
        if head_size > end - at or size > end - at:
            raise Malformed("entry", at, f"{head_size + length} bytes, {end - at} are left")
        if not size:
            raise Malformed("entry", at, f"body of {length} bytes wraps the entry's size to 0: endless")
        entries.append(Entry(at, section_type, severity, revision, validation, flags, at + head_size, length))
        at += size
    return entries


def _checked_data_length(block: bytes) -> int:
    if len(block) < HEAD_SIZE:
        raise Malformed("block", 0, f"needs {HEAD_SIZE} bytes, {len(block)} are there")
    _, raw_offset, raw_length, data_length, _ = _HEAD.unpack_from(block)
    length = block_length(block)
    if not HEAD_SIZE <= length <= StatusBlock.SIZE_MAX:
        at = _RAW_OFFSET_AT if raw_length else _DATA_LENGTH_AT
        raise Malformed("block", at, f"length {length}, at least {HEAD_SIZE}, at most {StatusBlock.SIZE_MAX}")
    if 0 < data_length < ENTRY_SIZE_OLD:
        raise Malformed("block", _DATA_LENGTH_AT, f"data length {data_length} holds no entry")
    if raw_length and raw_offset < HEAD_SIZE + data_length:
        raise Malformed("block", _RAW_OFFSET_AT, f"raw data at {raw_offset} lies inside the entries")
    if data_length > len(block) - HEAD_SIZE:
        left = len(block) - HEAD_SIZE
        raise Malformed("block", _DATA_LENGTH_AT, f"data length {data_length}, {left} bytes are left")
    return int(data_length)


def copied(block: bytes) -> bytes:
    """What Linux copies of a block whose head it accepts; what the entries need behind that is 0.

    The copy ends with the raw data, even where their offset and length wrap 32 bits and end inside the entries.
    """
    length, entries_end = block_length(block), HEAD_SIZE + _HEAD.unpack_from(block)[_DATA_LENGTH]
    if length == len(block) >= entries_end:
        return block
    return block[:length].ljust(min(len(block), entries_end), b"\0")


def check(block: bytes) -> str | None:
    """Why Linux refuses a block; None when it accepts it."""
    try:
        walk(block)
    except Malformed as fault:
        return str(fault)
    return None
