"""What Linux prints of generic processor, memory, PCIe and firmware reference sections.

A section is a table of lines: each has the validity bits that ask for it and a text with the layout's fields.
A field of an enumeration also has its word, as ``<field>_name``. Numbers that C prints with %d are signed.

Sources: Linux 6.1.192 and 6.12.117 drivers/firmware/efi/cper.c.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from nodes.linux.estatus import Entry
from nodes.linux.printk import Log, Memory
from nodes.spec.guid import guid_text
from nodes.spec.layout import Layout
from nodes.spec.memory_sections import (
    BEYOND_OLD,
    MEMORY_SIZE_OLD,
    VALID_BANK_ADDRESS,
    VALID_BANK_GROUP,
    VALID_CHIP_ID,
    VALID_ROW_EXTENDED,
    Extended,
    MemorySection,
)
from nodes.spec.platform_sections import (
    PCIE_SLOT_SHIFT,
    PCIE_VALID_AER,
    AerCapability,
    FirmwareReference,
    FirmwareReferenceOld,
    PcieSection,
    ProcessorSection,
)
from nodes.spec.severity import Severity

_INDENT: Final = 2
_ODD_SEVERITY: Final = int(Severity.FATAL)  # 6.1 tests this bit, so "info" passes too
_LOCATION_MAX: Final = 255  # bytes; Linux cuts the location of a memory error there

PROCESSOR_TYPES: Final = ("IA32/X64", "IA64", "ARM")
PROCESSOR_ISAS: Final = ("IA32", "IA64", "X64", "ARM A32/T32", "ARM A64")
PROCESSOR_ERRORS: Final = ("cache error", "TLB error", "bus error", "micro-architectural error")
PROCESSOR_OPERATIONS: Final = ("unknown or generic", "data read", "data write", "instruction execution")
PROCESSOR_FLAGS: Final = ("restartable", "precise IP", "overflow", "corrected")
MEMORY_ERRORS: Final = (
    "unknown",
    "no error",
    "single-bit ECC",
    "multi-bit ECC",
    "single-symbol chipkill ECC",
    "multi-symbol chipkill ECC",
    "master abort",
    "target abort",
    "parity error",
    "watchdog timeout",
    "invalid address",
    "mirror Broken",
    "memory sparing",
    "scrub corrected error",
    "scrub uncorrected error",
    "physical memory map-out event",
)
ERROR_STATUS: Final = {
    1: "Error detected internal to the component",
    4: "Storage error in DRAM memory",
    5: "Storage error in TLB",
    6: "Storage error in cache",
    7: "Error in one or more functional units",
    8: "Component failed self test",
    9: "Overflow or undervalue of internal queue",
    16: "Error detected in the bus",
    17: "Virtual address not found on IO-TLB or IO-PDIR",
    18: "Improper access error",
    19: "Access to a memory address which is not mapped to any component",
    20: "Loss of Lockstep",
    21: "Response not associated with a request",
    22: "Bus parity error - must also set the A, C, or D Bits",
    23: "Detection of a protocol error",
    24: "Detection of a PATH_ERROR",
    25: "Bus operation timeout",
    26: "A read was issued to data that has been poisoned",
}
PORT_TYPES: Final = (
    "PCIe end point",
    "legacy PCI end point",
    "unknown",
    "unknown",
    "root port",
    "upstream switch port",
    "downstream switch port",
    "PCIe to PCI/PCI-X bridge",
    "PCI/PCI-X to PCIe bridge",
    "root complex integrated endpoint device",
    "root complex event collector",
)
FIRMWARE_RECORDS: Final = (
    "IPF SAL Error Record",
    "SOC Firmware Error Record Type1 (Legacy CrashLog Support)",
    "SOC Firmware Error Record Type2",
)


class Line(NamedTuple):
    """One line of a section; printed when a bit of ``mask`` is set in the validation bits."""

    mask: int
    text: str
    bits: str = ""  # a field whose flags follow in words
    words: tuple[str, ...] = ()


def bit(number: int) -> int:
    """The mask of one validity bit."""
    return 1 << number


PROCESSOR: Final = (
    Line(bit(0), "processor_type: {processor_type}, {processor_type_name}"),
    Line(bit(1), "processor_isa: {isa}, {isa_name}"),
    Line(bit(2), "error_type: 0x{error_type:02x}", "error_type", PROCESSOR_ERRORS),
    Line(bit(3), "operation: {operation}, {operation_name}"),
    Line(bit(4), "flags: 0x{flags:02x}", "flags", PROCESSOR_FLAGS),
    Line(bit(5), "level: {level}"),
    Line(bit(6), "version_info: 0x{version:016x}"),
    Line(bit(8), "processor_id: 0x{processor_id:016x}"),
    Line(bit(9), "target_address: 0x{target_address:016x}"),
    Line(bit(10), "requestor_id: 0x{requestor_id:016x}"),
    Line(bit(11), "responder_id: 0x{responder_id:016x}"),
    Line(bit(12), "IP: 0x{instruction_pointer:016x}"),
)
MEMORY: Final = (
    Line(bit(0), " error_status: {error_status_name} (0x{error_status:016x})"),
    Line(bit(1), "physical_address: 0x{physical_address:016x}"),
    Line(bit(2), "physical_address_mask: 0x{physical_address_mask:016x}"),
)
LOCATION: Final = (
    Line(bit(3), "node:{node} "),
    Line(bit(4), "card:{card} "),
    Line(bit(5), "module:{module} "),
    Line(bit(15), "rank:{rank_number} "),
    Line(bit(6), "bank:{bank} "),
    Line(VALID_BANK_GROUP, "bank_group:{bank_group} "),
    Line(VALID_BANK_ADDRESS, "bank_address:{bank_address} "),
    Line(bit(7), "device:{device} "),
    Line(bit(8) | VALID_ROW_EXTENDED, "row:{whole_row} "),
    Line(bit(9), "column:{column} "),
    Line(bit(10), "bit_position:{bit_position} "),
    Line(bit(11), "requestor_id:0x{requestor_id:016x} "),
    Line(bit(12), "responder_id:0x{responder_id:016x} "),
    Line(bit(13), "target_id:0x{target_id:016x} "),
    Line(VALID_CHIP_ID, "chip_id:{chip_id} "),
)
MEMORY_TYPE: Final = (
    Line(bit(14), "error_type: {memory_error_type}, {memory_error_type_name}"),
    Line(bit(17), "DIMM location: not present. DMI handle: 0x{module_handle:04x} "),
)
PCIE: Final = (
    Line(bit(0), "port_type: {port_type_signed}, {port_type_name}"),
    Line(bit(1), "version: {version_major}.{version_minor}"),
    Line(bit(2), "command: 0x{command:04x}, status: 0x{status:04x}"),
    Line(bit(3), "device_id: {segment:04x}:{bus:02x}:{device:02x}.{function:x}"),
    Line(bit(3), "slot: {slot_number}"),
    Line(bit(3), "secondary_bus: 0x{secondary_bus:02x}"),
    Line(bit(3), "vendor_id: 0x{vendor_id:04x}, device_id: 0x{device_id:04x}"),
    Line(bit(3), "class_code: {class_code_number:06x}"),
    Line(bit(4), "serial number: 0x{serial_low:04x}, 0x{serial_high:04x}"),
    Line(bit(5), "bridge: secondary_status: 0x{bridge_secondary_status:04x}, control: 0x{bridge_control:04x}"),
)
AER_CORRECTED: Final = (
    Line(PCIE_VALID_AER, "aer_cor_status: 0x{correctable_status:08x}, aer_cor_mask: 0x{correctable_mask:08x}"),
)
AER: Final = (
    Line(
        PCIE_VALID_AER,
        "aer_uncor_status: 0x{uncorrectable_status:08x}, aer_uncor_mask: 0x{uncorrectable_mask:08x}",
    ),
    Line(PCIE_VALID_AER, "aer_uncor_severity: 0x{uncorrectable_severity:08x}"),
    Line(
        PCIE_VALID_AER,
        "TLP Header: {header_log_0:08x} {header_log_1:08x} {header_log_2:08x} {header_log_3:08x}",
    ),
)


def named(names: tuple[str, ...], value: int) -> str:
    """The word for a value; "unknown" behind the end of the table."""
    return names[value] if value < len(names) else "unknown"


def signed(value: int) -> int:
    """A 32-bit number as C's %d prints it."""
    return value - (value >> 31 << 32)


