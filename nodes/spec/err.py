"""Standard error records of the Arm RAS System Architecture: ERR<n>FR, CTLR, STATUS, ADDR, MISC0, PFG*.

``v1`` and ``v1p1`` are FEAT_RASSAv1 and FEAT_RASSAv1p1. What a software write to ERR<n>STATUS does is in
``status_written``; it differs between the two. MISC0 has four counter formats, chosen by FR.CEC and FR.RP.

Sources: IHI0100 A.c 2.3-2.5, 3.2.23-3.2.33, tables 2-1 and 3-1; Linux arch/arm64/include/asm/sysreg.h.
"""

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from nodes.spec.bits import Access, Field, Register
from nodes.spec.severity import STATE_OF_UET, ErrorState, Uet

RO, W1C = Access.RO, Access.W1C


class RecordFormat(StrEnum):
    """Version of the RAS System Architecture that a RAS node implements."""

    V1P1 = "v1p1"
    V1 = "v1"


class ErrFr(Register, width=64):
    """ERR<n>FR: what the RAS node that owns the record implements; read only."""

    NCE = Field(55, access=RO, says="no corrected errors reported")
    CE = Field(54, 53, access=RO, says="corrected errors recorded: 0 none, 1 by persistence, 2 unspecific, 3 all")
    DE = Field(52, access=RO, says="can record deferred errors")
    UEO = Field(51, access=RO, says="can record UEO")
    UER = Field(50, access=RO, says="can record UER")
    UEU = Field(49, access=RO, says="can record UEU")
    UC = Field(48, access=RO, says="can record UC")
    FRX = Field(31, access=RO, says="bits 63:48 are architected")
    CED = Field(30, access=RO, says="CTLR.CED exists")
    SRV = Field(29, access=RO, says="status reset value")
    RV = Field(28, access=RO, says="STATUS.RV exists")
    DFI = Field(27, 26, access=RO, says="fault handling interrupt on deferred errors: 0 none, 2 CTLR.DFI, 3 R/W")
    TS = Field(25, 24, access=RO, says="timestamp in MISC3: 0 none, 1 generic timer, 2 IMPLEMENTATION DEFINED")
    CI = Field(23, 22, access=RO, says="critical error interrupt: 0 none, 1 always, 2 CTLR.CI")
    INJ = Field(21, 20, access=RO, says="1: common fault injection model")
    CEO = Field(19, 18, access=RO, says="corrected error overwrite: 0 keep the first, 1 overwrite until OF")
    DUI = Field(17, 16, access=RO, says="error recovery interrupt on deferred errors: 0 none, 2 CTLR.DUI, 3 R/W")
    RP = Field(15, access=RO, says="a repeat and an other counter")
    CEC = Field(14, 12, access=RO, says="corrected error counter: 0 none, 2 8-bit, 4 16-bit")
    CFI = Field(11, 10, access=RO, says="fault handling interrupt on corrected errors: 0 with FI, 2 CFI, 3 R/W")
    UE = Field(9, 8, access=RO, says="in-band error response: 0 none, 1 always, 2 CTLR.UE, 3 R/W")
    FI = Field(7, 6, access=RO, says="fault handling interrupt: 0 none, 1 always, 2 CTLR.FI, 3 R/W")
    UI = Field(5, 4, access=RO, says="error recovery interrupt: 0 none, 1 always, 2 CTLR.UI, 3 R/W")
    ERT = Field(3, 2, access=RO, says="IMPLEMENTATION DEFINED in the first record of a RAS node")
    ED = Field(1, 0, access=RO, says="0 not a first record, 1 always on, 2 CTLR.ED, 3 proxy")


class ErrCtlr(Register, width=64):
    """ERR<n>CTLR: what the RAS node reports; for a field pair the name is that of the read half."""

    WDFI = Field(15, says="DFI for writes")
    DFI = Field(14, says="fault handling interrupt on deferred errors, inverted by FI")
    CI = Field(13, says="critical error interrupt")
    CED = Field(12, says="a corrected error event for each CE, not for each counter overflow")
    WDUI = Field(11, says="DUI for writes")
    DUI = Field(10, says="error recovery interrupt on deferred errors")
    WCFI = Field(9, says="CFI for writes")
    CFI = Field(8, says="fault handling interrupt on corrected error events")
    WUE = Field(7, says="UE for writes")
    WFI = Field(6, says="FI for writes")
    WUI = Field(5, says="UI for writes")
    UE = Field(4, says="in-band error response on uncorrected errors")
    FI = Field(3, says="fault handling interrupt")
    UI = Field(2, says="error recovery interrupt on uncorrected errors")
    ED = Field(0, says="error detection and reporting are on")


