"""The Generic Error Status Block: what firmware leaves in memory for an operating system.

A block is a head of 20 bytes, data entries back to back, and raw data. A data entry is a head (72 bytes from
revision 0x0300 on, 64 before) and a section body. Lengths decide: the entry count in ``block_status`` is not
used to walk (QEMU writes 0, Linux never looks).

Sources: ACPI 6.5 18.3.2.7.1, tables 18.11 and 18.12; Linux drivers/firmware/efi/cper.c cper_estatus_check(),
include/acpi/ghes.h.
"""

from enum import IntFlag
from typing import ClassVar, Final, Self

import msgspec

from nodes.spec.guid import NIL
from nodes.spec.layout import Guid, Layout, Malformed, Octets8, Reader, Text20, layout, u8, u16, u32

HEAD_SIZE: Final = 20  # bytes
ENTRY_SIZE_OLD: Final = 64  # bytes, revision below 0x0300
ENTRY_SIZE: Final = 72  # bytes
ENTRY_REVISION: Final = 0x0300
NO_TEXT: Final = bytes(20)
NO_TIME: Final = bytes(8)


class BlockStatus(IntFlag):
    """Block status; bits 13:4 hold the entry count. 0 means that the block is free."""

    UNCORRECTED = 1 << 0
    CORRECTED = 1 << 1
    MULTIPLE_UNCORRECTED = 1 << 2
    MULTIPLE_CORRECTED = 1 << 3


ENTRY_COUNT_SHIFT: Final = 4
ENTRY_COUNT_MAX: Final = 0x3FF  # ten bits


class EntryValid(IntFlag):
    """Validation bits of a data entry."""

    FRU_ID = 1 << 0
    FRU_TEXT = 1 << 1
    TIMESTAMP = 1 << 2


class SectionFlag(IntFlag):
    """Flags of a section: a byte in a data entry, a word in a record's section descriptor."""

    PRIMARY = 0x01
    CONTAINMENT_WARNING = 0x02
    RESET = 0x04
    ERROR_THRESHOLD_EXCEEDED = 0x08
    RESOURCE_NOT_ACCESSIBLE = 0x10
    LATENT_ERROR = 0x20
    PROPAGATED = 0x40
    OVERFLOW = 0x80


@layout(size=HEAD_SIZE)
class StatusBlockHead(Layout, frozen=True, gc=False):
    """Head of a status block."""

    block_status: u32
    raw_data_offset: u32  # bytes from the start of the block
    raw_data_length: u32  # bytes
    data_length: u32  # bytes of data entries after this head
    error_severity: u32  # Severity of the worst entry


@layout(size=ENTRY_SIZE_OLD)
class DataEntryHeadOld(Layout, frozen=True, gc=False):
    """Head of a data entry, revision below 0x0300."""

    section_type: Guid
    error_severity: u32
    revision: u16
    validation_bits: u8
    flags: u8
    error_data_length: u32  # bytes of section body after this head
    fru_id: Guid
    fru_text: Text20


@layout(size=ENTRY_SIZE)
class DataEntryHead(Layout, frozen=True, gc=False):
    """Head of a data entry, revision 0x0300 and later."""

    section_type: Guid
    error_severity: u32
    revision: u16
    validation_bits: u8
    flags: u8
    error_data_length: u32  # bytes of section body after this head
    fru_id: Guid
    fru_text: Text20
    timestamp: Octets8  # BCD, nodes.spec.timestamp


