"""The Common Platform Error Record: header, section descriptors, section bodies.

A record is one of two containers of sections; the other is the status block. Descriptors name their body by
offset and length, so bodies may lie in any order and bytes may lie between them; they are kept.

Sources: UEFI 2.11 appendix N.2.1, N.2.2; openbmc/libcper include/libcper/Cper.h; Linux include/linux/cper.h.
"""

from enum import IntFlag
from itertools import pairwise
from typing import Final, Self

import msgspec

from nodes.spec.guid import NIL, guid
from nodes.spec.layout import (
    Guid,
    Layout,
    Malformed,
    Octets4,
    Octets8,
    Octets12,
    Text20,
    layout,
    u8,
    u16,
    u32,
    u64,
)

HEADER_SIZE: Final = 128  # bytes
DESCRIPTOR_SIZE: Final = 72  # bytes
SIGNATURE: Final = b"CPER"
SIGNATURE_END: Final = 0xFFFF_FFFF
REVISION: Final = 0x0101  # written; any is read: sources disagree
SECTION_REVISION: Final = 0x0100
RECORD_SIZE_MAX: Final = 16 * 1024 * 1024  # bytes; a longer record is refused


class HeaderValid(IntFlag):
    """Validation bits of a record header."""

    PLATFORM_ID = 1 << 0
    TIMESTAMP = 1 << 1
    PARTITION_ID = 1 << 2


class HeaderFlag(IntFlag):
    """Flags of a record header."""

    RECOVERED = 0x1
    PREVIOUS_ERROR = 0x2
    SIMULATED = 0x4


class DescriptorValid(IntFlag):
    """Validation bits of a section descriptor."""

    FRU_ID = 1 << 0
    FRU_TEXT = 1 << 1


NOTIFICATION_GUIDS: Final = {
    "CMC": guid("2dce8bb1-bdd7-450e-b9ad-9cf4ebd4f890"),
    "CPE": guid("4e292f96-d843-4a55-a8c2-d481f27ebeee"),
    "MCE": guid("e8f56ffe-919c-4cc5-ba88-65abe14913bb"),
    "PCIe": guid("cf93c01f-1a16-4dfc-b8bc-9c4daf67c104"),
    "INIT": guid("cc5263e8-9308-454a-89d0-340bd39bc98e"),
    "NMI": guid("5bad89ff-b7e6-42c9-814a-cf2485d6e98a"),
    "BOOT": guid("3d61a466-ab40-409a-a698-f362d464b38f"),
    "DMAr": guid("667dd791-c6b3-4c27-8a6b-0f8e722deb41"),
    "SEA": guid("9a78788a-bbe8-11e4-809e-67611e5d46b0"),
    "SEI": guid("5c284c81-b0ae-4e87-a322-b04c85624323"),
    "PEI": guid("09a9d5ac-5204-4214-96e5-94992e752bcd"),
    "CXL": guid("69293bc9-41df-49a3-b4bd-4fb0db3041f6"),
}


@layout(size=HEADER_SIZE)
class RecordHeader(Layout, frozen=True, gc=False):
    """Header of a record."""

    signature: Octets4
    revision: u16
    signature_end: u32
    section_count: u16
    severity: u32  # Severity of the worst section
    validation_bits: u32  # HeaderValid
    record_length: u32  # bytes of the whole record; may include spare space
    timestamp: Octets8  # BCD
    platform_id: Guid
    partition_id: Guid
    creator_id: Guid
    notification_type: Guid
    record_id: u64
    flags: u32  # HeaderFlag
    persistence_information: u64
    reserved: Octets12


@layout(size=DESCRIPTOR_SIZE)
class SectionDescriptor(Layout, frozen=True, gc=False):
    """Where one section of a record lies and what it is."""

    section_offset: u32  # bytes from the start of the record
    section_length: u32  # bytes
    revision: u16
    validation_bits: u8  # DescriptorValid
    reserved: u8
    flags: u32  # SectionFlag
    section_type: Guid
    fru_id: Guid
    severity: u32  # Severity
    fru_text: Text20


