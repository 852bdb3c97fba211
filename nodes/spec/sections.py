"""The sections that a record or a status block can hold: one table, GUID to name and decoder.

A section of an unknown type is kept as bytes. Bytes behind a section of fixed size are kept too. Sources: UEFI
2.11 appendix N.2.2 table N.5 (section types); openbmc/libcper sections/cper-section.c.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from nodes.spec.arm_ras_section import ARM_RAS_GUID, ArmRasSection
from nodes.spec.arm_section import ARM_GUID, ArmSection
from nodes.spec.guid import guid
from nodes.spec.layout import Layout, Malformed
from nodes.spec.memory_sections import (
    MEMORY2_GUID,
    MEMORY_GUID,
    MEMORY_SIZE,
    MEMORY_SIZE_OLD,
    MemorySection,
    MemorySection2,
    MemorySectionOld,
)
from nodes.spec.platform_sections import (
    FIRMWARE_GUID,
    FIRMWARE_SIZE_MIN,
    PCIE_GUID,
    PROCESSOR_GUID,
    FirmwareReference,
    FirmwareReferenceOld,
    PcieSection,
    ProcessorSection,
)

Body = Layout | ArmSection | ArmRasSection


class SectionType(NamedTuple):
    """One row of the table."""

    guid: bytes
    name: str
    decode: Callable[[bytes], Body]


class Section(msgspec.Struct, frozen=True):
    """One decoded section. ``value`` is None for a type without decoder; then ``rest`` is the whole body."""

    type: bytes
    value: Body | None
    rest: bytes

    def encode(self) -> bytes:
        """The section body."""
        return (self.value.encode() if self.value is not None else b"") + self.rest


def _memory(body: bytes) -> MemorySection | MemorySectionOld:
    return MemorySection.decode(body) if len(body) >= MEMORY_SIZE else MemorySectionOld.decode(body)


def _firmware(body: bytes) -> FirmwareReference | FirmwareReferenceOld:
    if len(body) >= FirmwareReference.codec.size:
        return FirmwareReference.decode(body)
    return FirmwareReferenceOld.decode(body)


SECTION_TYPES: Final = (
    SectionType(PROCESSOR_GUID, "generic processor", ProcessorSection.decode),
    SectionType(MEMORY_GUID, "memory", _memory),
    SectionType(MEMORY2_GUID, "memory 2", MemorySection2.decode),
    SectionType(PCIE_GUID, "PCIe", PcieSection.decode),
    SectionType(FIRMWARE_GUID, "firmware error record reference", _firmware),
    SectionType(ARM_GUID, "ARM processor", ArmSection.decode),
    SectionType(ARM_RAS_GUID, "Arm RAS", ArmRasSection.decode),
)
BY_GUID: Final = {row.guid: row for row in SECTION_TYPES}

OTHER_NAMES: Final = {  # named, not decoded
    guid("dc3ea0b0-a144-4797-b95b-53fa242b6e1d"): "IA32/X64 processor",
    guid("e429faf1-3cb7-11d4-bca7-0080c73c8881"): "IPF processor",
    guid("c5753963-3b84-4095-bf78-eddad3f9c9dd"): "PCI bus",
    guid("eb5e4685-ca66-4769-b6a2-26068b001326"): "PCI component",
    guid("5b51fef7-c79d-4434-8f1b-aa62de3e2c64"): "DMAr generic",
    guid("71761d37-32b2-45cd-a7d0-b0fedd93e8cf"): "VT-d DMAr",
    guid("036f84e1-7f37-428c-a79e-575fdfaa84ec"): "IOMMU DMAr",
    guid("91335ef6-ebfb-4478-a6a6-88b728cf75d7"): "CCIX PER log",
    guid("80b9efb4-52b5-4de3-a777-68784b771048"): "CXL protocol",
    guid("fbcd0a77-c260-417f-85a9-088b1621eba6"): "CXL general media event",
    guid("601dcbb3-9c06-4eab-b8af-4e9bfb5c9624"): "CXL DRAM event",
    guid("fe927475-dd59-4339-a586-79bab113b774"): "CXL memory module event",
}
# The shortest body of each fixed type, in bytes; a shorter one is refused.
SIZE_MIN: Final = {MEMORY_GUID: MEMORY_SIZE_OLD, FIRMWARE_GUID: FIRMWARE_SIZE_MIN}


def section_name(section_type: bytes) -> str:
    """The usual name of a section type; "unknown" for one that nobody here knows."""
    row = BY_GUID.get(section_type)
    return row.name if row else OTHER_NAMES.get(section_type, "unknown")


def decode_section(section_type: bytes, body: bytes, *, offset: int = 0) -> Section:
    """The section in ``body``; ``offset`` (bytes) is added to the place that Malformed names.

    Raises Malformed where the body contradicts itself or ends early.
    """
    row = BY_GUID.get(section_type)
    if row is None:
        return Section(section_type, None, body)
    try:
        value = row.decode(body)
    except Malformed as fault:
        raise Malformed(fault.what, fault.offset + offset, fault.reason) from None
    return Section(section_type, value, body[_size(value) :])


def _size(value: Body) -> int:
    if isinstance(value, ArmSection):
        return value.header.section_length
    return len(value.stored) if isinstance(value, ArmRasSection) else value.codec.size