class DataEntry(msgspec.Struct, frozen=True, gc=False):
    """One section with what stands before it: type, severity, FRU, time."""

    section_type: bytes
    error_severity: int  # Severity
    body: bytes
    flags: int = 0  # SectionFlag
    validation_bits: int = 0  # EntryValid
    revision: int = ENTRY_REVISION
    fru_id: bytes = NIL
    fru_text: bytes = NO_TEXT
    timestamp: bytes = NO_TIME  # not stored below revision 0x0300

    @property
    def head_size(self) -> int:
        """Bytes before the body: decided by the revision's major number."""
        return entry_head_size(self.revision)

    def encode(self) -> bytes:
        """Head and body as they lie in memory."""
        common = (
            self.section_type,
            self.error_severity,
            self.revision,
            self.validation_bits,
            self.flags,
            len(self.body),
            self.fru_id,
            self.fru_text,
        )
        if self.head_size == ENTRY_SIZE_OLD:
            return DataEntryHeadOld.codec.pack(*common) + self.body
        return DataEntryHead.codec.pack(*common, self.timestamp) + self.body

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The next entry of a block; Malformed when its length lies."""
        start = reader.at
        if reader.left() < ENTRY_SIZE_OLD:
            raise reader.refuse(f"data entry needs {ENTRY_SIZE_OLD} bytes, {reader.left()} are left")
        revision = int.from_bytes(reader.source[start + 20 : start + 22], "little")
        head: DataEntryHeadOld | DataEntryHead
        if entry_head_size(revision) == ENTRY_SIZE_OLD:
            head, timestamp = reader.take_layout(DataEntryHeadOld), NO_TIME
        else:
            head = reader.take_layout(DataEntryHead)
            timestamp = head.timestamp
        return cls(
            section_type=head.section_type,
            error_severity=head.error_severity,
            body=reader.take(head.error_data_length, "section body"),
            flags=head.flags,
            validation_bits=head.validation_bits,
            revision=revision,
            fru_id=head.fru_id,
            fru_text=head.fru_text,
            timestamp=timestamp,
        )


class StatusBlock(msgspec.Struct, frozen=True, gc=False):
    """A whole status block.

    ``raw_data_offset`` counts from the start of the block and stands as written even when ``raw`` is empty.
    """

    block_status: int
    error_severity: int
    entries: tuple[DataEntry, ...]
    raw: bytes = b""
    raw_data_offset: int = 0

    SIZE_MAX: ClassVar[int] = 65536  # bytes; Linux clips a source's block length there

    def encode(self) -> bytes:
        """Head, entries, and raw data at its offset (the gap before it filled with 0)."""
        entries = b"".join(entry.encode() for entry in self.entries)
        head = StatusBlockHead(
            self.block_status, self.raw_data_offset, len(self.raw), len(entries), self.error_severity
        )
        block = head.encode() + entries
        return block.ljust(self.raw_data_offset, b"\0") + self.raw if self.raw else block

    @classmethod
    def decode(cls, source: bytes, offset: int = 0) -> Self:
        """The block at ``offset`` of ``source``, which may go on behind it.

        Raises Malformed where Linux refuses the block, and for raw data outside ``source``.
        """
        head = StatusBlockHead.decode(source, offset)
        if 0 < head.data_length < ENTRY_SIZE_OLD:
            raise Malformed("StatusBlock", offset + 12, f"data length {head.data_length} holds no entry")
        end = HEAD_SIZE + head.data_length
        if offset + end > len(source):
            raise Malformed(
                "StatusBlock",
                offset + 12,
                f"data length {head.data_length}, {len(source) - offset - HEAD_SIZE} bytes are left",
            )
        reader = Reader(source[offset + HEAD_SIZE : offset + end], "StatusBlock", base=offset + HEAD_SIZE)
        entries = []
        while reader.left():
            entries.append(DataEntry.read(reader))
        return cls(
            block_status=head.block_status,
            error_severity=head.error_severity,
            entries=tuple(entries),
            raw=_raw_data(source, offset, head),
            raw_data_offset=head.raw_data_offset,
        )


def _raw_data(source: bytes, offset: int, head: StatusBlockHead) -> bytes:
    if not head.raw_data_length:
        return b""
    if head.raw_data_offset < HEAD_SIZE + head.data_length:
        raise Malformed("StatusBlock", offset + 4, f"raw data at {head.raw_data_offset} lies inside the entries")
    start = offset + head.raw_data_offset
    if start + head.raw_data_length > len(source):
        raise Malformed("StatusBlock", offset + 8, f"raw data of {head.raw_data_length} bytes ends outside")
    return bytes(source[start : start + head.raw_data_length])


def entry_head_size(revision: int) -> int:
    """Bytes of a data entry's head: 72 with a timestamp from major revision 3 on, 64 before."""
    return ENTRY_SIZE if revision >> 8 >= 3 else ENTRY_SIZE_OLD


def block_length(block: bytes) -> int:
    """Bytes that a block takes, as Linux computes it (cper_estatus_len); the head must be there."""
    _, raw_offset, raw_length, data_length, _ = StatusBlockHead.codec.unpack_from(block)
    length: int = raw_offset + raw_length if raw_length else HEAD_SIZE + data_length
    return length & 0xFFFF_FFFF