def _fields(section: Layout, **more: int | str) -> dict[str, int | bytes | str]:
    return {**msgspec.structs.asdict(section), **more}


def _say_lines(
    log: Log, lines: Iterable[Line], valid: int, fields: Mapping[str, int | bytes | str], indent: int = _INDENT
) -> None:
    for line in lines:
        if not valid & line.mask:
            continue
        log.say(indent, line.text.format_map(fields))
        if line.bits:
            flags = fields[line.bits]
            assert isinstance(flags, int)
            log.say_bits(indent, flags, line.words)


def print_processor(log: Log, memory: Memory, entry: Entry) -> None:
    """cper_print_proc_generic()."""
    section = ProcessorSection.decode(memory.read(entry.body_offset, ProcessorSection.codec.size))
    fields = _fields(
        section,
        processor_type_name=named(PROCESSOR_TYPES, section.processor_type),
        isa_name=named(PROCESSOR_ISAS, section.isa),
        operation_name=named(PROCESSOR_OPERATIONS, section.operation),
    )
    _say_lines(log, PROCESSOR, section.validation_bits, fields)


def print_memory(log: Log, memory: Memory, entry: Entry) -> None:
    """cper_print_mem(); a body of 74 to 79 bytes is read as if it had 80."""
    section = MemorySection.decode(memory.read(entry.body_offset, MemorySection.codec.size))
    valid = section.validation_bits
    if entry.body_length == MEMORY_SIZE_OLD and valid & BEYOND_OLD:
        log.blame_firmware("valid bits set for fields beyond structure")
        return
    extended = Extended(section.extended)
    row_extension = extended.ROW << 16 if valid & VALID_ROW_EXTENDED else 0
    fields = _fields(
        section,
        error_status_name=ERROR_STATUS.get(section.error_status >> 8 & 0xFF, "Reserved"),
        memory_error_type_name=named(MEMORY_ERRORS, section.memory_error_type),
        bank_group=section.bank >> 8,
        bank_address=section.bank & 0xFF,
        whole_row=section.row | row_extension,
        chip_id=extended.CHIP_ID,
    )
    _say_lines(log, MEMORY, valid, fields)
    location = "".join(line.text.format_map(fields) for line in LOCATION if valid & line.mask)
    if location:
        log.say(_INDENT, location[:_LOCATION_MAX])
    _say_lines(log, MEMORY_TYPE, valid, fields)