class Record(msgspec.Struct, frozen=True, gc=False):
    """A whole record. ``stored`` are its bytes; descriptors point into them."""

    header: RecordHeader
    descriptors: tuple[SectionDescriptor, ...]
    stored: bytes

    def body(self, index: int) -> bytes:
        """The body of section ``index``."""
        descriptor = self.descriptors[index]
        return self.stored[descriptor.section_offset : descriptor.section_offset + descriptor.section_length]

    def encode(self) -> bytes:
        """Header and descriptors written over the stored bytes."""
        heads = self.header.encode() + b"".join(d.encode() for d in self.descriptors)
        return heads + self.stored[len(heads) :]

    @classmethod
    def decode(cls, source: bytes, offset: int = 0) -> Self:
        """The record at ``offset`` of ``source``, which may go on behind it.

        Raises Malformed for a wrong signature, a length that its sections or ``source`` contradict, and a
        section that lies outside the record, inside its heads or over another one. A section may be empty only in
        name: length 0 is refused.
        """
        header = RecordHeader.decode(source, offset)
        if header.signature != SIGNATURE or header.signature_end != SIGNATURE_END:
            raise Malformed("Record", offset, f"signature {header.signature!r} {header.signature_end:#x}")
        heads = HEADER_SIZE + DESCRIPTOR_SIZE * header.section_count
        if not heads <= header.record_length <= min(len(source) - offset, RECORD_SIZE_MAX):
            raise Malformed(
                "Record",
                offset + 20,
                f"length {header.record_length}, {header.section_count} section(s) need at least {heads}, "
                f"{len(source) - offset} bytes are there",
            )
        descriptors = tuple(
            SectionDescriptor.decode(source, offset + HEADER_SIZE + DESCRIPTOR_SIZE * i)
            for i in range(header.section_count)
        )
        for index, descriptor in enumerate(descriptors):
            _check_place(descriptor, offset + HEADER_SIZE + DESCRIPTOR_SIZE * index, heads, header.record_length)
        _check_apart(descriptors, offset + HEADER_SIZE)
        return cls(header, descriptors, bytes(source[offset : offset + header.record_length]))


def _check_place(descriptor: SectionDescriptor, at: int, heads: int, record_length: int) -> None:
    start, length = descriptor.section_offset, descriptor.section_length
    if not length:
        raise Malformed("SectionDescriptor", at + 4, "section of length 0")
    if start < heads:
        raise Malformed("SectionDescriptor", at, f"section at {start} lies inside the heads ({heads} bytes)")
    if start + length > record_length:
        raise Malformed(
            "SectionDescriptor",
            at,
            f"section at {start} of {length} bytes ends outside {record_length} bytes",
        )


def _check_apart(descriptors: tuple[SectionDescriptor, ...], base: int) -> None:
    """No byte belongs to two sections: what all bodies take together is bounded by the record."""
    in_place = sorted(range(len(descriptors)), key=lambda index: descriptors[index].section_offset)
    for before, index in pairwise(in_place):
        end = descriptors[before].section_offset + descriptors[before].section_length
        if descriptors[index].section_offset < end:
            at = base + DESCRIPTOR_SIZE * index
            raise Malformed("SectionDescriptor", at, f"section lies over section {before}, which ends at {end}")


class SectionOf(msgspec.Struct, frozen=True, gc=False):
    """One section to put into a record."""

    section_type: bytes
    severity: int
    body: bytes
    flags: int = 0
    validation_bits: int = 0
    fru_id: bytes = NIL
    fru_text: bytes = bytes(20)
    revision: int = SECTION_REVISION


def record_of(header: RecordHeader, sections: tuple[SectionOf, ...]) -> Record:
    """A record with these sections back to back; count, length and offsets are computed."""
    at = HEADER_SIZE + DESCRIPTOR_SIZE * len(sections)
    descriptors = []
    for section in sections:
        descriptors.append(
            SectionDescriptor(
                section_offset=at,
                section_length=len(section.body),
                revision=section.revision,
                validation_bits=section.validation_bits,
                reserved=0,
                flags=section.flags,
                section_type=section.section_type,
                fru_id=section.fru_id,
                severity=section.severity,
                fru_text=section.fru_text,
            )
        )
        at += len(section.body)
    header = msgspec.structs.replace(header, section_count=len(sections), record_length=at)
    heads = header.encode() + b"".join(descriptor.encode() for descriptor in descriptors)
    return Record(header, tuple(descriptors), heads + b"".join(section.body for section in sections))