class CorrectedError(IntEnum):
    """ERR<n>STATUS.CE."""

    NONE = 0
    TRANSIENT = 1
    UNSPECIFIED = 2
    PERSISTENT = 3


class Serr(IntEnum):
    """ERR<n>STATUS.SERR: architected primary error codes; the rest is reserved."""

    NO_ERROR = 0x00
    IMPDEF = 0x01
    DATA_SRAM = 0x02
    IMPDEF_PIN = 0x03
    ASSERTION = 0x04
    INTERNAL_DATAPATH = 0x05
    CACHE_DATA = 0x06
    CACHE_TAG = 0x07
    TLB_DATA = 0x08
    TLB_TAG = 0x09
    PRODUCER_DATA = 0x0A
    PRODUCER_CONTROL = 0x0B
    DATA_DRAM = 0x0C
    ILLEGAL_ADDRESS = 0x0D
    ILLEGAL_ACCESS = 0x0E
    ILLEGAL_STATE = 0x0F
    INTERNAL_DATA_REGISTER = 0x10
    INTERNAL_CONTROL_REGISTER = 0x11
    COMPLETER_ERROR = 0x12
    EXTERNAL_TIMEOUT = 0x13
    INTERNAL_TIMEOUT = 0x14
    DEFERRED_NOT_SUPPORTED_REQUESTER = 0x15
    DEFERRED_NOT_SUPPORTED_COMPLETER = 0x16
    DEFERRED_FROM_COMPLETER = 0x17
    DEFERRED_FROM_REQUESTER = 0x18
    PCIE_LOGGED = 0x19
    OTHER_INTERNAL = 0x1A


SERR_SAYS: Final[dict[int, str]] = {
    0x00: "no error",
    0x01: "IMPLEMENTATION DEFINED error",
    0x02: "data value from non-associative internal memory (SRAM ECC)",
    0x03: "IMPLEMENTATION DEFINED pin",
    0x04: "assertion failure",
    0x05: "internal data path",
    0x06: "data value from associative memory (cache data ECC)",
    0x07: "address or control value from associative memory (cache tag ECC)",
    0x08: "data value from a TLB",
    0x09: "address or control value from a TLB",
    0x0A: "data value from a producer",
    0x0B: "address or control value from a producer",
    0x0C: "data value from external memory (SDRAM ECC)",
    0x0D: "illegal address (software fault)",
    0x0E: "illegal access (software fault)",
    0x0F: "illegal state (software fault)",
    0x10: "internal data register",
    0x11: "internal control register",
    0x12: "error response from Completer of access",
    0x13: "external timeout",
    0x14: "internal timeout",
    0x15: "deferred error from Completer not supported at Requester",
    0x16: "deferred error from Requester not supported at Completer",
    0x17: "deferred error from Completer passed through",
    0x18: "deferred error from Requester passed through",
    0x19: "error recorded by PCIe error logs",
    0x1A: "other internal error",
}


class ErrStatus(Register, width=64):
    """ERR<n>STATUS: what one error record holds."""

    AV = Field(31, access=W1C, says="ERR<n>ADDR is valid")
    V = Field(30, access=W1C, says="the record is valid")
    UE = Field(29, access=W1C, says="at least one error neither corrected nor deferred")
    ER = Field(28, access=W1C, says="an in-band error response was given")
    OF = Field(27, access=W1C, says="overflow: more errors than the record could hold")
    MV = Field(26, access=W1C, says="ERR<n>MISC<m> are valid")
    CE = Field(25, 24, access=W1C, says="corrected errors", values=CorrectedError)
    DE = Field(23, access=W1C, says="at least one deferred error")
    PN = Field(22, access=W1C, says="1: found as poison; 0: the corrupt value was found here")
    UET = Field(21, 20, access=W1C, says="state of the component, when UE is 1", values=Uet)
    CI = Field(19, access=W1C, says="critical error condition")
    RV = Field(18, access=W1C, says="reset value, cleared when an error is recorded (v2)")
    RV2 = Field(17, access=W1C, says="reset value, cleared even when the syndrome is kept (v2)")
    IERR = Field(15, 8, says="IMPLEMENTATION DEFINED error code")
    SERR = Field(7, 0, says="architected error code", values=Serr)


class ErrAddr(Register, width=64):
    """ERR<n>ADDR: where the error is."""

    NS = Field(63, says="Non-secure")
    SI = Field(62, says="NS and NSE are unreliable")
    AI = Field(61, says="PADDR may not be the system physical address")
    VA = Field(60, says="PADDR is a virtual address")
    NSE = Field(59, says="Root (NS=0) or Realm (NS=1)")
    PADDR = Field(55, 0, says="physical address")


