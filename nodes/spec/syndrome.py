"""Syndromes: ESR_ELx of SErrors and aborts, DISR_EL1, VDISR_EL2, VSESR_EL2, and how one becomes another.

Sources: DDI0487 D24.2.40 (ESR_ELx), D24.9.1 (DISR_EL1), D24.9.2 (VDISR_EL2, VSESR_EL2); Linux
arch/arm64/include/asm/{esr,exception}.h; QEMU target/arm/helper.c EXCP_VSERR.
"""

from typing import Final

from nodes.spec.aarch64 import ABORT_CLASSES, ExceptionClass
from nodes.spec.bits import Access, Field, Register
from nodes.spec.severity import Aet, Set

RO = Access.RO

EC_SHIFT: Final = 26
IL: Final = 1 << 25
IDS: Final = 1 << 24
ISS_MASK: Final = (1 << 25) - 1  # ISS with IDS: Linux ESR_ELx_ISS_MASK, KVM's bound for serror_esr
DFSC_MASK: Final = 0x3F
DFSC_SERROR: Final = 0x11  # asynchronous SError: AET is valid
DFSC_UNCATEGORIZED: Final = 0x00
FSC_SEA: Final = 0x10  # synchronous external abort, not on a walk
AET_SHIFT: Final = 10
SERROR_EC: Final = ExceptionClass.SERROR << EC_SHIFT
VSESR_WITHOUT_ESR: Final = IDS  # what KVM pends when it has no syndrome to give


class EsrSError(Register, width=64):
    """ESR_ELx of an SError whose ISS has the architected format (IDS=0)."""

    EC = Field(31, 26, access=RO, says="exception class", values=ExceptionClass)
    IL = Field(25, access=RO, says="1 for an SError taken by its vector")
    IDS = Field(24, access=RO, says="0: the ISS has the architected format")
    ELS = Field(18, access=RO, says="the SError is synchronous with respect to ELR")
    WU = Field(17, 16, access=RO, says="write update")
    VFV = Field(15, access=RO, says="FAR is valid")
    PFV = Field(14, access=RO, says="PFAR is valid")
    IESB = Field(13, access=RO, says="synchronised by an implicit barrier and taken at once")
    AET = Field(12, 10, access=RO, says="state of the PE, when DFSC is 0x11", values=Aet)
    EA = Field(9, access=RO, says="external abort, IMPLEMENTATION DEFINED class")
    WnRV = Field(7, access=RO, says="WnR is valid")
    WnR = Field(6, access=RO, says="the access was a write")
    DFSC = Field(5, 0, access=RO, says="0x00 uncategorized, 0x11 asynchronous SError")


class EsrImpdef(Register, width=64):
    """ESR_ELx of an SError whose syndrome is IMPLEMENTATION DEFINED (IDS=1)."""

    EC = Field(31, 26, access=RO, says="exception class", values=ExceptionClass)
    IL = Field(25, access=RO, says="1 for an SError taken by its vector")
    IDS = Field(24, access=RO, says="1: the rest of the ISS is IMPLEMENTATION DEFINED")
    IMPDEF = Field(23, 0, access=RO, says="IMPLEMENTATION DEFINED syndrome")


class EsrAbort(Register, width=64):
    """ESR_ELx of a data or instruction abort."""

    EC = Field(31, 26, access=RO, says="exception class", values=ExceptionClass)
    IL = Field(25, access=RO, says="1 for a 32-bit instruction, and for an abort without ISV")
    ISV = Field(24, access=RO, says="bits 23:14 are valid")
    SAS = Field(23, 22, access=RO, says="access size")
    SSE = Field(21, access=RO, says="sign extended")
    SRT = Field(20, 16, access=RO, says="register of the access")
    SF = Field(15, access=RO, says="64-bit register")
    AR = Field(14, access=RO, says="acquire or release")
    VNCR = Field(13, access=RO, says="access through VNCR_EL2")
    SET = Field(12, 11, access=RO, says="state of the PE, for an external abort (DFSC 0x10)", values=Set)
    FnV = Field(10, access=RO, says="FAR is not valid")
    EA = Field(9, access=RO, says="external abort, IMPLEMENTATION DEFINED class")
    CM = Field(8, access=RO, says="cache maintenance")
    S1PTW = Field(7, access=RO, says="stage 2 fault on a stage 1 walk")
    WnR = Field(6, access=RO, says="the access was a write")
    DFSC = Field(5, 0, access=RO, says="fault status")


