"""One PE: what runs on it, its pending physical SError, and what a barrier does.

The PE takes exceptions by the tables of ``routing``. Pending SErrors merge: one bit is pending, and the worst
state is kept. An SError is edge-triggered here (always so with FEAT_DoubleFault), so taking it ends it.

An asynchronous error may also be *arriving*: it has happened, and the PE learns of it when it synchronises errors.
ESB does that, and so does, where IESB is set for a level, entering that level and leaving it by ERET.

Sources: DDI0487 J1.3.2, J1.3.3 (pending, multiple errors), D24.9.1 (DISR_EL1, ESB), D24.2 (SCTLR_ELx.IESB,
SCR_EL3.NMEA); Sail v8_base.sail SynchronizeErrors; IHI0100 A.c 2.4.5.
"""

from typing import Final, NamedTuple

from nodes.hardware.routing import EL0, EL3, PENDING, Disr, disr_reached, route_serror
from nodes.spec.aarch64 import HCR_GUEST, HCR_VHE_HOST, ScrEl3, SctlrElx
from nodes.spec.severity import Aet
from nodes.spec.syndrome import AET_SHIFT, DFSC_MASK, DFSC_SERROR, IDS, ISS_MASK, DisrEl1, EsrSError, deferred

NOTHING: Final = -1  # no SError pending; no RAS node
HOST: Final = -1  # in place of a guest: the host itself
_UNKNOWN: Final = None  # a syndrome that names no state of the PE
_WORSE: Final = (Aet.CE, Aet.UEO, Aet.UER, Aet.UEU, _UNKNOWN, Aet.UC)  # from mild to bad
_BADNESS: Final = tuple(
    _WORSE.index(Aet(aet) if aet in Aet._value2member_map_ else _UNKNOWN) for aet in range(8)
)  # index: AET
_DISR_FIELDS: Final = DisrEl1.declared
_NMEA_AND_EA: Final = ScrEl3.of(NMEA=1, EA=1)
_IESB: Final = SctlrElx.IESB.mask
SCTLR_AFTER_BOOT: Final = (0, _IESB, _IESB, _IESB)  # index: level; TF-A and Linux set IESB where it exists


def badness(iss: int) -> int:
    """How bad a syndrome is: order of the PE's states; one that names no state hides nothing but UC."""
    if iss & IDS or iss & DFSC_MASK != DFSC_SERROR:
        return _WORSE.index(_UNKNOWN)
    return _BADNESS[iss >> AET_SHIFT & 7]


def merged(first: int, second: int) -> int:
    """The syndrome of two SErrors in one: the worse one; the later one when they are equal."""
    return first if badness(first) > badness(second) else second


def implicitly_synchronised(iss: int) -> int:
    """The syndrome of an SError that an implicit barrier found and the PE takes at once: ESR_ELx.IESB is 1."""
    if iss & IDS or iss & DFSC_MASK != DFSC_SERROR:
        return iss
    return iss | EsrSError.IESB.mask


class Arriving(NamedTuple):
    """An SError that a PE has not been told of yet."""

    iss: int
    node: int  # RAS node that holds its record
    carried: int  # occurrences, where no RAS node recorded it


class Taken(NamedTuple):
    """An SError that left the pending state: taken, or deferred."""

    iss: int
    nodes: tuple[int, ...]  # RAS nodes that hold the records of what merged into it, oldest first
    carried: int  # occurrences that no RAS node recorded


class Pe:
    """A PE of the host."""

    __slots__ = (
        "arriving",
        "carried",
        "disr",
        "el",
        "guest",
        "hcr",
        "in_partition",
        "masked",
        "pending",
        "pending_nodes",
        "placed",
        "scr",
        "sctlr",
        "sdei_masked",
    )

    def __init__(self, scr: int) -> None:
        self.scr = scr
        self.sctlr = SCTLR_AFTER_BOOT
        self.hcr: int = HCR_VHE_HOST
        self.guest = HOST  # whose vCPU runs here
        self.el = 0
        self.placed = False  # somebody put there what runs here
        self.masked = False  # PSTATE.A
        self.sdei_masked = False
        self.in_partition = False  # EL3 called its MM partition and waits for it
        self.arriving: tuple[Arriving, ...] = ()
        self.pending = NOTHING  # ISS of the pending SError
        self.pending_nodes: tuple[int, ...] = ()  # RAS nodes that hold its records
        self.carried = 0  # occurrences behind a pending SError that no RAS node recorded
        self.disr = 0

    def run(self, guest: int, el: int) -> None:
        """What executes now: a guest's code at EL0 or EL1, or the host's at EL0 or EL2."""
        if guest >= 0:
            self.hcr, self.guest, self.el = HCR_GUEST, guest, min(el, 1)
        else:
            self.hcr, self.guest, self.el = HCR_VHE_HOST, guest, 2 if el else 0

    def interrupted(self) -> int:
        """The level that an exception would come from: the MM partition, which EL3 calls, runs at (Secure) EL0."""
        return EL0 if self.in_partition else self.el

    def pend(self, iss: int, node: int) -> None:
        """A physical SError becomes pending; a second one merges."""
        self.pending = iss if self.pending == NOTHING else merged(self.pending, iss)
        if node != NOTHING:
            self.pending_nodes = (*self.pending_nodes, node)

    def target(self) -> int:
        """The level that takes the pending SError now; PENDING when there is none or it is masked."""
        return PENDING if self.pending == NOTHING else self.would_take()

    def would_take(self) -> int:
        """The level that would take an SError that pends now."""
        return route_serror(self.scr, self.hcr, self.el, masked=self.masked)

    def take(self) -> Taken:
        """The pending SError leaves."""
        assert self.pending != NOTHING, "no SError is pending"
        taken = Taken(self.pending & ISS_MASK, self.pending_nodes, self.carried)
        self.pending, self.pending_nodes, self.carried = NOTHING, (), 0
        return taken

    def defer(self) -> Taken | None:
        """ESB: a pending SError that is masked, or that cannot be taken, goes to DISR_EL1 and is pending no more.

        An unmasked one is taken by its vector instead.
        """
        if self.pending == NOTHING or self.target() != PENDING:
            return None
        taken = self.take()
        self.disr = deferred(taken.iss if taken.iss & IDS else taken.iss & _DISR_FIELDS)
        return taken

    def read_disr(self) -> int:
        """DISR_EL1 as software here reads it; a guest is given VDISR_EL2, which its vCPU has."""
        reached = disr_reached(self.scr, self.hcr, self.el)
        assert reached is not Disr.VIRTUAL, "VDISR_EL2 belongs to the vCPU"
        return self.disr if reached is Disr.OWN else 0

    def implicit_barrier(self, level: int) -> bool:
        """Whether entering this level, and ERET from it, synchronises errors."""
        forced = level == EL3 and self.scr & _NMEA_AND_EA == _NMEA_AND_EA
        return forced or bool(self.sctlr[level] & _IESB)

    def idle(self) -> bool:
        """Whether nothing but the code that last ran distinguishes it from a PE that nobody touched."""
        held = self.placed or self.masked or self.sdei_masked or self.disr or self.carried or self.arriving
        return self.pending == NOTHING and self.el != EL3 and not held and self.sctlr is SCTLR_AFTER_BOOT
