"""What Linux does with the sections of a record: queue memory failures, recover PCIe devices, or only log.

Sources: Linux drivers/acpi/apei/ghes.c ghes_do_proc(), ghes_handle_memory_failure(), ghes_handle_arm_hw_error(),
ghes_handle_aer() of 6.1.192 and 6.12.117; drivers/acpi/apei/ghes.c of 6.19 for pfn_valid().
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from nodes.linux.estatus import Entry
from nodes.linux.memory_failure import FIFO_SIZE, Flag
from nodes.linux.versions import Behaviour
from nodes.spec.arm_section import (
    ARM_GUID,
    ERROR_INFO_SIZE,
    HEADER_SIZE,
    ErrorInfo,
    ErrorInfoValid,
    ErrorKind,
    type_byte,
)
from nodes.spec.memory_sections import MEMORY_GUID, VALID_PA
from nodes.spec.platform_sections import PCIE_GUID, PCIE_VALID_AER, PCIE_VALID_DEVICE_ID
from nodes.spec.severity import GhesSeverity, Severity, ghes_severity
from nodes.spec.status_block import SectionFlag

_CACHE: Final = type_byte(ErrorKind.CACHE)
_REPEATS_MAX: Final = FIFO_SIZE + 1  # of one error with length 0; memory_failure drops this and all further ones
_HAS_PA: Final = int(ErrorInfoValid.PHYSICAL_ADDRESS)
_THRESHOLD: Final = int(SectionFlag.ERROR_THRESHOLD_EXCEEDED)
_RESET: Final = int(SectionFlag.RESET)
_PA_OFFSET: Final = 16  # bytes, of the physical address in memory section 1
_DEVICE_OFFSET: Final = 24  # bytes, of vendor id in the PCIe section; function 31, device 32, segment 33, bus 35


class AerSeverity(IntEnum):
    """Severity of the AER driver. Linux include/linux/aer.h."""

    NONFATAL = 0
    FATAL = 1
    CORRECTABLE = 2


_AER_SEVERITY: Final = {
    Severity.RECOVERABLE: AerSeverity.NONFATAL,
    Severity.FATAL: AerSeverity.FATAL,
    Severity.CORRECTED: AerSeverity.CORRECTABLE,
}  # cper_severity_to_aer(); anything else is correctable


class PageFailure(NamedTuple):
    """memory_failure is wanted for an address."""

    address: int
    flags: Flag


class DeviceRecovery(NamedTuple):
    """The AER driver is wanted for a device."""

    device: int  # segment << 16 | bus << 8 | device << 3 | function
    severity: AerSeverity


class Unhandled(NamedTuple):
    """A section, or one piece of error information, that asks for nothing. ``resets``: it un-asks the last."""

    resets: bool


Wanted = PageFailure | DeviceRecovery | Unhandled


def _u64(block: bytes, at: int) -> int:
    return int.from_bytes(block[at : at + 8], "little")


def _memory(block: bytes, entry: Entry, block_severity: GhesSeverity, *, synchronous: bool) -> Wanted:
    """ghes_handle_memory_failure(): no physical address, no action."""
    body = entry.body_offset
    if not _u64(block, body) & VALID_PA:
        return Unhandled(resets=True)
    severity = ghes_severity(entry.severity)
    address = _u64(block, body + _PA_OFFSET)
    if severity is GhesSeverity.CORRECTED and entry.flags & _THRESHOLD:
        return PageFailure(address, Flag.SOFT_OFFLINE)
    if severity is GhesSeverity.RECOVERABLE and block_severity is GhesSeverity.RECOVERABLE:
        return PageFailure(address, Flag.ACTION_REQUIRED if synchronous else Flag.NONE)
    return Unhandled(resets=True)


def _arm(
    block: bytes, entry: Entry, block_severity: GhesSeverity, behaviour: Behaviour, *, synchronous: bool
) -> Iterator[Wanted]:
    """ghes_handle_arm_hw_error(): only a cache error with a physical address is acted on.

    The walk steps by each error's own word for its length. A kernel that does not check lengths reads on behind
    the section, and behind the block there are zeros, which ask for nothing.
    """
    yield Unhandled(resets=True)
    severity = ghes_severity(entry.severity)
    if severity is not GhesSeverity.RECOVERABLE or block_severity is not GhesSeverity.RECOVERABLE:
        return
    at = entry.body_offset + HEADER_SIZE
    left = _signed(entry.body_length) - HEADER_SIZE
    count = int.from_bytes(block[entry.body_offset + 4 : entry.body_offset + 6], "little")
    flags = Flag.ACTION_REQUIRED if synchronous else Flag.NONE
    while count and at < len(block):
        error = block[at : at + ERROR_INFO_SIZE].ljust(ERROR_INFO_SIZE, b"\0")
        _, length, valid, kind, _, _, _, _, address = ErrorInfo.codec.unpack(error)
        if behaviour.checks_arm_length and left < max(length, ERROR_INFO_SIZE):
            return
        repeats = 1 if length else min(count, _REPEATS_MAX)
        if kind & _CACHE and valid & _HAS_PA:
            for _ in range(repeats):
                yield PageFailure(address, flags)
        else:
            yield Unhandled(resets=False)
        count = count - 1 if length else 0
        left, at = left - length, at + length


def _signed(length: int) -> int:
    """A 32-bit length as the kernel's int holds it."""
    return length - (length >> 31 << 32)


def _pcie(block: bytes, entry: Entry) -> Wanted:
    """ghes_handle_aer(): a reset that firmware made turns any severity into fatal."""
    body = entry.body_offset
    valid = _u64(block, body)
    if not (valid & PCIE_VALID_DEVICE_ID and valid & PCIE_VALID_AER):
        return Unhandled(resets=False)
    place = block[body + _DEVICE_OFFSET : body + _DEVICE_OFFSET + 12].ljust(12, b"\0")
    function, device, segment, bus = place[7], place[8], int.from_bytes(place[9:11], "little"), place[11]
    severity = AerSeverity.CORRECTABLE
    if entry.severity in _AER_SEVERITY:
        severity = _AER_SEVERITY[Severity(entry.severity)]
    if entry.flags & _RESET:
        severity = AerSeverity.FATAL
    return DeviceRecovery(segment << 16 | bus << 8 | (device & 0x1F) << 3 | function & 7, severity)


def wanted(
    block: bytes, entries: Sequence[Entry], block_severity: int, behaviour: Behaviour, *, synchronous: bool
) -> Iterator[Wanted]:
    """What the sections of a record ask for, in order."""
    severity = ghes_severity(block_severity)
    for entry in entries:
        if entry.section_type == MEMORY_GUID:
            yield _memory(block, entry, severity, synchronous=synchronous)
        elif entry.section_type == ARM_GUID:
            yield from _arm(block, entry, severity, behaviour, synchronous=synchronous)
        elif entry.section_type == PCIE_GUID:
            yield _pcie(block, entry)
        else:
            yield Unhandled(resets=False)
