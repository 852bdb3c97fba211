"""ARM processor error section: header, error information, register contexts, vendor data.

The type byte of error information has three dialects, all with version 0: an enumeration (UEFI up to 2.9), a
mask from bit 1 (2.9A and 2.10; what current kernels read, the default here) and a mask from bit 0 (2.11). A
decoder takes the dialect as a parameter. UEFI 2.11 pads each context to 16 bytes, which no reader does: padding
is a choice of the encoder and off by default.

Sources: UEFI 2.11 appendix N.2.4.4, tables N.16 to N.31; Linux drivers/firmware/efi/cper-arm.c,
include/linux/cper.h; openbmc/libcper sections/cper-section-arm.c.
"""

from enum import IntEnum, IntFlag, StrEnum
from typing import ClassVar, Final, Self

import msgspec

from nodes.spec.bits import Field, Register
from nodes.spec.guid import guid
from nodes.spec.layout import Layout, Malformed, Octets3, Reader, layout, u8, u16, u32, u64

ARM_GUID: Final = guid("e19e3d16-bc11-11e4-9caa-c2051d5d46b0")
HEADER_SIZE: Final = 40  # bytes
ERROR_INFO_SIZE: Final = 32  # bytes
CONTEXT_HEAD_SIZE: Final = 8  # bytes
CONTEXT_ALIGNMENT: Final = 16  # bytes, when contexts are padded


class ArmValid(IntFlag):
    """Validation bits of the section header."""

    MPIDR = 1 << 0
    AFFINITY_LEVEL = 1 << 1
    RUNNING_STATE = 1 << 2
    VENDOR_INFO = 1 << 3


class ErrorInfoValid(IntFlag):
    """Validation bits of error information."""

    MULTIPLE_ERROR = 1 << 0
    FLAGS = 1 << 1
    ERROR_INFO = 1 << 2
    VIRTUAL_ADDRESS = 1 << 3
    PHYSICAL_ADDRESS = 1 << 4


class ErrorInfoFlag(IntFlag):
    """Flags of error information."""

    FIRST = 1 << 0
    LAST = 1 << 1
    PROPAGATED = 1 << 2
    OVERFLOW = 1 << 3


class ErrorKind(IntEnum):
    """What failed, in the order in which every dialect numbers it."""

    CACHE = 0
    TLB = 1
    BUS = 2
    MICRO_ARCHITECTURAL = 3


KIND_NAMES: Final = ("cache", "TLB", "bus", "micro-arch")  # index: ErrorKind


class Dialect(StrEnum):
    """How the type byte is read."""

    ENUMERATION = "enumeration"  # UEFI up to 2.9, edk2, older Linux
    MASK_2_9A = "2.9A"  # UEFI 2.9A and 2.10, QEMU, current Linux
    MASK_2_11 = "2.11"  # UEFI 2.11, libcper


_FIRST_BIT: Final = {Dialect.MASK_2_9A: 1, Dialect.MASK_2_11: 0}
TYPE_MASK_2_9A: Final = 0x1E


def type_byte(kind: ErrorKind, dialect: Dialect = Dialect.MASK_2_9A) -> int:
    """The type byte that names one kind."""
    return int(kind) if dialect is Dialect.ENUMERATION else 1 << (kind + _FIRST_BIT[dialect])


def kinds_of(byte: int, dialect: Dialect = Dialect.MASK_2_9A) -> tuple[ErrorKind, ...]:
    """The kinds that a type byte names; reserved values and bits name none."""
    if dialect is Dialect.ENUMERATION:
        return (ErrorKind(byte),) if byte in ErrorKind._value2member_map_ else ()
    first = _FIRST_BIT[dialect]
    return tuple(kind for kind in ErrorKind if byte >> (kind + first) & 1)


class Transaction(IntEnum):
    """Transaction type."""

    INSTRUCTION = 0
    DATA = 1
    GENERIC = 2


class Operation(IntEnum):
    """Operation type; 0 to 6 are common, the rest differs."""

    GENERIC = 0
    GENERIC_READ = 1
    GENERIC_WRITE = 2
    DATA_READ = 3
    DATA_WRITE = 4
    INSTRUCTION_FETCH = 5
    PREFETCH = 6
    CACHE_EVICTION = 7  # TLB: local management
    CACHE_SNOOPING = 8  # TLB: external management
    CACHE_SNOOPED = 9
    CACHE_MANAGEMENT = 10