class EsrOther(Register, width=64):
    """ESR_ELx of any other exception class."""

    EC = Field(31, 26, access=RO, says="exception class", values=ExceptionClass)
    IL = Field(25, access=RO, says="1 for a 32-bit instruction")
    ISS = Field(24, 0, access=RO, says="syndrome of this class")


class DisrEl1(Register, width=64):
    """DISR_EL1: the SError that an ESB deferred, architected format. VDISR_EL2 has the same fields."""

    A = Field(31, says="an SError was deferred")
    IDS = Field(24, says="0: architected format")
    WU = Field(17, 16, says="write update (FEAT_RASv2)")
    AET = Field(12, 10, says="state of the PE", values=Aet)
    EA = Field(9, says="external abort, IMPLEMENTATION DEFINED class")
    WnRV = Field(7, says="WnR is valid (FEAT_RASv2)")
    WnR = Field(6, says="the access was a write (FEAT_RASv2)")
    DFSC = Field(5, 0, says="fault status")


class DisrImpdef(Register, width=64):
    """DISR_EL1 or VDISR_EL2 with an IMPLEMENTATION DEFINED syndrome (IDS=1)."""

    A = Field(31, says="an SError was deferred")
    IDS = Field(24, says="1: the rest is IMPLEMENTATION DEFINED")
    IMPDEF = Field(23, 0, says="IMPLEMENTATION DEFINED syndrome")


class VsesrEl2(Register, width=64):
    """VSESR_EL2: the syndrome that the virtual SError will carry into ESR_EL1."""

    IDS = Field(24, says="1: the rest is IMPLEMENTATION DEFINED")
    ISS = Field(23, 0, says="goes verbatim to ESR_EL1[23:0]")


Esr = EsrSError | EsrImpdef | EsrAbort | EsrOther
DISR_A: Final = DisrEl1.A.mask
_DISR_ESR_MASK: Final = EsrSError.AET.mask | EsrSError.EA.mask | DFSC_MASK


def exception_class(esr: int) -> int:
    """EC of an ESR_ELx value."""
    return esr >> EC_SHIFT & 0x3F


def esr_register(esr: int) -> Esr:
    """The declared form of an ESR_ELx value: chosen by EC and, for an SError, by IDS."""
    ec = exception_class(esr)
    if ec == ExceptionClass.SERROR:
        return EsrImpdef(esr) if esr & IDS else EsrSError(esr)
    return EsrAbort(esr) if ec in ABORT_CLASSES else EsrOther(esr)


def disr_register(disr: int) -> DisrEl1 | DisrImpdef:
    """The declared form of a DISR_EL1 or VDISR_EL2 value."""
    return DisrImpdef(disr) if disr & IDS else DisrEl1(disr)


def serror_iss(aet: int) -> int:
    """ISS of an asynchronous SError with this AET, EA 0: 0x411 for UEU."""
    return aet << AET_SHIFT | DFSC_SERROR


def serror_esr(iss: int) -> int:
    """ESR_ELx of an SError taken by its vector (IL=1)."""
    return SERROR_EC | IL | iss & ISS_MASK


def vserror_esr(vsesr: int) -> int:
    """ESR_EL1 when the PE takes a virtual SError."""
    return SERROR_EC | IL | vsesr & ISS_MASK


def disr_to_esr(disr: int) -> int:
    """ESR_ELx that Linux makes of DISR_EL1; IL stays 0. Linux asm/exception.h."""
    return SERROR_EC | (disr & ISS_MASK if disr & IDS else disr & _DISR_ESR_MASK)


def deferred(iss: int) -> int:
    """DISR_EL1 or VDISR_EL2 after an ESB deferred an SError with this ISS."""
    return DISR_A | iss & ISS_MASK


def abort_esr(ec: int, *, fsc: int = FSC_SEA, set_: int = Set.UER, far_valid: bool = True) -> int:
    """ESR_ELx of a synchronous external abort without instruction syndrome."""
    word = ec << EC_SHIFT | IL | EsrAbort.SET.placed(set_) | fsc
    return word if far_valid else word | EsrAbort.FnV.mask
