"""HEST: the table of hardware error sources, with GHES, GHESv2 and the notification structure.

Sources: ACPI 6.5 18.3.2 (tables 18.2 to 18.15), 5.2.3.2 (Generic Address Structure); ACPICA
source/include/actbl1.h; Linux drivers/acpi/apei/hest.c, apei-base.c.
"""

from enum import IntEnum, IntFlag
from typing import Final, Self

import msgspec

from nodes.spec.layout import (
    Layout,
    Malformed,
    Octets4,
    Octets6,
    Octets8,
    Octets12,
    Octets28,
    Reader,
    layout,
    u8,
    u16,
    u32,
    u64,
)

HEADER_SIZE: Final = 36  # bytes
SOURCE_COUNT_MAX: Final = 65536  # a source id has 16 bits
NO_RELATED_SOURCE: Final = 0xFFFF


class SourceType(IntEnum):
    """Type of a HEST entry."""

    IA32_MACHINE_CHECK = 0
    IA32_CORRECTED = 1
    IA32_NMI = 2
    AER_ROOT_PORT = 6
    AER_ENDPOINT = 7
    AER_BRIDGE = 8
    GHES = 9
    GHES_V2 = 10
    IA32_DEFERRED = 11


class NotificationType(IntEnum):
    """How the operating system is told."""

    POLLED = 0
    EXTERNAL = 1
    LOCAL = 2
    SCI = 3
    NMI = 4
    CMCI = 5
    MCE = 6
    GPIO = 7
    SEA = 8
    SEI = 9
    GSIV = 10
    SDEI = 11
    SSE = 12  # RISC-V; QEMU's header still calls it reserved


class ConfigWrite(IntFlag):
    """Which notification fields the operating system may change."""

    TYPE = 1 << 0
    POLL_INTERVAL = 1 << 1
    SWITCH_TO_POLLING_THRESHOLD = 1 << 2
    SWITCH_TO_POLLING_WINDOW = 1 << 3
    ERROR_THRESHOLD = 1 << 4
    ERROR_THRESHOLD_WINDOW = 1 << 5


class AddressSpace(IntEnum):
    """Space of a Generic Address Structure; Linux's APEI takes these two."""

    SYSTEM_MEMORY = 0
    SYSTEM_IO = 1


@layout(size=12)
class GenericAddress(Layout, frozen=True, gc=False):
    """A register's place: space, width and offset in bits, access size as log2 of bytes plus one."""

    space_id: u8
    bit_width: u8
    bit_offset: u8
    access_width: u8
    address: u64


@layout(size=HEADER_SIZE)
class TableHeader(Layout, frozen=True, gc=False):
    """The head of every ACPI table."""

    signature: Octets4
    length: u32  # bytes, header included
    revision: u8
    checksum: u8  # makes the sum of all bytes 0 modulo 256
    oem_id: Octets6
    oem_table_id: Octets8
    oem_revision: u32
    creator_id: Octets4
    creator_revision: u32


@layout(size=28)
class Notification(Layout, frozen=True, gc=False):
    """Hardware error notification structure."""

    type: u8  # NotificationType
    length: u8 = 28  # bytes
    config_write_enable: u16 = 0  # ConfigWrite
    poll_interval_ms: u32 = 0
    vector: u32 = 0  # GSIV; for SDEI the event number
    switch_to_polling_threshold: u32 = 0
    switch_to_polling_window_ms: u32 = 0
    error_threshold: u32 = 0
    error_threshold_window_ms: u32 = 0


@layout(size=64)
class Ghes(Layout, frozen=True, gc=False):
    """Generic Hardware Error Source (type 9); the first 64 bytes of type 10 are the same."""

    type: u16
    source_id: u16
    related_source_id: u16
    flags: u8
    enabled: u8
    records_to_preallocate: u32
    max_sections_per_record: u32
    max_raw_data_length: u32  # bytes
    error_status_address: Octets12  # GenericAddress of a register that holds the block's address
    notification: Octets28
    error_status_block_length: u32  # bytes


@layout(size=92)
class GhesV2(Layout, frozen=True, gc=False):
    """Generic Hardware Error Source version 2 (type 10): a GHES with a read ack register."""

    type: u16
    source_id: u16
    related_source_id: u16
    flags: u8
    enabled: u8
    records_to_preallocate: u32
    max_sections_per_record: u32
    max_raw_data_length: u32  # bytes
    error_status_address: Octets12  # GenericAddress of a register that holds the block's address
    notification: Octets28
    error_status_block_length: u32  # bytes
    read_ack_register: Octets12  # GenericAddress
    read_ack_preserve: u64
    read_ack_write: u64