class ErrorInformation(Register, width=64):
    """Error information word of cache and TLB errors; bus errors go on to bit 43."""

    ACCESS_MODE = Field(43, says="bus: 0 secure, 1 normal")
    MEMORY_ATTRIBUTES = Field(42, 34, says="bus: memory attributes of the access")
    ADDRESS_SPACE = Field(33, 32, says="bus: 0 external memory, 1 internal memory, 2 unknown, 3 device memory")
    TIMEOUT = Field(31, says="bus: the request timed out")
    PARTICIPATION = Field(30, 29, says="bus: 0 originated, 1 responded, 2 observed, 3 generic")
    RESTARTABLE_PC = Field(28, says="execution can restart at the PC")
    PRECISE_PC = Field(27, says="the PC is the one of the error")
    CORRECTED = Field(26, says="the error was corrected")
    CONTEXT_CORRUPT = Field(25, says="the processor's context is corrupt")
    LEVEL = Field(24, 22, says="cache or TLB level; bus: affinity level")
    OPERATION = Field(21, 18, says="operation", values=Operation)
    TRANSACTION = Field(17, 16, says="transaction", values=Transaction)
    VALID = Field(15, 0, says="validity bits of the fields above, from transaction (bit 0) up")


# Validity bit -> field of ErrorInformation; the last five exist for bus errors only.
INFORMATION_FIELDS: Final = (
    "TRANSACTION",
    "OPERATION",
    "LEVEL",
    "CONTEXT_CORRUPT",
    "CORRECTED",
    "PRECISE_PC",
    "RESTARTABLE_PC",
    "PARTICIPATION",
    "TIMEOUT",
    "ADDRESS_SPACE",
    "MEMORY_ATTRIBUTES",
    "ACCESS_MODE",
)
COMMON_FIELD_COUNT: Final = 7


def information(**fields: int) -> int:
    """An error information word with these fields (capitals as declared) and their validity bits."""
    valid = sum(1 << INFORMATION_FIELDS.index(name) for name in fields)
    return int(ErrorInformation.of(VALID=valid, **fields))


@layout(size=HEADER_SIZE)
class ArmHeader(Layout, frozen=True, gc=False):
    """Header of the section."""

    validation_bits: u32  # ArmValid
    error_info_count: u16  # at least 1
    context_count: u16
    section_length: u32  # bytes of the whole section
    affinity_level: u8 = 0  # 0 to 3; more is reserved
    reserved: Octets3 = bytes(3)
    mpidr: u64 = 0
    midr: u64 = 0
    running_state: u32 = 0  # bit 0: running
    psci_state: u32 = 0  # when not running

    valid_bits: ClassVar[dict[str, int]] = {"mpidr": 0, "affinity_level": 1, "running_state": 2}


@layout(size=ERROR_INFO_SIZE)
class ErrorInfo(Layout, frozen=True, gc=False):
    """Processor error information."""

    version: u8 = 0
    length: u8 = ERROR_INFO_SIZE  # bytes
    validation_bits: u16 = 0  # ErrorInfoValid
    type: u8 = 0  # by dialect
    multiple_error: u16 = 0  # 0 single, 1 several, 2 and more: the count
    flags: u8 = 0  # ErrorInfoFlag
    error_info: u64 = 0  # ErrorInformation; micro-architectural: vendor's
    virtual_fault_address: u64 = 0
    physical_fault_address: u64 = 0

    valid_bits: ClassVar[dict[str, int]] = {
        "multiple_error": 0,
        "flags": 1,
        "error_info": 2,
        "virtual_fault_address": 3,
        "physical_fault_address": 4,
    }


class ContextType(IntEnum):
    """Kind of a register context."""

    AARCH32_GPR = 0
    AARCH32_EL1 = 1
    AARCH32_EL2 = 2
    AARCH32_SECURE = 3
    AARCH64_GPR = 4
    AARCH64_EL1 = 5
    AARCH64_EL2 = 6
    AARCH64_EL3 = 7
    MISC = 8
    TRANSLATION = 9  # UEFI 2.11; Linux rejects it


