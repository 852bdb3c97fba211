"""Bodies of every section type, drawn from their declarations.

The table SECTIONS has one row for each kind of body; a type with several forms has several rows. All of them
are accepted by the decoders of nodes.spec.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from fleet.decode import arm, sections
from fleet.decode.view import Show
from fleet.sample.values import layout_of, number, register_of, subset
from fleet.scenario.draws import Stream
from nodes.linux.dmesg_cxl import CxlProtocolSection
from nodes.spec.arm_ras_section import (
    ARM_RAS_GUID,
    HEADER_SIZE,
    ArmRasHeader,
    AuxiliaryContextHead,
    AuxiliaryHeader,
    AuxiliaryRegister,
    ErrorRecordEntry,
    KeyValue,
)
from nodes.spec.arm_section import (
    ARM_GUID,
    CONTEXTS,
    ERROR_INFO_SIZE,
    INFORMATION_FIELDS,
    ArmHeader,
    Context,
    ContextType,
    Dialect,
    ErrorInfo,
    ErrorInformation,
    ErrorKind,
    MiscRegister,
    arm_section,
    type_byte,
)
from nodes.spec.err import ErrStatus
from nodes.spec.guid import guid
from nodes.spec.layout import Layout
from nodes.spec.memory_sections import (
    MEMORY2_GUID,
    MEMORY_GUID,
    VALID_BANK_ADDRESS,
    VALID_BANK_GROUP,
    VALID_CHIP_ID,
    VALID_ROW_EXTENDED,
    MemorySection,
    MemorySection2,
    MemorySectionOld,
)
from nodes.spec.platform_sections import (
    FIRMWARE_GUID,
    PCIE_GUID,
    PCIE_VALID_DEVICE_ID,
    PCIE_VALID_RCRB,
    PCIE_VALID_RCRB_HIGH,
    PROCESSOR_GUID,
    FirmwareReference,
    FirmwareReferenceOld,
    PcieSection,
    ProcessorSection,
)
from nodes.spec.sections import OTHER_NAMES

UNKNOWN_SIZE_MAX: Final = 300  # bytes of a section that nobody knows
CXL_PROTOCOL_GUID: Final = guid("80b9efb4-52b5-4de3-a777-68784b771048")
CXL_ERROR_LOG_SIZE: Final = 88  # bytes that a reader takes, whatever length is written
CXL_VALID_ERROR_LOG: Final = 1 << 6
_ERRORS_MAX: Final = 4  # of one ARM section
_CONTEXTS_MAX: Final = 4
_RECORDS_MAX: Final = 4  # of one Arm RAS section
_TAIL_MAX: Final = 40  # bytes behind a section
_MEMORY_EXTRA: Final = (VALID_ROW_EXTENDED, VALID_BANK_GROUP, VALID_BANK_ADDRESS, VALID_CHIP_ID)
VALID_BANK_PARTS_2: Final = (20, 21)  # validity bits of memory section 2: bank group, bank address
_VALID_BANK: Final = 1 << MemorySection.valid_bits["bank"]
_VALID_ROW: Final = 1 << MemorySection.valid_bits["row"]


class BodyKind(NamedTuple):
    """One kind of section body."""

    name: str
    section_type: bytes
    draw: Callable[[Stream], bytes]


def _plain(kind: type[Layout], table: tuple[Show, ...]) -> Callable[[Stream], bytes]:
    return lambda stream: layout_of(stream, kind, table).encode()


def _memory(stream: Stream) -> bytes:
    valid = subset(stream, MemorySection.valid_bits.values())
    valid |= sum(mask for mask in _MEMORY_EXTRA if stream.chance(1, 3))
    if valid & (VALID_BANK_GROUP | VALID_BANK_ADDRESS):
        valid &= ~_VALID_BANK  # UEFI: either the bank or its group and address
    if valid & VALID_ROW_EXTENDED:
        valid &= ~_VALID_ROW
    return layout_of(stream, MemorySection, sections.MEMORY, validation_bits=valid).encode()


def _memory2(stream: Stream) -> bytes:
    valid = subset(stream, (*MemorySection2.valid_bits.values(), *VALID_BANK_PARTS_2))
    if any(valid >> bit & 1 for bit in VALID_BANK_PARTS_2):
        valid &= ~(1 << MemorySection2.valid_bits["bank"])
    return layout_of(stream, MemorySection2, sections.MEMORY2, validation_bits=valid).encode()


def _pcie(stream: Stream) -> bytes:
    section = layout_of(stream, PcieSection, sections.PCIE)
    if not stream.chance(1, 4):
        return section.encode()
    rcrb = PCIE_VALID_RCRB | (PCIE_VALID_RCRB_HIGH if stream.chance(1, 2) else 0)
    valid = section.validation_bits & ~PCIE_VALID_DEVICE_ID | rcrb  # UEFI: never both
    return msgspec.structs.replace(section, validation_bits=valid, reserved=stream.octets(4)).encode()


def _firmware(stream: Stream) -> bytes:
    revision = stream.one_of((0, 1, 2, 2))
    record_id = 0 if revision else number(stream, 64)
    body = layout_of(stream, FirmwareReference, sections.FIRMWARE, revision=revision, record_id=record_id)
    return body.encode() + stream.octets(stream.below(_TAIL_MAX))


def _firmware_old(stream: Stream) -> bytes:
    return layout_of(stream, FirmwareReferenceOld, sections.FIRMWARE_OLD, revision=0).encode()


def _type_byte(stream: Stream) -> int:
    match stream.below(8):
        case 0:
            return stream.below(256)
        case 1:
            return subset(stream, range(1, 5))
        case 2:
            return type_byte(stream.one_of(tuple(ErrorKind)), stream.one_of(tuple(Dialect)))
        case _:
            return type_byte(stream.one_of(tuple(ErrorKind)))


def error_info(stream: Stream) -> ErrorInfo:
    """Error information of any kind, in any dialect."""
    word = register_of(stream, ErrorInformation) & ~ErrorInformation.VALID.mask
    word |= subset(stream, range(len(INFORMATION_FIELDS)))
    drawn = word if stream.chance(7, 8) else number(stream, 64)
    return layout_of(
        stream,
        ErrorInfo,
        arm.ERROR_INFO,
        version=0,
        length=ERROR_INFO_SIZE,
        type=_type_byte(stream),
        error_info=drawn,
    )


def context(stream: Stream) -> Context:
    """A register context of any type; now and then of an odd size or of a type that nobody knows."""
    kind = stream.one_of(tuple(ContextType))
    size = MiscRegister.codec.size if kind is ContextType.MISC else CONTEXTS[kind].size
    if stream.chance(1, 8):
        return Context(int(kind) if stream.chance(1, 2) else number(stream, 16), stream.octets(stream.below(size)))
    return Context(int(kind), stream.octets(size))


def _arm(stream: Stream) -> bytes:
    errors = tuple(error_info(stream) for _ in range(stream.between(1, _ERRORS_MAX)))
    contexts = tuple(context(stream) for _ in range(stream.below(_CONTEXTS_MAX + 1)))
    vendor = stream.octets(stream.below(_TAIL_MAX)) if stream.chance(1, 3) else b""
    header = layout_of(stream, ArmHeader, arm.HEADER, validation_bits=subset(stream, range(4)))
    return arm_section(errors, contexts, vendor, header=header).encode()


def _auxiliary(stream: Stream) -> bytes:
    contexts = b""
    count = stream.below(3)
    for _ in range(count):
        registers = [layout_of(stream, AuxiliaryRegister).encode() for _ in range(stream.below(4))]
        length = AuxiliaryContextHead.codec.size + sum(map(len, registers))
        head = layout_of(stream, AuxiliaryContextHead, length=length, register_count=len(registers))
        contexts += head.encode() + b"".join(registers)
    pairs = [layout_of(stream, KeyValue).encode() for _ in range(stream.below(3))]
    pairs_at = AuxiliaryHeader.codec.size + len(contexts)
    size = pairs_at + sum(map(len, pairs))
    header = AuxiliaryHeader(1, 0, count, size, pairs_at, len(pairs), 0)
    return header.encode() + contexts + b"".join(pairs)


def _arm_ras(stream: Stream) -> bytes:
    gap = bytes(8) if stream.chance(1, 4) else b""
    entries = b"".join(
        layout_of(stream, ErrorRecordEntry, record_index=i, status=register_of(stream, ErrStatus)).encode()
        for i in range(stream.below(_RECORDS_MAX + 1))
    )
    auxiliary = _auxiliary(stream) if stream.chance(1, 2) else b""
    header = layout_of(
        stream,
        ArmRasHeader,
        arm.RAS_HEADER,
        revision=1,
        entry_count=len(entries) // ErrorRecordEntry.codec.size,
        array_offset=HEADER_SIZE + len(gap),
        auxiliary_offset=HEADER_SIZE + len(gap) + len(entries) if auxiliary else 0,
    )
    return header.encode() + gap + entries + auxiliary


def _cxl_protocol(stream: Stream) -> bytes:
    dvsec = stream.octets(stream.one_of((0, 4, 60, stream.below(_TAIL_MAX))))
    error_log = stream.octets(stream.one_of((0, CXL_ERROR_LOG_SIZE)))
    valid = subset(stream, range(7))
    head = layout_of(
        stream,
        CxlProtocolSection,
        validation_bits=valid if error_log else valid & ~CXL_VALID_ERROR_LOG,
        agent_type=stream.below(10),
        dvsec_length=len(dvsec),
        error_log_length=len(error_log),
    )
    return head.encode() + dvsec + error_log


def _unknown(stream: Stream) -> bytes:
    return stream.octets(stream.one_of((0, 1, 15, 16, 17, 64, stream.below(UNKNOWN_SIZE_MAX))))


SECTIONS: Final = (
    BodyKind("memory", MEMORY_GUID, _memory),
    BodyKind("memory of 73 bytes", MEMORY_GUID, _plain(MemorySectionOld, sections.MEMORY_OLD)),
    BodyKind("memory 2", MEMORY2_GUID, _memory2),
    BodyKind("ARM processor", ARM_GUID, _arm),
    BodyKind("Arm RAS", ARM_RAS_GUID, _arm_ras),
    BodyKind("PCIe", PCIE_GUID, _pcie),
    BodyKind("generic processor", PROCESSOR_GUID, _plain(ProcessorSection, sections.PROCESSOR)),
    BodyKind("firmware reference", FIRMWARE_GUID, _firmware),
    BodyKind("firmware reference of 16 bytes", FIRMWARE_GUID, _firmware_old),
    BodyKind("CXL protocol", CXL_PROTOCOL_GUID, _cxl_protocol),
    *(
        BodyKind(name, section_type, _unknown)
        for section_type, name in OTHER_NAMES.items()
        if section_type != CXL_PROTOCOL_GUID
    ),
    BodyKind("unknown", b"", _unknown),  # of a type that is drawn too
)
