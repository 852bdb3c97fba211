"""Status blocks made for tests: one section each, unless said otherwise."""

from nodes.spec.arm_section import ARM_GUID, ArmHeader, ErrorInfo, arm_section
from nodes.spec.guid import guid
from nodes.spec.memory_sections import MEMORY_GUID, VALID_PA, MemorySection
from nodes.spec.platform_sections import PCIE_GUID, PCIE_VALID_AER, PCIE_VALID_DEVICE_ID, PcieSection
from nodes.spec.status_block import DataEntry, StatusBlock

RECOVERABLE, FATAL, CORRECTED, INFORMATIONAL, UNKNOWN = 0, 1, 2, 3, 7
THRESHOLD = 8  # flag of a section: error threshold exceeded
RESET = 4
VENDOR_GUID = guid("11112222-3333-4444-5555-666677778888")
CACHE, TLB, BUS, MICRO = 0x02, 0x04, 0x08, 0x10


def memory_entry(address=None, severity=RECOVERABLE, flags=0):
    body = MemorySection(validation_bits=VALID_PA if address is not None else 0, physical_address=address or 0)
    return DataEntry(MEMORY_GUID, severity, body.encode(), flags=flags)


def pei(kind=CACHE, address=None, length=32):
    return ErrorInfo(
        length=length,
        type=kind,
        validation_bits=0x10 if address is not None else 0,
        physical_fault_address=address or 0,
    )


def arm_entry(*errors, severity=RECOVERABLE, count=None, cut=0, flags=0):
    """``count``: what the section says of its errors; ``cut``: bytes that are missing at its end."""
    section = arm_section(errors, header=ArmHeader(0, 0, 0, 0))
    body = bytearray(section.encode())
    if count is not None:
        body[4:6] = count.to_bytes(2, "little")
    return DataEntry(ARM_GUID, severity, bytes(body[: len(body) - cut]), flags=flags)


def pcie_entry(severity=RECOVERABLE, flags=0, valid=PCIE_VALID_DEVICE_ID | PCIE_VALID_AER, **place):
    return DataEntry(PCIE_GUID, severity, PcieSection(validation_bits=valid, **place).encode(), flags=flags)


def block_of(*entries, severity=RECOVERABLE, status=1):
    return StatusBlock(status, severity, entries).encode()


def memory_block(address=None, severity=RECOVERABLE, section=None, flags=0):
    """A block with one memory section of the same severity, or of another one."""
    section = severity if section is None else section
    return block_of(memory_entry(address, section, flags), severity=severity)