_A32_EL1 = """DFAR DFSR IFAR ISR MAIR0 MAIR1 MIDR MPIDR NMRR PRRR SCTLR SPSR SPSR_abt SPSR_fiq SPSR_irq SPSR_svc
    SPSR_und TPIDRPRW TPIDRURO TPIDRURW TTBCR TTBR0 TTBR1 DACR"""
_A32_EL2 = """ELR_hyp HAMAIR0 HAMAIR1 HCR HCR2 HDFAR HIFAR HPFAR HSR HTCR HTPIDR HTTBR SPSR_hyp VTCR VTTBR
    DACR32_EL2"""
_A64_EL1 = """ELR_EL1 ESR_EL1 FAR_EL1 ISR_EL1 MAIR_EL1 MIDR_EL1 MPIDR_EL1 SCTLR_EL1 SP_EL0 SP_EL1 SPSR_EL1
    TCR_EL1 TPIDR_EL0 TPIDR_EL1 TPIDRRO_EL0 TTBR0_EL1 TTBR1_EL1"""
_A64_EL2 = """ELR_EL2 ESR_EL2 FAR_EL2 HACR_EL2 HCR_EL2 HPFAR_EL2 MAIR_EL2 SCTLR_EL2 SP_EL2 SPSR_EL2 TCR_EL2
    TPIDR_EL2 TTBR0_EL2 VTCR_EL2 VTTBR_EL2"""
_A64_EL3 = """ELR_EL3 ESR_EL3 FAR_EL3 MAIR_EL3 SCTLR_EL3 SP_EL3 SPSR_EL3 TCR_EL3 TPIDR_EL3 TTBR0_EL3"""


class ContextLayout(msgspec.Struct, frozen=True):
    """Registers of one context type, in order."""

    registers: tuple[str, ...]
    register_size: int  # bytes

    @property
    def size(self) -> int:
        """Bytes of the register array."""
        return len(self.registers) * self.register_size


CONTEXTS: Final[dict[int, ContextLayout]] = {
    ContextType.AARCH32_GPR: ContextLayout(tuple(f"R{i}" for i in range(16)), 4),
    ContextType.AARCH32_EL1: ContextLayout(tuple(_A32_EL1.split()), 4),
    ContextType.AARCH32_EL2: ContextLayout(tuple(_A32_EL2.split()), 4),
    ContextType.AARCH32_SECURE: ContextLayout(("SCTLR", "SPSR_mon"), 4),
    ContextType.AARCH64_GPR: ContextLayout((*(f"X{i}" for i in range(31)), "SP"), 8),
    ContextType.AARCH64_EL1: ContextLayout(tuple(_A64_EL1.split()), 8),
    ContextType.AARCH64_EL2: ContextLayout(tuple(_A64_EL2.split()), 8),
    ContextType.AARCH64_EL3: ContextLayout(tuple(_A64_EL3.split()), 8),
    ContextType.TRANSLATION: ContextLayout(
        ("TTBR0_EL1", "TTBR0_EL2", "TTBR0_EL3", "TTBR1_EL1", "TTBR1_EL2", "VTTBR_EL2"), 16
    ),
}


class MiscEncoding(Register, width=16):
    """MRS encoding of a misc register (context type 8). libcper takes two bits for Op0."""

    O0 = Field(14, says="Op0 minus 2")
    OP1 = Field(13, 11)
    CRN = Field(10, 7)
    CRM = Field(6, 3)
    OP2 = Field(2, 0)


@layout(size=10)
class MiscRegister(Layout, frozen=True, gc=False):
    """Misc system register: what it is and what it held."""

    encoding: u16  # MiscEncoding
    value: u64


class Context(msgspec.Struct, frozen=True, gc=False):
    """One register context; the size of the register array is what was stored, whatever the type asks for."""

    type: int  # ContextType
    registers: bytes
    version: int = 0
    padding: bytes = b""

    def encode(self) -> bytes:
        """Head, registers and padding."""
        head = self.version.to_bytes(2, "little") + self.type.to_bytes(2, "little")
        return head + len(self.registers).to_bytes(4, "little") + self.registers + self.padding

    def named(self) -> dict[str, int]:
        """Register name to value; empty where the type is unknown or the array has another size."""
        if self.type == ContextType.MISC and len(self.registers) == MiscRegister.codec.size:
            misc = MiscRegister.decode(self.registers)
            return {"encoding": misc.encoding, "value": misc.value}
        known = CONTEXTS.get(self.type)
        if known is None or len(self.registers) != known.size:
            return {}
        step = known.register_size
        return {
            name: int.from_bytes(self.registers[i * step : (i + 1) * step], "little")
            for i, name in enumerate(known.registers)
        }