class Misc0Count8(Register, width=64):
    """MISC0, one counter of 7 bits with its sticky overflow (FR.CEC=2, RP=0)."""

    OF = Field(39, says="sticky overflow")
    CEC = Field(38, 32, says="corrected error count")


class Misc0Count16(Register, width=64):
    """MISC0, one counter of 15 bits with its sticky overflow (FR.CEC=4, RP=0)."""

    OF = Field(47, says="sticky overflow")
    CEC = Field(46, 32, says="corrected error count")


class Misc0Pair8(Register, width=64):
    """MISC0, two counters of 7 bits (FR.CEC=2, RP=1)."""

    OFO = Field(47, says="sticky overflow of the other counter")
    CECO = Field(46, 40, says="other corrected error count")
    OFR = Field(39, says="sticky overflow of the repeat counter")
    CECR = Field(38, 32, says="repeat corrected error count")


class Misc0Pair16(Register, width=64):
    """MISC0, two counters of 15 bits (FR.CEC=4, RP=1)."""

    OFO = Field(63, says="sticky overflow of the other counter")
    CECO = Field(62, 48, says="other corrected error count")
    OFR = Field(47, says="sticky overflow of the repeat counter")
    CECR = Field(46, 32, says="repeat corrected error count")


class Misc0Impdef(Register, width=64):
    """MISC0 of a RAS node without counters."""

    IMPDEF = Field(63, 0, says="IMPLEMENTATION DEFINED")


class ErrPfgf(Register, width=64):
    """ERR<n>PFGF: which properties of an injected error can be controlled."""

    R = Field(30, access=RO, says="the countdown can restart")
    SYN = Field(29, access=RO, says="IERR and SERR can be written while the record is invalid")
    NA = Field(28, access=RO, says="a component need not be accessed")
    MV = Field(12, access=RO, says="MV can be set")
    AV = Field(11, access=RO, says="AV and ADDR can be set")
    PN = Field(10, access=RO, says="PN can be set")
    ER = Field(9, access=RO, says="ER can be set")
    CI = Field(8, access=RO, says="CI can be set")
    CE = Field(7, 6, access=RO, says="corrected errors can be injected")
    DE = Field(5, access=RO, says="deferred errors can be injected")
    UEO = Field(4, access=RO, says="UEO can be injected")
    UER = Field(3, access=RO, says="UER can be injected")
    UEU = Field(2, access=RO, says="UEU can be injected")
    UC = Field(1, access=RO, says="UC can be injected")
    OF = Field(0, access=RO, says="OF can be set")


class ErrPfgctl(Register, width=64):
    """ERR<n>PFGCTL: what is injected when the countdown reaches zero."""

    CDNEN = Field(31, says="countdown enabled")
    R = Field(30, says="restart the countdown")
    MV = Field(12, says="set MV")
    AV = Field(11, says="set AV")
    PN = Field(10, says="set PN")
    ER = Field(9, says="set ER")
    CI = Field(8, says="set CI")
    CE = Field(7, 6, says="corrected error: 1 sets STATUS.CE to 0b10, 2 to 0b01, 3 to 0b11")
    DE = Field(5, says="deferred error")
    UEO = Field(4, says="UEO")
    UER = Field(3, says="UER")
    UEU = Field(2, says="UEU")
    UC = Field(1, says="UC")
    OF = Field(0, says="set OF")


class ErrPfgcdn(Register, width=64):
    """ERR<n>PFGCDN: start value of the countdown."""

    CDN = Field(31, 0, says="ticks of the countdown")


class ErrIdr(Register, width=64):
    """ERRIDR_EL1: how many records there are."""

    NUM = Field(15, 0, access=RO, says="highest record index plus one")


class ErrSelr(Register, width=64):
    """ERRSELR_EL1: which record the ERX* registers show."""

    SEL = Field(15, 0, says="index of the selected record")


class CounterFormat(NamedTuple):
    """Where a corrected error counter and its sticky overflow lie in MISC0."""

    overflow: int  # the sticky overflow bit, in place
    mask: int  # the count, in place
    one: int  # lowest bit of the count

    @property
    def all_ones(self) -> int:
        """Highest value of the count; the next error wraps it."""
        return self.mask // self.one


def _counter(overflow: Field, count: Field) -> CounterFormat:
    return CounterFormat(overflow.mask, count.mask, 1 << count.lsb)


