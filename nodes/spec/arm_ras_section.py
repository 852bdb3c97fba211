"""Arm RAS section: the error records themselves, register by register.

Sources: Arm DEN0085 (RAS ACPI), revision 1, as openbmc/libcper include/libcper/sections/cper-section-arm-ras.h
has it. libcper's own example carries an IP type that it does not decode.
"""

from enum import IntEnum
from typing import Final, Self

import msgspec

from nodes.spec.guid import guid
from nodes.spec.layout import (
    Guid,
    Layout,
    Malformed,
    Octets3,
    Octets6,
    Octets16,
    Octets24,
    layout,
    u8,
    u16,
    u32,
    u64,
)

ARM_RAS_GUID: Final = guid("bf32d4d5-b427-4025-8495-8a9e5d4030e4")
HEADER_SIZE: Final = 80  # bytes
ENTRY_SIZE: Final = 72  # bytes
ENTRY_COUNT_MAX: Final = 896  # records of the largest group
IP_TYPE_INVALID: Final = 255


class IpInstanceFormat(IntEnum):
    """How the 16 bytes of the IP instance are read."""

    MPIDR = 0
    SYSTEM_ADDRESS = 1
    LOCAL_ADDRESS = 2  # space id, base
    OPAQUE = 3


@layout(size=HEADER_SIZE)
class ArmRasHeader(Layout, frozen=True, gc=False):
    """Header of the section."""

    revision: u32
    component_type: u8  # AestNodeType
    reserved: Octets3
    entry_count: u32
    array_offset: u16  # bytes from the start of the section
    auxiliary_offset: u16  # bytes from the start of the section; 0: none
    ip_instance_format: u8  # IpInstanceFormat
    ip_type_format: u8
    reserved_18: Octets6
    ip_instance: Octets16
    ip_type: Octets24
    user_data: Octets16


@layout(size=ENTRY_SIZE)
class ErrorRecordEntry(Layout, frozen=True, gc=False):
    """The registers of one error record."""

    record_index: u32
    ras_revision: u8  # REVISION in bits 7:4, ARCHVER in 3:0
    reserved: Octets3
    fr: u64
    ctlr: u64
    status: u64
    addr: u64
    misc0: u64
    misc1: u64
    misc2: u64  # meaningful from v1p1 on
    misc3: u64


@layout(size=16)
class AuxiliaryHeader(Layout, frozen=True, gc=False):
    """Head of the auxiliary data."""

    version: u8
    reserved: u8
    context_count: u16
    total_size: u32  # bytes, head included
    key_value_offset: u32  # bytes from the start of the auxiliary data
    key_value_count: u16
    reserved_14: u16


@layout(size=16)
class AuxiliaryContextHead(Layout, frozen=True, gc=False):
    """Head of one auxiliary context."""

    length: u32  # bytes, head included
    flags: u8  # bit 0: local
    reserved: u8
    register_count: u16
    space_id: u16
    reserved_10: Octets6


@layout(size=16)
class AuxiliaryRegister(Layout, frozen=True, gc=False):
    """One register of an auxiliary context."""

    address: u64
    value: u64


@layout(size=24)
class KeyValue(Layout, frozen=True, gc=False):
    """One key-value pair of the auxiliary data."""

    key: Guid
    value: u64


class AuxiliaryContext(msgspec.Struct, frozen=True, gc=False):
    """One auxiliary context."""

    head: AuxiliaryContextHead
    registers: tuple[AuxiliaryRegister, ...]