def context_of(kind: ContextType, values: dict[str, int], *, padded: bool = False) -> Context:
    """A context of a known type; registers that are not named are 0."""
    known = CONTEXTS[kind]
    unknown = set(values) - set(known.registers)
    assert not unknown, f"{kind.name} has no {unknown}"
    registers = b"".join(values.get(name, 0).to_bytes(known.register_size, "little") for name in known.registers)
    spare = -(CONTEXT_HEAD_SIZE + len(registers)) % CONTEXT_ALIGNMENT if padded else 0
    return Context(kind, registers, padding=bytes(spare))


def place_in_context(kind: ContextType, register: str) -> slice:
    """The bytes of a register in an encoded context of a known type, its head counted."""
    known = CONTEXTS[kind]
    start = CONTEXT_HEAD_SIZE + known.registers.index(register) * known.register_size
    return slice(start, start + known.register_size)


class ArmSection(msgspec.Struct, frozen=True, gc=False):
    """A whole section. ``header`` counts and length are those of the parts."""

    header: ArmHeader
    errors: tuple[ErrorInfo, ...]
    contexts: tuple[Context, ...] = ()
    vendor: bytes = b""

    def encode(self) -> bytes:
        """The section's bytes."""
        return b"".join(
            (
                self.header.encode(),
                *(error.encode() for error in self.errors),
                *(context.encode() for context in self.contexts),
                self.vendor,
            )
        )

    @classmethod
    def decode(cls, source: bytes, offset: int = 0, *, padded: bool = False) -> Self:
        """The section at ``offset`` of ``source``; ``padded``: contexts lie on multiples of 16 bytes.

        Raises Malformed when the section length or a count lies, when there is no error information, and when
        an entry's own length is not the declared one.
        """
        header = ArmHeader.decode(source, offset)
        if not HEADER_SIZE <= header.section_length <= len(source) - offset:
            raise Malformed(
                "ArmSection",
                offset + 8,
                f"section length {header.section_length}, {len(source) - offset} bytes are there",
            )
        if not header.error_info_count:
            raise Malformed("ArmSection", offset + 4, "no error information")
        reader = Reader(
            source[offset : offset + header.section_length],
            "ArmSection",
            base=offset,
            limit=header.section_length,
        )
        reader.take(HEADER_SIZE, "header")
        errors = tuple(_error_info(reader) for _ in range(header.error_info_count))
        contexts = tuple(_context(reader, padded=padded) for _ in range(header.context_count))
        return cls(header, errors, contexts, reader.take(reader.left(), "vendor data"))


def _error_info(reader: Reader) -> ErrorInfo:
    at = reader.at
    error = reader.take_layout(ErrorInfo)
    if error.length != ERROR_INFO_SIZE:
        reader.at = at
        raise reader.refuse(f"error information of length {error.length}, expected {ERROR_INFO_SIZE}")
    return error


def _context(reader: Reader, *, padded: bool) -> Context:
    head = reader.take(CONTEXT_HEAD_SIZE, "context head")
    size = int.from_bytes(head[4:], "little")
    registers = reader.take(size, "context registers")
    spare = -(CONTEXT_HEAD_SIZE + size) % CONTEXT_ALIGNMENT if padded else 0
    return Context(
        type=int.from_bytes(head[2:4], "little"),
        registers=registers,
        version=int.from_bytes(head[:2], "little"),
        padding=reader.take(min(spare, reader.left()), "context padding"),
    )


def arm_section(
    errors: tuple[ErrorInfo, ...],
    contexts: tuple[Context, ...] = (),
    vendor: bytes = b"",
    *,
    header: ArmHeader,
) -> ArmSection:
    """A section from its parts: counts and length of ``header`` are computed."""
    length = HEADER_SIZE + ERROR_INFO_SIZE * len(errors) + len(vendor)
    length += sum(CONTEXT_HEAD_SIZE + len(c.registers) + len(c.padding) for c in contexts)
    header = msgspec.structs.replace(
        header, error_info_count=len(errors), context_count=len(contexts), section_length=length
    )
    return ArmSection(header, errors, contexts, vendor)
