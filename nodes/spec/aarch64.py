"""AArch64 control registers, exception classes and vectors, as far as errors are concerned.

Only the bits that route, mask or enable an error are declared; every other bit of these registers passes
through unnamed.

Sources: DDI0487 D24 (registers), J1.3.2 (routing); Linux arch/arm64/include/asm/{kvm_arm,sysreg,esr}.h; TF-A
include/arch/aarch64/arch.h.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from nodes.spec.bits import Access, Field, Register


class ScrEl3(Register, width=64):
    """SCR_EL3: what EL3 takes for itself."""

    NS = Field(0, says="lower exception levels are Non-secure")
    IRQ = Field(1, says="physical IRQ goes to EL3")
    FIQ = Field(2, says="physical FIQ goes to EL3")
    EA = Field(3, says="external aborts and SErrors from any level go to EL3")
    RW = Field(10, says="the next lower level is AArch64")
    TERR = Field(15, says="EL1 and EL2 accesses to ERR*/ERX* trap to EL3")
    EEL2 = Field(18, says="Secure EL2 is enabled")
    EASE = Field(19, says="a synchronous external abort taken to EL3 uses the SError vector (FEAT_DoubleFault)")
    NMEA = Field(20, says="PSTATE.A does not mask SError at EL3 (FEAT_DoubleFault)")
    FIEN = Field(21, says="fault injection registers may be used below EL3")


class HcrEl2(Register, width=64):
    """HCR_EL2: what EL2 takes from EL1 and EL0, and the virtual SError."""

    VM = Field(0, says="stage 2 translation is on")
    FMO = Field(3, says="physical FIQ goes to EL2; virtual FIQ enabled")
    IMO = Field(4, says="physical IRQ goes to EL2; virtual IRQ enabled")
    AMO = Field(5, says="physical SError from EL0 and EL1 goes to EL2; virtual SError enabled")
    VF = Field(6, says="virtual FIQ pending")
    VI = Field(7, says="virtual IRQ pending")
    VSE = Field(8, says="virtual SError pending; cleared when it is taken or deferred by ESB")
    TGE = Field(27, says="general exceptions of EL0 go to EL2; virtual interrupts disabled")
    RW = Field(31, says="EL1 is AArch64")
    E2H = Field(34, says="EL2 hosts an operating system (VHE)")
    TERR = Field(36, says="EL1 accesses to error record registers trap to EL2")
    TEA = Field(37, says="synchronous external aborts of EL0 and EL1 go to EL2")
    FIEN = Field(47, says="EL1 may use the fault injection registers")


class SctlrElx(Register, width=64):
    """SCTLR_ELx, the one bit that concerns errors."""

    IESB = Field(21, says="errors are synchronised at exception entry to and return from this level")


class Pstate(Register, width=64):
    """PSTATE as SPSR_ELx holds it."""

    D = Field(9, says="debug exceptions masked")
    A = Field(8, says="SError masked")
    I = Field(7, says="IRQ masked")
    F = Field(6, says="FIQ masked")
    EL = Field(3, 2, says="exception level")
    SP = Field(0, says="stack pointer of the level itself, not SP_EL0")


class IsrEl1(Register, width=64):
    """ISR_EL1: what is pending; below EL2 with HCR_EL2.AMO=1 bit A shows the virtual SError."""

    A = Field(8, access=Access.RO, says="an SError is pending")
    I = Field(7, access=Access.RO, says="an IRQ is pending")
    F = Field(6, access=Access.RO, says="an FIQ is pending")


class ExceptionClass(IntEnum):
    """ESR_ELx.EC, the classes that occur here."""

    UNKNOWN = 0x00
    WFX = 0x01
    FP_SIMD = 0x07
    ILLEGAL_STATE = 0x0E
    HVC32 = 0x12
    SMC32 = 0x13
    SVC64 = 0x15
    HVC64 = 0x16
    SMC64 = 0x17
    SYSREG = 0x18
    SVE = 0x19
    GPC = 0x1E
    IMPDEF_EL3 = 0x1F
    IABT_LOWER = 0x20
    IABT_CURRENT = 0x21
    PC_ALIGNMENT = 0x22
    DABT_LOWER = 0x24
    DABT_CURRENT = 0x25
    SP_ALIGNMENT = 0x26
    FP64 = 0x2C
    SERROR = 0x2F
    BREAKPOINT_LOWER = 0x30
    BREAKPOINT_CURRENT = 0x31
    STEP_LOWER = 0x32
    STEP_CURRENT = 0x33
    WATCHPOINT_LOWER = 0x34
    WATCHPOINT_CURRENT = 0x35
    BRK64 = 0x3C


ABORT_CLASSES: Final = frozenset(
    (
        ExceptionClass.IABT_LOWER,
        ExceptionClass.IABT_CURRENT,
        ExceptionClass.DABT_LOWER,
        ExceptionClass.DABT_CURRENT,
    )
)
INSTRUCTION_ABORT_CLASSES: Final = frozenset((ExceptionClass.IABT_LOWER, ExceptionClass.IABT_CURRENT))
LOWER_ABORT_CLASSES: Final = frozenset((ExceptionClass.IABT_LOWER, ExceptionClass.DABT_LOWER))

FAULT_STATUS: Final[dict[int, str]] = {  # DFSC and IFSC of aborts
    **{0x00 + level: f"address size fault, level {level}" for level in range(4)},
    **{0x04 + level: f"translation fault, level {level}" for level in range(4)},
    **{0x08 + level: f"access flag fault, level {level}" for level in range(4)},
    **{0x0C + level: f"permission fault, level {level}" for level in range(4)},
    0x10: "synchronous external abort, not on a table walk",
    0x11: "synchronous tag check fault",
    0x13: "synchronous external abort on table walk, level -1",
    **{0x14 + level: f"synchronous external abort on table walk, level {level}" for level in range(4)},
    0x18: "synchronous parity or ECC error, not on a table walk",
    0x1B: "synchronous parity or ECC error on table walk, level -1",
    **{0x1C + level: f"synchronous parity or ECC error on table walk, level {level}" for level in range(4)},
    0x21: "alignment fault",
    0x30: "TLB conflict abort",
    0x31: "unsupported atomic hardware update fault",
    0x34: "IMPLEMENTATION DEFINED fault (lockdown)",
    0x35: "IMPLEMENTATION DEFINED fault (unsupported exclusive or atomic access)",
}

SEA_FAULT_STATUS: Final = frozenset((0x10, *range(0x13, 0x18), 0x18, *range(0x1B, 0x20)))
SEA_ON_WALK: Final = frozenset((*range(0x13, 0x18), *range(0x1B, 0x20)))

# Vector offsets from VBAR_ELx: base by where the exception comes from, plus its kind. DDI0487 D1.3.1.
VECTOR_CURRENT_SP0: Final = 0x000
VECTOR_CURRENT_SPX: Final = 0x200
VECTOR_LOWER_A64: Final = 0x400
VECTOR_LOWER_A32: Final = 0x600
VECTOR_SYNC: Final = 0x000
VECTOR_IRQ: Final = 0x080
VECTOR_FIQ: Final = 0x100
VECTOR_SERROR: Final = 0x180


class SystemRegister(NamedTuple):
    """MRS/MSR encoding of a system register."""

    op0: int
    op1: int
    crn: int
    crm: int
    op2: int


SYSTEM_REGISTERS: Final[dict[str, SystemRegister]] = {
    "ERRIDR_EL1": SystemRegister(3, 0, 5, 3, 0),
    "ERRSELR_EL1": SystemRegister(3, 0, 5, 3, 1),
    "ERXFR_EL1": SystemRegister(3, 0, 5, 4, 0),
    "ERXCTLR_EL1": SystemRegister(3, 0, 5, 4, 1),
    "ERXSTATUS_EL1": SystemRegister(3, 0, 5, 4, 2),
    "ERXADDR_EL1": SystemRegister(3, 0, 5, 4, 3),
    "ERXPFGF_EL1": SystemRegister(3, 0, 5, 4, 4),
    "ERXPFGCTL_EL1": SystemRegister(3, 0, 5, 4, 5),
    "ERXPFGCDN_EL1": SystemRegister(3, 0, 5, 4, 6),
    "ERXMISC0_EL1": SystemRegister(3, 0, 5, 5, 0),
    "ERXMISC1_EL1": SystemRegister(3, 0, 5, 5, 1),
    "ERXMISC2_EL1": SystemRegister(3, 0, 5, 5, 2),
    "ERXMISC3_EL1": SystemRegister(3, 0, 5, 5, 3),
    "DISR_EL1": SystemRegister(3, 0, 12, 1, 1),
    "VSESR_EL2": SystemRegister(3, 4, 5, 2, 3),
    "VDISR_EL2": SystemRegister(3, 4, 12, 1, 1),
}

# HCR_EL2 as Linux sets it (asm/kvm_arm.h, kvm_emulate.h); only the bits declared above.
HCR_GUEST: Final = HcrEl2.of(VM=1, AMO=1, IMO=1, FMO=1, RW=1, TEA=1, TERR=1, E2H=1)  # vCPU, host with RAS
HCR_VHE_HOST: Final = HcrEl2.of(RW=1, TGE=1, E2H=1)
HCR_NVHE_HOST: Final = HcrEl2.of(RW=1)
SCR_FIRMWARE_FIRST: Final = ScrEl3.of(NS=1, FIQ=1, EA=1, RW=1, FIEN=1)
SCR_KERNEL_FIRST: Final = ScrEl3.of(NS=1, FIQ=1, RW=1, FIEN=1)
