"""What Linux prints of an ARM processor section.

The type byte is read as the mask of UEFI 2.9A. Error information is printed in strides of 32 bytes, whatever its
length byte says, and the section length is held against the entry's body, not the number of contexts.

Sources: Linux 6.1.192 and 6.12.117 drivers/firmware/efi/cper-arm.c, include/linux/cper.h.
"""

from typing import Final

from nodes.linux.dmesg_sections import PROCESSOR_ERRORS, signed
from nodes.linux.estatus import Entry
from nodes.linux.printk import Log, Memory
from nodes.spec.arm_section import (
    COMMON_FIELD_COUNT,
    CONTEXT_HEAD_SIZE,
    ERROR_INFO_SIZE,
    HEADER_SIZE,
    INFORMATION_FIELDS,
    TYPE_MASK_2_9A,
    ArmHeader,
    ArmValid,
    ErrorInfo,
    ErrorInfoFlag,
    ErrorInformation,
    ErrorInfoValid,
    ErrorKind,
    type_byte,
)

_INDENT: Final = 2
_PART_INDENT: Final = 3
_INFORMATION_INDENT: Final = 4
_UNSIGNED: Final = 0xFFFF_FFFF

CONTEXTS: Final = (  # index: context type; a higher one is refused
    "AArch32 general purpose registers",
    "AArch32 EL1 context registers",
    "AArch32 EL2 context registers",
    "AArch32 secure context registers",
    "AArch64 general purpose registers",
    "AArch64 EL1 context registers",
    "AArch64 EL2 context registers",
    "AArch64 EL3 context registers",
    "Misc. system register structure",
)
FLAGS: Final = (
    (ErrorInfoFlag.FIRST, "first error captured"),
    (ErrorInfoFlag.LAST, "last error captured"),
    (ErrorInfoFlag.PROPAGATED, "propagated error captured"),
    (ErrorInfoFlag.OVERFLOW, "overflow occurred, error info is incomplete"),
)
_OPERATIONS: Final = (
    "Generic error (type cannot be determined)",
    "Generic read (type of instruction or data request cannot be determined)",
    "Generic write (type of instruction of data request cannot be determined)",
    "Data read",
    "Data write",
    "Instruction fetch",
    "Prefetch",
)
_CACHE_OPERATIONS: Final = (
    *_OPERATIONS,
    "Eviction",
    "Snooping (processor initiated a cache snoop that resulted in an error)",
    "Snooped (processor raised a cache error caused by another processor or device snooping its cache)",
    "Management",
)
_TLB_OPERATIONS: Final = (
    *_OPERATIONS,
    "Local management operation (processor initiated a TLB management operation that resulted in an error)",
    (
        "External management operation (processor raised a TLB error caused by another processor or device "
        "broadcasting TLB operations)"
    ),
)
# One line for each kind that the type byte names, in this order. A value without a text prints nothing.
_BY_KIND: Final = {
    "OPERATION": {
        ErrorKind.CACHE: tuple(f"cache error, operation type: {text}" for text in _CACHE_OPERATIONS),
        ErrorKind.TLB: tuple(f"TLB error, operation type: {text}" for text in _TLB_OPERATIONS),
        ErrorKind.BUS: tuple(f"bus error, operation type: {text}" for text in _OPERATIONS),
    },
    "LEVEL": {
        ErrorKind.CACHE: tuple(f"cache level: {level}" for level in range(8)),
        ErrorKind.TLB: tuple(f"TLB level: {level}" for level in range(8)),
        ErrorKind.BUS: tuple(f"affinity level at which the bus error occurred: {level}" for level in range(8)),
    },
}
_BY_VALUE: Final = {
    "TRANSACTION": (
        "transaction type: Instruction",
        "transaction type: Data Access",
        "transaction type: Generic",
    ),
    "CONTEXT_CORRUPT": ("processor context not corrupted", "processor context corrupted"),
    "CORRECTED": ("the error has not been corrected", "the error has been corrected"),
    "PRECISE_PC": ("PC is imprecise", "PC is precise"),
    "RESTARTABLE_PC": (
        "",
        "Program execution can be restarted reliably at the PC associated with the error.",
    ),
    "PARTICIPATION": (
        "participation type: Local processor originated request",
        "participation type: Local processor responded to request",
        "participation type: Local processor observed",
        "participation type: Generic",
    ),
    "TIMEOUT": ("", "request timed out"),
    "ADDRESS_SPACE": (
        "address space: External Memory Access",
        "address space: Internal Memory Access",
        "address space: Unknown",
        "address space: Device Memory Access",
    ),
    "MEMORY_ATTRIBUTES": tuple(f"memory access attributes:0x{value:x}" for value in range(1 << 9)),
    "ACCESS_MODE": ("access mode: secure", "access mode: normal"),
}


