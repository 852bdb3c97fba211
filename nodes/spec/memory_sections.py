"""Memory error sections 1 (80 bytes, and 73 bytes in old firmware) and 2 (96 bytes), and the error status word.

The two number their validity bits differently above bit 9. Sources: UEFI 2.11 appendix N.2.5, N.2.6, tables N.23
to N.26; Linux include/linux/cper.h; openbmc/libcper.
"""

from enum import IntEnum
from typing import ClassVar, Final

from nodes.spec.bits import Field, Register
from nodes.spec.guid import guid
from nodes.spec.layout import Layout, layout, u8, u16, u32, u64

MEMORY_GUID: Final = guid("a5bc1114-6f64-4ede-b863-3e83ed7c83b1")
MEMORY2_GUID: Final = guid("61ec04fc-48e6-d813-25c9-8daa44750b12")
MEMORY_SIZE: Final = 80  # bytes
MEMORY_SIZE_OLD: Final = 73  # bytes, UEFI 2.1 and 2.2
VALID_PA: Final = 1 << 1
VALID_TYPE: Final = 1 << 14
BEYOND_OLD: Final = ~((1 << 15) - 1)  # validity bits of fields that the old section lacks


class ErrorType(IntEnum):
    """Type field of the error status word."""

    INTERNAL = 1
    MEMORY_STORAGE = 4
    TLB_STORAGE = 5
    CACHE_STORAGE = 6
    FUNCTIONAL_UNIT = 7
    SELF_TEST = 8
    QUEUE_OVERFLOW = 9
    BUS = 16
    VIRTUAL_MAP = 17
    IMPROPER_ACCESS = 18
    UNIMPLEMENTED_ADDRESS = 19
    LOCKSTEP_LOSS = 20
    STRAY_RESPONSE = 21
    BUS_PARITY = 22  # must also set ADDRESS, CONTROL or DATA
    PROTOCOL = 23
    PATH = 24
    BUS_TIMEOUT = 25
    POISON_READ = 26


class ErrorStatus(Register, width=64):
    """Error status word of memory sections."""

    OVERFLOW = Field(22, says="errors were lost")
    FIRST_ERROR = Field(21, says="the first of several errors")
    REQUESTER = Field(20, says="detected by the requester")
    RESPONDER = Field(19, says="detected by the responder")
    DATA = Field(18, says="on the data signals")
    CONTROL = Field(17, says="on the control signals")
    ADDRESS = Field(16, says="on the address signals")
    TYPE = Field(15, 8, says="type of the error", values=ErrorType)


class MemoryErrorType(IntEnum):
    """What happened to the memory."""

    UNKNOWN = 0
    NO_ERROR = 1
    SINGLE_BIT_ECC = 2
    MULTI_BIT_ECC = 3
    SINGLE_SYMBOL_CHIPKILL = 4
    MULTI_SYMBOL_CHIPKILL = 5
    MASTER_ABORT = 6
    TARGET_ABORT = 7
    PARITY = 8
    WATCHDOG_TIMEOUT = 9
    INVALID_ADDRESS = 10
    MIRROR_BROKEN = 11
    SPARING = 12
    SCRUB_CORRECTED = 13
    SCRUB_UNCORRECTED = 14
    MAP_OUT = 15


class Extended(Register, width=8):
    """Extended byte of memory section 1."""

    CHIP_ID = Field(7, 5, says="chip id of the error (validity bit 21)")
    ROW = Field(1, 0, says="row bits 17:16 (validity bit 18)")


@layout(size=MEMORY_SIZE_OLD)
class MemorySectionOld(Layout, frozen=True, gc=False):
    """Memory error section as UEFI 2.1 and 2.2 had it."""

    validation_bits: u64
    error_status: u64 = 0  # ErrorStatus
    physical_address: u64 = 0
    physical_address_mask: u64 = 0
    node: u16 = 0
    card: u16 = 0
    module: u16 = 0
    bank: u16 = 0
    device: u16 = 0
    row: u16 = 0
    column: u16 = 0
    bit_position: u16 = 0
    requestor_id: u64 = 0
    responder_id: u64 = 0
    target_id: u64 = 0
    memory_error_type: u8 = 0  # MemoryErrorType

    valid_bits: ClassVar[dict[str, int]] = {
        "error_status": 0,
        "physical_address": 1,
        "physical_address_mask": 2,
        "node": 3,
        "card": 4,
        "module": 5,
        "bank": 6,
        "device": 7,
        "row": 8,
        "column": 9,
        "bit_position": 10,
        "requestor_id": 11,
        "responder_id": 12,
        "target_id": 13,
        "memory_error_type": 14,
    }


@layout(size=MEMORY_SIZE)
class MemorySection(Layout, frozen=True, gc=False):
    """Memory error section 1. Bank: group in bits 15:8, address in 7:0, when bits 19 and 20 say so."""

    validation_bits: u64
    error_status: u64 = 0  # ErrorStatus
    physical_address: u64 = 0
    physical_address_mask: u64 = 0
    node: u16 = 0
    card: u16 = 0
    module: u16 = 0
    bank: u16 = 0
    device: u16 = 0
    row: u16 = 0
    column: u16 = 0
    bit_position: u16 = 0
    requestor_id: u64 = 0
    responder_id: u64 = 0
    target_id: u64 = 0
    memory_error_type: u8 = 0  # MemoryErrorType
    extended: u8 = 0  # Extended
    rank_number: u16 = 0
    card_handle: u16 = 0  # SMBIOS type 16
    module_handle: u16 = 0  # SMBIOS type 17

    valid_bits: ClassVar[dict[str, int]] = {
        **MemorySectionOld.valid_bits,
        "rank_number": 15,
        "card_handle": 16,
        "module_handle": 17,
    }


# Validity bits of section 1 that stand for a part of a field.
VALID_ROW_EXTENDED: Final = 1 << 18
VALID_BANK_GROUP: Final = 1 << 19
VALID_BANK_ADDRESS: Final = 1 << 20
VALID_CHIP_ID: Final = 1 << 21


@layout(size=96)
class MemorySection2(Layout, frozen=True, gc=False):
    """Memory error section 2; validity bits 20 and 21 stand for bank group and bank address."""

    validation_bits: u64
    error_status: u64 = 0  # ErrorStatus
    physical_address: u64 = 0
    physical_address_mask: u64 = 0
    node: u16 = 0
    card: u16 = 0
    module: u16 = 0
    bank: u16 = 0
    device: u32 = 0
    row: u32 = 0
    column: u32 = 0
    rank: u32 = 0
    bit_position: u32 = 0
    chip_id: u8 = 0
    memory_error_type: u8 = 0  # MemoryErrorType
    status: u8 = 0  # bit 0: 0 corrected, 1 uncorrected
    reserved: u8 = 0
    requestor_id: u64 = 0
    responder_id: u64 = 0
    target_id: u64 = 0
    card_handle: u32 = 0
    module_handle: u32 = 0

    valid_bits: ClassVar[dict[str, int]] = {
        "error_status": 0,
        "physical_address": 1,
        "physical_address_mask": 2,
        "node": 3,
        "card": 4,
        "module": 5,
        "bank": 6,
        "device": 7,
        "row": 8,
        "column": 9,
        "rank": 10,
        "bit_position": 11,
        "chip_id": 12,
        "memory_error_type": 13,
        "status": 14,
        "requestor_id": 15,
        "responder_id": 16,
        "target_id": 17,
        "card_handle": 18,
        "module_handle": 19,
    }
