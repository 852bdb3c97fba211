"""What Linux prints of a status block, character for character.

The lines stand without the prefix ``{n}[Hardware Error]: ``. Nothing is refused that Linux accepts: inner
lengths that lie, unknown types and reserved bits are printed as the kernel prints them, so the raw bytes are
read here and not the decoders of nodes.spec. Fields that lie behind the end of the block read as 0; a hex dump
that Linux would continue until it faults ends with the block.

6.12 prints CXL sections by name and the AER registers of every PCIe section; 6.1 the latter for odd severities
only. 6.19 prints what 6.12 prints.

Sources: Linux 6.1.192 and 6.12.117 drivers/firmware/efi/cper.c, drivers/acpi/apei/ghes.c
__ghes_print_estatus(). Leaves out: names of DIMMs from SMBIOS (none is known), IA32 processor sections (an arm64
kernel does not know them).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from nodes.linux.dmesg_arm import print_arm
from nodes.linux.dmesg_cxl import CXL_PROTOCOL_SIZE, print_cxl_protocol
from nodes.linux.dmesg_sections import print_firmware, print_memory, print_pcie, print_pcie_6_1, print_processor
from nodes.linux.estatus import Entry, copied, walk
from nodes.linux.printk import Fault, Log, Memory
from nodes.policy import Kernel
from nodes.spec.arm_section import ARM_GUID, ArmHeader
from nodes.spec.guid import guid, guid_text
from nodes.spec.memory_sections import MEMORY_GUID, MemorySectionOld
from nodes.spec.platform_sections import (
    FIRMWARE_GUID,
    FIRMWARE_SIZE_MIN,
    PCIE_GUID,
    PROCESSOR_GUID,
    PcieSection,
    ProcessorSection,
)
from nodes.spec.severity import Severity
from nodes.spec.status_block import DataEntryHead, EntryValid, StatusBlockHead
from nodes.spec.timestamp import PRECISE, from_bcd

SEVERITIES: Final = ("recoverable", "fatal", "corrected", "info")
CORRECTED: Final = "It has been corrected by h/w and requires no further action"
TOO_SMALL: Final = "error section length is too small"
_ENTRY_INDENT: Final = 1
_SECTION_INDENT: Final = 2
_WITH_TIMESTAMP: Final = 3  # major revision


class Printed(NamedTuple):
    """A section type that Linux knows: its name, the shortest body it prints, how it prints it."""

    name: str
    size_min: int  # bytes; a shorter body is only complained about
    show: Callable[[Log, Memory, Entry], None]


_COMMON: Final = {
    PROCESSOR_GUID: Printed("general processor error", ProcessorSection.codec.size, print_processor),
    MEMORY_GUID: Printed("memory error", MemorySectionOld.codec.size, print_memory),
    ARM_GUID: Printed("ARM processor error", ArmHeader.codec.size, print_arm),
    FIRMWARE_GUID: Printed("Firmware Error Record Reference", FIRMWARE_SIZE_MIN, print_firmware),
}
_6_1: Final = {**_COMMON, PCIE_GUID: Printed("PCIe error", PcieSection.codec.size, print_pcie_6_1)}
_6_12: Final = {
    **_COMMON,
    PCIE_GUID: Printed("PCIe error", PcieSection.codec.size, print_pcie),
    guid("80b9efb4-52b5-4de3-a777-68784b771048"): Printed(
        "CXL Protocol Error", CXL_PROTOCOL_SIZE, print_cxl_protocol
    ),
    guid("fbcd0a77-c260-417f-85a9-088b1621eba6"): Printed("CXL General Media Event", 0, lambda *_: None),
    guid("601dcbb3-9c06-4eab-b8af-4e9bfb5c9624"): Printed("CXL DRAM Event", 0, lambda *_: None),
    guid("fe927475-dd59-4339-a586-79bab113b774"): Printed("CXL Memory Module Event", 0, lambda *_: None),
}
SECTIONS: Final = {Kernel.V6_1: _6_1, Kernel.V6_12: _6_12, Kernel.V6_19: _6_12}


def dmesg(block: bytes, kernel: Kernel, *, source_id: int | None = None, sequence: int = 1) -> list[str]:
    """The lines of ``block``, without prefix and newline, a byte a character.

    ``sequence`` is the n of the prefix, by whose length some lines are wrapped; with ``source_id`` the line
    that names the error source comes first. Raises Malformed where Linux refuses the block.
    """
    entries = walk(block)
    log = Log(sequence)
    if source_id is not None:
        log.say(0, f"Hardware error from APEI Generic Hardware Error Source: {source_id}")
    severity = severity_name(StatusBlockHead.decode(block).error_severity)
    if severity == SEVERITIES[Severity.CORRECTED]:
        log.say(0, CORRECTED)
    log.say(0, f"event severity: {severity}")
    memory = Memory(copied(block))
    try:
        for number, entry in enumerate(entries):
            _print_head(log, memory, entry, number)
            _print_section(log, memory, entry, SECTIONS[kernel])
    except Fault:
        pass
    return log.lines


def severity_name(severity: int) -> str:
    """Linux's word; it looks at 16 of the 32 bits."""
    low = severity & 0xFFFF
    return SEVERITIES[low] if low < len(SEVERITIES) else "unknown"


def _print_head(log: Log, memory: Memory, entry: Entry, number: int) -> None:
    head = DataEntryHead.decode(memory.read(entry.offset, DataEntryHead.codec.size))
    if entry.revision >> 8 >= _WITH_TIMESTAMP and entry.validation_bits & EntryValid.TIMESTAMP:
        log.say(_ENTRY_INDENT, timestamp_line(head.timestamp))
    log.say(_ENTRY_INDENT, f"Error {number}, type: {severity_name(entry.severity)}")
    if entry.validation_bits & EntryValid.FRU_ID:
        log.say(_ENTRY_INDENT, f"fru_id: {guid_text(head.fru_id)}")
    if entry.validation_bits & EntryValid.FRU_TEXT:
        log.say(_ENTRY_INDENT, f"fru_text: {head.fru_text.split(bytes(1), 1)[0].decode('latin-1')}")


def _print_section(log: Log, memory: Memory, entry: Entry, sections: dict[bytes, Printed]) -> None:
    printed = sections.get(entry.section_type)
    if printed is None:
        log.say(_SECTION_INDENT, f"section type: unknown, {guid_text(entry.section_type)}")
        log.say(_SECTION_INDENT, f"section length: {entry.body_length:#x}")
        log.dump_with_text(_SECTION_INDENT, memory.span(entry.body_offset, entry.body_length))
        return
    log.say(_SECTION_INDENT, f"section_type: {printed.name}")
    if entry.body_length < printed.size_min:
        log.blame_firmware(TOO_SMALL)
    else:
        printed.show(log, memory, entry)


def timestamp_line(stored: bytes) -> str:
    """The moment of an entry; digits above 9 are added up, not refused."""
    second, minute, hour, _, day, month, year, century = (from_bcd(byte) for byte in stored)
    precision = "precise" if stored[3] & PRECISE else "imprecise"
    return (
        f"{precision} tstamp: {century:02d}{year:02d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"
    )