def print_pcie(log: Log, memory: Memory, entry: Entry) -> None:
    """cper_print_pcie()."""
    _print_pcie(log, memory, entry, (*AER_CORRECTED, *AER))


def print_pcie_6_1(log: Log, memory: Memory, entry: Entry) -> None:
    """cper_print_pcie() as 6.1 has it: AER registers of odd severities only, and not the corrected ones."""
    _print_pcie(log, memory, entry, AER if entry.severity & _ODD_SEVERITY else ())


def _print_pcie(log: Log, memory: Memory, entry: Entry, aer_lines: tuple[Line, ...]) -> None:
    section = PcieSection.decode(memory.read(entry.body_offset, PcieSection.codec.size))
    fields = _fields(
        section,
        port_type_signed=signed(section.port_type),
        port_type_name=named(PORT_TYPES, section.port_type),
        slot_number=section.slot >> PCIE_SLOT_SHIFT,
        class_code_number=int.from_bytes(section.class_code, "little"),
    )
    _say_lines(log, PCIE, section.validation_bits, fields)
    _say_lines(log, aer_lines, section.validation_bits, _fields(AerCapability.decode(section.aer)))


def print_firmware(log: Log, memory: Memory, entry: Entry) -> None:
    """cper_print_fw_err(): what follows the fields of the revision is dumped."""
    section = FirmwareReference.decode(memory.read(entry.body_offset, FirmwareReference.codec.size))
    log.say(_INDENT, f"Firmware Error Record Type: {named(FIRMWARE_RECORDS, section.record_type)}")
    log.say(_INDENT, f"Revision: {section.revision}")
    if section.revision == 0:
        log.say(_INDENT, f"Record Identifier: {section.record_id:08x}")
    elif section.revision == 2:
        log.say(_INDENT, f"Record Identifier: {guid_text(section.record_guid)}")
    # Revision 1 has no record id, revision 0 no GUID: what lies there counts as trailing data.
    size = {0: FirmwareReferenceOld.codec.size, 1: 8}.get(section.revision, FirmwareReference.codec.size)
    left = entry.body_length - size
    if left < 0:
        log.say(_INDENT, f"error section length is too small: offset={size}, length={entry.body_length}")
    else:
        log.dump_with_text(_INDENT, memory.span(entry.body_offset + size, left))