def print_arm(log: Log, memory: Memory, entry: Entry) -> None:
    """cper_print_proc_arm()."""
    header = ArmHeader.decode(memory.read(entry.body_offset, HEADER_SIZE))
    log.say(_INDENT, f"MIDR: 0x{header.midr:016x}")
    left = signed(header.section_length - HEADER_SIZE - ERROR_INFO_SIZE * header.error_info_count & _UNSIGNED)
    if left < 0 or header.section_length > entry.body_length:
        _say_refused(log, header, entry.body_length, "small" if left < 0 else "big")
        return
    _say_header(log, header)
    at = entry.body_offset + HEADER_SIZE
    for number in range(header.error_info_count):
        _say_error_info(log, number, ErrorInfo.decode(memory.read(at, ERROR_INFO_SIZE)))
        at += ERROR_INFO_SIZE
    for number in range(header.context_count):
        size = _say_context(log, memory, at, number, left)
        if not size:
            return
        at += size
        left -= size
    if left > 0:
        log.say(_INDENT, f"Vendor specific error info has {left} bytes:")
        log.dump_with_text(_PART_INDENT, memory.span(at, left))


def _say_refused(log: Log, header: ArmHeader, body_length: int, how: str) -> None:
    log.say(_INDENT, f"section length: {signed(header.section_length)}, CPER size: {signed(body_length)}")
    log.say(_INDENT, f"section length is too {how}")
    log.say(_INDENT, "firmware-generated error record is incorrect")
    log.say(_INDENT, f"ERR_INFO_NUM is {header.error_info_count}")


def _say_header(log: Log, header: ArmHeader) -> None:
    if header.validation_bits & ArmValid.MPIDR:
        log.say(_INDENT, f"Multiprocessor Affinity Register (MPIDR): 0x{header.mpidr:016x}")
    if header.validation_bits & ArmValid.AFFINITY_LEVEL:
        log.say(_INDENT, f"error affinity level: {header.affinity_level}")
    if header.validation_bits & ArmValid.RUNNING_STATE:
        log.say(_INDENT, f"running state: 0x{header.running_state:x}")
        log.say(_INDENT, f"Power State Coordination Interface state: {signed(header.psci_state)}")


def _say_error_info(log: Log, number: int, error: ErrorInfo) -> None:
    valid = error.validation_bits
    log.say(_INDENT, f"Error info structure {number}:")
    log.say(_INDENT, f"num errors: {error.multiple_error + 1}")
    if valid & ErrorInfoValid.FLAGS:
        for flag, text in FLAGS:
            if error.flags & flag:
                log.say(_PART_INDENT, text)
    kinds = "|".join(name for i, name in enumerate(PROCESSOR_ERRORS) if error.type >> 1 & 1 << i)
    reserved = " with reserved bit(s)" if error.type & ~TYPE_MASK_2_9A else ""
    log.say(_PART_INDENT, f"error_type: 0x{error.type:02x}: {kinds}{reserved}")
    if valid & ErrorInfoValid.ERROR_INFO:
        log.say(_PART_INDENT, f"error_info: 0x{error.error_info:016x}")
        for text in information_lines(error.type, error.error_info):
            log.say(_INFORMATION_INDENT, text)
    if valid & ErrorInfoValid.VIRTUAL_ADDRESS:
        log.say(_PART_INDENT, f"virtual fault address: 0x{error.virtual_fault_address:016x}")
    if valid & ErrorInfoValid.PHYSICAL_ADDRESS:
        log.say(_PART_INDENT, f"physical fault address: 0x{error.physical_fault_address:016x}")


def information_lines(kinds: int, word: int) -> list[str]:
    """What Linux makes of an error information word; ``kinds`` is the type byte.

    A micro-architectural word is the vendor's and is not read; the fields of a bus error only if the byte
    names nothing but the bus.
    """
    if kinds & type_byte(ErrorKind.MICRO_ARCHITECTURAL):
        return []
    bus_only = kinds == type_byte(ErrorKind.BUS)
    information = ErrorInformation(word)
    lines = []
    for index, name in enumerate(INFORMATION_FIELDS if bus_only else INFORMATION_FIELDS[:COMMON_FIELD_COUNT]):
        if word >> index & 1:
            value: int = getattr(information, name)
            if name in _BY_KIND:
                by_kind = _BY_KIND[name]
                tables = [by_kind[kind] for kind in by_kind if kinds & type_byte(kind)]
            else:
                tables = [_BY_VALUE[name]]
            lines += [table[value] for table in tables if value < len(table) and table[value]]
    return lines


def _say_context(log: Log, memory: Memory, at: int, number: int, left: int) -> int:
    """Print one context; its size in bytes, or 0 where Linux gives up."""
    head = memory.read(at, CONTEXT_HEAD_SIZE)
    kind, array_size = int.from_bytes(head[2:4], "little"), int.from_bytes(head[4:], "little")
    size = signed(CONTEXT_HEAD_SIZE + array_size & _UNSIGNED)
    log.say(_INDENT, f"Context info structure {number}:")
    if left < size:
        log.say(_PART_INDENT, "section length is too small")
        log.say(_INDENT, "firmware-generated error record is incorrect")
        return 0
    if kind >= len(CONTEXTS):
        log.say(_PART_INDENT, f"Invalid context type: {kind} (max: {len(CONTEXTS) - 1})")
        return 0
    log.say(_PART_INDENT, f"register context type: {CONTEXTS[kind]}")
    log.dump(_PART_INDENT, memory.span(at + CONTEXT_HEAD_SIZE, array_size))
    return size