class ArmRasSection(msgspec.Struct, frozen=True, gc=False):
    """A whole section; ``stored`` are its bytes, which the offsets point into."""

    header: ArmRasHeader
    entries: tuple[ErrorRecordEntry, ...]
    contexts: tuple[AuxiliaryContext, ...]
    key_values: tuple[KeyValue, ...]
    stored: bytes

    def encode(self) -> bytes:
        """Header and entries written over the stored bytes."""
        stored = bytearray(self.stored)
        stored[:HEADER_SIZE] = self.header.encode()
        for i, entry in enumerate(self.entries):
            at = self.header.array_offset + ENTRY_SIZE * i
            stored[at : at + ENTRY_SIZE] = entry.encode()
        return bytes(stored)

    @classmethod
    def decode(cls, source: bytes, offset: int = 0) -> Self:
        """The section at ``offset`` up to the end of ``source``; Malformed when an offset or count lies."""
        stored = bytes(source[offset:])
        header = ArmRasHeader.decode(source, offset)
        if header.entry_count > ENTRY_COUNT_MAX:
            raise Malformed(
                "ArmRasSection", offset + 8, f"{header.entry_count} entries, at most {ENTRY_COUNT_MAX}"
            )
        if header.array_offset < HEADER_SIZE:
            raise Malformed("ArmRasSection", offset + 12, f"array offset {header.array_offset} lies in the header")
        end = header.array_offset + ENTRY_SIZE * header.entry_count
        if end > len(stored):
            raise Malformed("ArmRasSection", offset + 12, f"entries end at {end}, {len(stored)} bytes are there")
        entries = tuple(
            ErrorRecordEntry.decode(stored, header.array_offset + ENTRY_SIZE * i)
            for i in range(header.entry_count)
        )
        contexts, key_values = _auxiliary(stored, header.auxiliary_offset, offset)
        return cls(header, entries, contexts, key_values, stored)


def _auxiliary(stored: bytes, at: int, base: int) -> tuple[tuple[AuxiliaryContext, ...], tuple[KeyValue, ...]]:
    if not at:
        return (), ()
    if at < HEADER_SIZE:
        raise Malformed("ArmRasSection", base + 14, f"auxiliary offset {at} lies in the header")
    if at + AuxiliaryHeader.codec.size > len(stored):
        raise Malformed("ArmRasSection", base + 14, f"auxiliary offset {at}, {len(stored)} bytes are there")
    head = AuxiliaryHeader.decode(stored, at)
    if not AuxiliaryHeader.codec.size <= head.total_size <= len(stored) - at:
        raise Malformed("AuxiliaryHeader", base + at + 4, f"total size {head.total_size}")
    auxiliary = stored[at : at + head.total_size]
    contexts = []
    place = AuxiliaryHeader.codec.size
    for _ in range(head.context_count):
        context = _auxiliary_context(auxiliary, place, base + at)
        contexts.append(context)
        place += context.head.length
    size = KeyValue.codec.size
    if head.key_value_count and head.key_value_offset + size * head.key_value_count > head.total_size:
        raise Malformed("AuxiliaryHeader", base + at + 8, f"{head.key_value_count} key-value pairs do not fit")
    pairs = (KeyValue.decode(auxiliary, head.key_value_offset + size * i) for i in range(head.key_value_count))
    return tuple(contexts), tuple(pairs)


def _auxiliary_context(auxiliary: bytes, place: int, base: int) -> AuxiliaryContext:
    if place + AuxiliaryContextHead.codec.size > len(auxiliary):
        raise Malformed("AuxiliaryContext", base + place, "context head ends outside the auxiliary data")
    head = AuxiliaryContextHead.decode(auxiliary, place)
    least = AuxiliaryContextHead.codec.size + AuxiliaryRegister.codec.size * head.register_count
    if not least <= head.length <= len(auxiliary) - place:
        raise Malformed("AuxiliaryContext", base + place, f"length {head.length}, needs at least {least}")
    first = place + AuxiliaryContextHead.codec.size
    registers = tuple(
        AuxiliaryRegister.decode(auxiliary, first + AuxiliaryRegister.codec.size * i)
        for i in range(head.register_count)
    )
    return AuxiliaryContext(head, registers)


def arm_ras_section(header: ArmRasHeader, entries: tuple[ErrorRecordEntry, ...]) -> ArmRasSection:
    """A section without auxiliary data: count and offsets of ``header`` are computed."""
    header = msgspec.structs.replace(
        header, entry_count=len(entries), array_offset=HEADER_SIZE, auxiliary_offset=0
    )
    stored = header.encode() + b"".join(entry.encode() for entry in entries)
    return ArmRasSection(header, entries, (), (), stored)