Misc0 = Misc0Count8 | Misc0Count16 | Misc0Pair8 | Misc0Pair16 | Misc0Impdef
MISC0_FORMATS: Final[dict[tuple[int, int], type[Misc0]]] = {  # key: FR.CEC, FR.RP
    (0, 0): Misc0Impdef,
    (2, 0): Misc0Count8,
    (4, 0): Misc0Count16,
    (2, 1): Misc0Pair8,
    (4, 1): Misc0Pair16,
}
COUNTERS: Final[dict[tuple[int, int], tuple[CounterFormat, ...]]] = {  # repeat counter first, then other
    (0, 0): (),
    (2, 0): (_counter(Misc0Count8.OF, Misc0Count8.CEC),),
    (4, 0): (_counter(Misc0Count16.OF, Misc0Count16.CEC),),
    (2, 1): (
        _counter(Misc0Pair8.OFR, Misc0Pair8.CECR),
        _counter(Misc0Pair8.OFO, Misc0Pair8.CECO),
    ),
    (4, 1): (
        _counter(Misc0Pair16.OFR, Misc0Pair16.CECR),
        _counter(Misc0Pair16.OFO, Misc0Pair16.CECO),
    ),
}

# A 4 KiB group of memory-mapped records, IHI0100 table 3-1. Offsets and sizes in bytes.
RECORD_STRIDE: Final = 64
RECORD_OFFSETS: Final = {
    "FR": 0x00,
    "CTLR": 0x08,
    "STATUS": 0x10,
    "ADDR": 0x18,
    "MISC0": 0x20,
    "MISC1": 0x28,
    "MISC2": 0x30,
    "MISC3": 0x38,
}
INJECTION_OFFSETS: Final = {"PFGF": 0x800, "PFGCTL": 0x808, "PFGCDN": 0x810}  # plus 64 * record
GROUP_STATUS: Final = 0xE00  # ERRGSR<m> at 0xE00 + 8 * m; bit n shows ERR<n>STATUS.V

AV, V, UE, OF, DE = (ErrStatus.AV.mask, ErrStatus.V.mask, ErrStatus.UE.mask, ErrStatus.OF.mask, ErrStatus.DE.mask)
CE, CI = ErrStatus.CE.mask, ErrStatus.CI.mask
_CODES: Final = ErrStatus.IERR.mask | ErrStatus.SERR.mask
_KEPT_WITH_INVALID: Final = UE | OF | CE | DE | ErrStatus.UET.mask | ErrStatus.CI.mask  # WI while V is 0
_ALL_OR_NOTHING: Final = V | UE | OF | CE | DE  # v1p1: one of them left standing voids the write
_AFTER_WORST: Final = (
    ErrStatus.AV.mask | ErrStatus.MV.mask | ErrStatus.ER.mask | ErrStatus.PN.mask | ErrStatus.UET.mask | _CODES
)  # v1: not before the worst of UE, DE, CE is cleared
_W1C: Final = ErrStatus.cleared_by_one
_V2_BITS: Final = ErrStatus.RV.mask | ErrStatus.RV2.mask
_V1_RES0: Final = ErrStatus.CI.mask | _V2_BITS


def _written_v1p1(status: int, value: int) -> int:
    if status & _ALL_OR_NOTHING & ~value:
        return status
    return status & ~(value & _W1C) & ~_CODES | value & _CODES


def _written_v1(status: int, value: int) -> int:
    clears = value & _W1C & ~_V1_RES0
    if status & OF and not value & OF:
        clears &= ~(UE | DE | CE)
    left = status & ~clears
    if left & (UE | DE | CE):
        clears &= ~V
    worst = next((mask for mask in (UE, DE, CE) if status & mask), 0)
    codes = _CODES
    if left & worst:
        clears &= ~_AFTER_WORST
        codes = 0
    return status & ~clears & ~codes | value & codes


def status_written(status: int, value: int, record_format: RecordFormat, *, codes_writable: bool = False) -> int:
    """ERR<n>STATUS after software writes ``value`` over ``status``.

    v1p1: the whole write is ignored unless it clears every non-zero one of V, UE, OF, CE, DE. v1: each field has
    its own condition. While V is 0, most fields ignore the write, and IERR and SERR take it only when
    ``codes_writable`` (PFGF.SYN). Source: IHI0100 A.c, Accessing ERR<n>STATUS.
    """
    if record_format is RecordFormat.V1P1:
        after = _written_v1p1(status, value)
    else:
        after = _written_v1(status, value)
    if status & V:
        return after
    kept = _KEPT_WITH_INVALID | (0 if codes_writable else _CODES)
    return after & ~kept | status & kept


def error_state(status: int) -> ErrorState:
    """What a record holds, IHI0100 table 2-1."""
    if not status & V:
        return ErrorState.NONE
    if status & UE:
        return STATE_OF_UET[status >> 20 & 3]
    if status & DE:
        return ErrorState.DE
    return ErrorState.CE if status & CE else ErrorState.NONE


def counters_of(fr: int) -> tuple[CounterFormat, ...]:
    """The counters of a RAS node with this ERR<n>FR; none for a reserved format."""
    return COUNTERS.get(((fr >> 12) & 7, (fr >> 15) & 1), ())