class OtherSource(msgspec.Struct, frozen=True, gc=False):
    """An entry that this program does not take apart: its type and all its bytes."""

    type: int
    body: bytes

    def encode(self) -> bytes:
        """The entry's bytes."""
        return self.body


Source = Ghes | GhesV2 | OtherSource

_FIXED_SIZE: Final = {  # bytes
    SourceType.IA32_NMI: 20,
    SourceType.AER_ROOT_PORT: 48,
    SourceType.AER_ENDPOINT: 44,
    SourceType.AER_BRIDGE: 56,
    SourceType.GHES: 64,
    SourceType.GHES_V2: 92,
}
_BANKED: Final = {  # head in bytes, offset of the bank count; 28 bytes a bank
    SourceType.IA32_MACHINE_CHECK: (40, 32),
    SourceType.IA32_CORRECTED: (48, 44),
    SourceType.IA32_DEFERRED: (48, 44),
}
_BANK_SIZE: Final = 28  # bytes
_FIRST_WITH_LENGTH: Final = 12  # from this type on the u16 at offset 2 is the length, ACPI 6.5 18.3.2.11


def _entry_size(reader: Reader) -> int:
    if reader.left() < 4:
        raise reader.refuse(f"error source needs 4 bytes, {reader.left()} are left")
    kind, second = (int.from_bytes(reader.source[reader.at + i : reader.at + i + 2], "little") for i in (0, 2))
    if kind >= _FIRST_WITH_LENGTH:
        if second < 4:
            raise reader.refuse(f"error source of type {kind} with length {second}")
        return second
    if kind in _FIXED_SIZE:
        return _FIXED_SIZE[SourceType(kind)]
    if kind not in _BANKED:
        raise reader.refuse(f"error source type {kind} is reserved")
    head, count_at = _BANKED[SourceType(kind)]
    if reader.left() < head:
        raise reader.refuse(f"error source needs {head} bytes, {reader.left()} are left")
    return head + _BANK_SIZE * reader.source[reader.at + count_at]


def _source(reader: Reader) -> Source:
    entry = reader.take(_entry_size(reader), "error source")
    kind = int.from_bytes(entry[:2], "little")
    if kind == SourceType.GHES:
        return Ghes.decode(entry)
    return GhesV2.decode(entry) if kind == SourceType.GHES_V2 else OtherSource(kind, entry)


def checksum_of(table: bytes, at: int = 9) -> int:
    """The byte that, put at ``at``, makes the sum of ``table`` 0 modulo 256."""
    return -(sum(table) - table[at]) & 0xFF


def with_checksum(table: bytes) -> bytes:
    """An ACPI table with its checksum byte set."""
    return table[:9] + bytes((checksum_of(table),)) + table[10:]


def table_header(source: bytes, signature: bytes) -> TableHeader:
    """The head of an ACPI table of a known kind.

    Raises Malformed for another signature, and for a length below the head's or beyond ``source``. A wrong
    checksum is not refused: Linux warns and goes on.
    """
    header = TableHeader.decode(source)
    if header.signature != signature:
        raise Malformed("TableHeader", 0, f"signature {header.signature!r}, expected {signature!r}")
    if not HEADER_SIZE <= header.length <= len(source):
        raise Malformed("TableHeader", 4, f"length {header.length}, {len(source)} bytes are there")
    return header


class Hest(msgspec.Struct, frozen=True, gc=False):
    """A whole HEST."""

    header: TableHeader
    sources: tuple[Source, ...]

    def encode(self) -> bytes:
        """The table; length and checksum as the header has them."""
        count = len(self.sources).to_bytes(4, "little")
        return self.header.encode() + count + b"".join(source.encode() for source in self.sources)

    @classmethod
    def decode(cls, source: bytes) -> Self:
        """The table at the start of ``source``; Malformed when a length or count lies."""
        header = table_header(source, b"HEST")
        reader = Reader(source[HEADER_SIZE : header.length], "Hest", base=HEADER_SIZE)
        count = int.from_bytes(reader.take(4, "error source count"), "little")
        if count > SOURCE_COUNT_MAX:
            raise Malformed("Hest", HEADER_SIZE, f"{count} error sources, at most {SOURCE_COUNT_MAX}")
        sources = tuple(_source(reader) for _ in range(count))
        if reader.left():
            raise reader.refuse(f"{reader.left()} bytes behind the last error source")
        return cls(header, sources)
