"""One error record and the RAS node that owns it: recording, counting, clearing, interrupts, injection.

Sources: IHI0100 A.c 2.4.3 (overwriting), 2.5.1 (interrupts), 2.5.2 (counters), 3.2.23-3.2.33 (registers); DDI0601
ERR<n>PFGCTL (what an injected error writes). Each RAS node here owns one record. Leaves out: proxies, continuation
records, timestamps, IMPLEMENTATION DEFINED MISC1-3.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from nodes.hardware.interrupts import asserted, is_on
from nodes.hardware.overwrite import TABLES
from nodes.hardware.ras_nodes import RasNodeModel
from nodes.ledger import Account
from nodes.spec.err import (
    CE,
    CI,
    DE,
    OF,
    UE,
    CorrectedError,
    ErrAddr,
    ErrCtlr,
    ErrFr,
    ErrPfgcdn,
    ErrPfgctl,
    ErrPfgf,
    ErrStatus,
    RecordFormat,
    V,
    error_state,
    status_written,
)
from nodes.spec.severity import UET_OF, ErrorState

AV, MV, ER, PN = ErrStatus.AV.mask, ErrStatus.MV.mask, ErrStatus.ER.mask, ErrStatus.PN.mask
UET = ErrStatus.UET.mask
_SYNDROME: Final = ER | PN | UET | ErrStatus.IERR.mask | ErrStatus.SERR.mask
NON_SECURE: Final = ErrAddr.NS.mask


class RecordRegister(IntEnum):
    """The registers of a record, by their ERX names."""

    FR = 0
    CTLR = 1
    STATUS = 2
    ADDR = 3
    MISC0 = 4
    PFGF = 5
    PFGCTL = 6
    PFGCDN = 7


class DetectedError(NamedTuple):
    """What a RAS node found."""

    state: ErrorState
    serr: int  # Serr
    address: int | None = None  # physical
    poison: bool = False  # found as poison: the corrupt value came from elsewhere
    critical: bool = False
    corrected: CorrectedError = CorrectedError.UNSPECIFIED  # of a corrected error
    responded: bool = False  # an in-band error response is given, when CTLR.UE allows
    write: bool = False  # met by a write, which may have controls of its own
    ierr: int = 0


PFGF: Final = ErrPfgf.of(MV=1, AV=1, PN=1, ER=1, CI=1, CE=3, DE=1, UEO=1, UER=1, UEU=1, UC=1, OF=1, NA=1, R=1)
_CED: Final = ErrCtlr.CED.mask
_ED: Final = ErrCtlr.ED.mask
_CEO: Final = ErrFr.CEO.mask
_PADDR: Final = ErrAddr.PADDR.mask
_CODES_WRITABLE: Final = bool(PFGF & ErrPfgf.SYN.mask)
_INJECTED_CE: Final = (0, CorrectedError.UNSPECIFIED, CorrectedError.TRANSIENT, CorrectedError.PERSISTENT)
_STATUS_OF_STATE: Final = (
    0,
    V,
    V | DE,
    *(V | UE | UET_OF[s] << ErrStatus.UET.lsb for s in tuple(ErrorState)[3:]),
)  # index: ErrorState; V and type bits
_UNCORRECTED: Final = ErrorState.UEO  # this state and all above are uncorrected and not deferred
_SET_BY_PFGCTL: Final = ((OF, ErrPfgctl.OF.mask), (MV, ErrPfgctl.MV.mask))
_TYPE_BITS: Final = UE | DE | CE
_COUNTED: Final = DE | CE
_READS_SHIFT: Final = 32
_NOT_IN_STATE: Final = (0, UE | DE, UE, 0, 0, 0, 0)  # index: ErrorState; type bits that overwriting clears
_FLAG_OF_STATE: Final = (0, CE, DE, UE, UE, UE, UE)  # index: ErrorState
_TYPES: Final = (  # type bits of PFGCTL
    (ErrorState.UC, ErrPfgctl.UC.mask),
    (ErrorState.UEU, ErrPfgctl.UEU.mask),
    (ErrorState.UER, ErrPfgctl.UER.mask),
    (ErrorState.UEO, ErrPfgctl.UEO.mask),
    (ErrorState.DE, ErrPfgctl.DE.mask),
    (ErrorState.CE, ErrPfgctl.CE.mask),
)
RESTARTS_MAX: Final = 1000  # of one injection countdown with PFGCTL.R; then it stops as if R were 0


class ErrorRecord:
    """ERR<n>* of one RAS node. ``carried``: occurrences whose syndrome or count stands here unread."""

    __slots__ = (
        "account",
        "addr",
        "asserted",
        "carried",
        "countdowns",
        "ctlr",
        "met",
        "misc0",
        "model",
        "pfgcdn",
        "pfgctl",
        "restarts",
        "status",
    )

    def __init__(self, model: RasNodeModel, misc0: int) -> None:
        self.model = model
        self.ctlr = model.ctlr
        self.status = 0
        self.addr = 0
        self.met = 0  # type bits of STATUS whose errors writes met; 32 bits higher, those that reads met
        self.misc0 = misc0  # firmware preloads the counter
        self.pfgctl = 0
        self.pfgcdn = 0
        self.countdowns = 0  # ever started; the last one may be running
        self.restarts = 0  # of the running one
        self.asserted = 0  # interrupt lines that were told to the interrupt controller and not yet handled
        self.carried = 0
        self.account = Account.IN_FLIGHT  # where the ledger has them

    def enabled(self) -> bool:
        """Whether the RAS node records at all."""
        return self.model.fr & 3 == 1 or bool(self.ctlr & _ED)

    def record(self, error: DetectedError, record_format: RecordFormat) -> bool:
        """Record one error; True when its syndrome stands in the record now.

        The RAS node must be enabled.
        """
        state = self._recorded_state(error, record_format)
        status = self.status
        counters = self.model.counters
        cell = TABLES[record_format][bool(counters)][error_state(status)][state - 1]
        overflow, overwrite = cell.overflow, cell.overwrite
        if cell.overwrite_by_ceo:
            overwrite = bool(self.model.fr & _CEO) and not status & OF
        counted = cell.counts or (state is ErrorState.DE and self._counts_deferred(record_format))
        if counted:
            overflow |= self._count(error)
        if overwrite:
            status = self._overwritten(status, state, error)
        elif state is ErrorState.CE:
            status = status & ~CE | error.corrected << ErrStatus.CE.lsb
        else:
            status |= DE if state is ErrorState.DE else UE
        if error.critical and record_format is RecordFormat.V1P1:
            status |= CI
        if counted:
            status |= MV
        self.status = status | OF if overflow else status
        if self.model.halves:
            self._note_access(state, write=error.write)
        return overwrite

    def _note_access(self, state: ErrorState, *, write: bool) -> None:
        """Keep which types of errors reads and writes met: their interrupts are controlled apart."""
        flag = _FLAG_OF_STATE[state]
        self.met |= flag if write else flag << _READS_SHIFT

    def _counts_deferred(self, record_format: RecordFormat) -> bool:
        """Whether the counter counts deferred errors too: where they have an interrupt control of their own."""
        has_control = self.model.counters and self.model.fr & ErrFr.DFI.mask
        return bool(has_control) and record_format is RecordFormat.V1P1

    def _recorded_state(self, error: DetectedError, record_format: RecordFormat) -> ErrorState:
        """R_JSVFW: a critical condition is recorded as UC where its interrupt exists and is disabled."""
        if (
            error.critical
            and record_format is RecordFormat.V1P1
            and self.model.fr & ErrFr.CI.mask == 2 << ErrFr.CI.lsb
            and not self.ctlr & ErrCtlr.CI.mask
        ):
            return ErrorState.UC
        return error.state

    def _overwritten(self, status: int, state: ErrorState, error: DetectedError) -> int:
        status = (
            status & ~(_SYNDROME | AV | _NOT_IN_STATE[state])
            | _STATUS_OF_STATE[state]
            | error.serr
            | error.ierr << ErrStatus.IERR.lsb
        )
        if state is ErrorState.CE:
            status = status & ~CE | error.corrected << ErrStatus.CE.lsb
        if error.poison and state is not ErrorState.CE:
            status |= PN
        if error.responded and self.responds(state, write=error.write):
            status |= ER
        if error.address is not None:
            self.addr = error.address & _PADDR | NON_SECURE
            status |= AV
        return status

    def responds(self, state: ErrorState, *, write: bool = False) -> bool:
        """Whether this RAS node answers in-band (with an external abort) to an error of this state."""
        ctlr = self._controls_of_writes() if write else self.ctlr
        return state >= _UNCORRECTED and is_on(self.model.fr, ErrFr.UE.lsb, ctlr & ErrCtlr.UE.mask)

    def _controls_of_writes(self) -> int:
        """ERR<n>CTLR with each control for writes in the place of its twin for reads."""
        ctlr = self.ctlr
        for reads, writes in self.model.halves:
            ctlr = ctlr | reads if self.ctlr & writes else ctlr & ~reads
        return ctlr

    def _count(self, error: DetectedError) -> bool:
        """Count one corrected (or deferred) error; True when the counter wrapped.

        A pair of counters: the first error and those at the same place go to the repeat counter, others to the
        other one.
        """
        counter = self.model.counters[0]
        if len(self.model.counters) == 2 and self.status & V and not self._same_place(error):
            counter = self.model.counters[1]
        count = (self.misc0 & counter.mask) + counter.one
        if count <= counter.mask:
            self.misc0 = self.misc0 & ~counter.mask | count
            return False
        self.misc0 = self.misc0 & ~counter.mask | counter.overflow
        return True

    def _same_place(self, error: DetectedError) -> bool:
        return bool(self.status & AV) and error.address == self.addr & _PADDR

    def lines(self) -> int:
        """The interrupt outputs (Lines as a mask), level-sensitive form. IHI0100 A.c 2.5.1."""
        status = self.status
        if not status & V:
            return 0
        event = self.corrected_event(status)
        if not self.model.halves:
            return asserted(status, self.model.fr, self.ctlr, event=event)
        return self._lines_of_reads(status, event=event) | self._lines_of_writes(status, event=event)

    def _lines_of_reads(self, status: int, *, event: bool) -> int:
        """What reads met, and what nobody told apart."""
        types = status & _TYPE_BITS & ~(self.met & ~(self.met >> _READS_SHIFT))
        event = event and (bool(types & _COUNTED) or not status & _COUNTED)
        return asserted(status & ~_TYPE_BITS | types, self.model.fr, self.ctlr, event=event)

    def _lines_of_writes(self, status: int, *, event: bool) -> int:
        types = status & _TYPE_BITS & self.met
        ctlr = self._controls_of_writes()
        return asserted(status & ~_TYPE_BITS | types, self.model.fr, ctlr, event=event and bool(types & _COUNTED))

    def corrected_event(self, status: int) -> bool:
        """Level of the corrected error event: the counters' overflow, or CE where each CE is an event."""
        if self.model.counters and not self.ctlr & _CED:
            return bool(self.misc0 & self.model.overflows)
        return bool(status & CE)

    def write_status(self, value: int, record_format: RecordFormat) -> bool:
        """Software writes ERR<n>STATUS; True when the record is free afterwards."""
        self.status = status_written(self.status, value, record_format, codes_writable=_CODES_WRITABLE)
        standing = self.status & _TYPE_BITS
        self.met &= standing | standing << _READS_SHIFT
        return not self.status & V

    def read(self, register: RecordRegister) -> int:
        """A register as software reads it. ADDR can be read while AV is 0, because PFGF.AV is 1."""
        match register:
            case RecordRegister.FR:
                return self.model.fr
            case RecordRegister.CTLR:
                return self.ctlr
            case RecordRegister.STATUS:
                return self.status
            case RecordRegister.ADDR:
                return self.addr
            case RecordRegister.MISC0:
                return self.misc0
            case RecordRegister.PFGF:
                return PFGF
            case RecordRegister.PFGCTL:
                return self.pfgctl
            case RecordRegister.PFGCDN:
                return self.pfgcdn

    def write(self, register: RecordRegister, value: int, record_format: RecordFormat) -> int:
        """Software writes a register. Returns the ticks after which an injected error is due; 0 for none.

        ADDR takes writes while AV is 0, because PFGF.AV is 1. Of MISC0 only the counters can be written.
        """
        match register:
            case RecordRegister.CTLR:
                self.ctlr = value & self.model.controls
            case RecordRegister.STATUS:
                self.write_status(value, record_format)
            case RecordRegister.ADDR:
                self.addr = value & ErrAddr.declared
            case RecordRegister.MISC0:
                counters = sum(counter.overflow | counter.mask for counter in self.model.counters)
                self.misc0 = self.misc0 & ~counters | value & counters
            case RecordRegister.PFGCDN:
                self.pfgcdn = value & ErrPfgcdn.CDN.mask
            case RecordRegister.PFGCTL:
                started = value & ~self.pfgctl & ErrPfgctl.CDNEN.mask
                self.pfgctl = value & ErrPfgctl.declared
                self.restarts = 0
                return self._load_countdown() if started else 0
            case RecordRegister.FR | RecordRegister.PFGF:
                pass  # read only
        return 0

    def _load_countdown(self) -> int:
        """The countdown starts from PFGCDN where that is not 0 and the RAS node is enabled; its ticks."""
        if not self.enabled():
            return 0
        self.countdowns += 1
        return self.pfgcdn

    def restart_countdown(self) -> int:
        """The countdown reached zero: it starts again if PFGCTL.R is 1. Its ticks; 0: it stopped."""
        if not self.pfgctl & ErrPfgctl.R.mask or self.restarts >= RESTARTS_MAX:
            return 0
        self.restarts += 1
        return self._load_countdown()

    def counts_down(self, countdown: int) -> bool:
        """Whether this countdown is the running one: not stopped, and not started anew."""
        return countdown == self.countdowns and bool(self.pfgctl & ErrPfgctl.CDNEN.mask)

    def injected(self) -> DetectedError | None:
        """The error that the countdown produces; None when PFGCTL names no type or several (UNPREDICTABLE).

        PFGF.SYN is 0: software supplies no syndrome, the RAS node sets IERR and SERR itself, to IMPLEMENTATION
        DEFINED values; here to those of its real errors of that state.
        """
        control = self.pfgctl
        wanted = [state for state, bits in _TYPES if control & bits]
        if len(wanted) != 1:
            return None
        return DetectedError(
            state=wanted[0],
            serr=self.model.codes[wanted[0]],
            address=self.addr & ErrAddr.PADDR.mask if control & ErrPfgctl.AV.mask else None,
            poison=bool(control & ErrPfgctl.PN.mask),
            critical=bool(control & ErrPfgctl.CI.mask),
            corrected=CorrectedError(_INJECTED_CE[(control & ErrPfgctl.CE.mask) >> ErrPfgctl.CE.lsb]),
            responded=bool(control & ErrPfgctl.ER.mask),
        )

    def record_injected(self, error: DetectedError, record_format: RecordFormat) -> bool:
        """Record an injected error: OF, MV, CI and ER are what PFGCTL says; ADDR is what software wrote."""
        addr = self.addr
        stands = self.record(error, record_format)
        self.addr = addr
        for flag, control in _SET_BY_PFGCTL:
            self.status = self.status | flag if self.pfgctl & control else self.status & ~flag
        if record_format is RecordFormat.V1P1 and not error.critical:
            self.status &= ~CI
        if stands and error.responded and error.state >= ErrorState.DE:
            self.status |= ER
        return stands

    def untouched(self) -> bool:
        """Whether nothing distinguishes it from a record that firmware has just set up.

        What STATUS and ADDR hold while V, AV and MV are 0 is UNKNOWN, so it does not matter.
        """
        if self.status & (V | AV | MV) or self.pfgctl or self.pfgcdn or self.countdowns:
            return False
        return self.ctlr | _CED == self.model.ctlr | _CED

    def reset(self, *, cold: bool) -> None:
        """Cold reset zeroes the record; an Error Recovery reset keeps it. CTLR is set up again by firmware."""
        self.ctlr = self.model.ctlr
        self.asserted = self.pfgctl = self.pfgcdn = 0
        if cold:
            self.status = self.addr = self.misc0 = self.met = 0
