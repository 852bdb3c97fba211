"""One PE: what runs on it, its pending physical SError, and what a barrier does.

The PE takes exceptions by the tables of ``routing``. Pending SErrors merge: one bit is pending, and the worst
state is kept. An SError is edge-triggered here (always so with FEAT_DoubleFault), so taking it ends it.

Sources: DDI0487 J1.3.2, J1.3.3 (pending, multiple errors), D24.9.1 (DISR_EL1, ESB); IHI0100 A.c 2.4.5.
"""

from typing import Final

from nodes.hardware.routing import PENDING, host_el0, route_serror, serror_masked, serror_target
from nodes.spec.aarch64 import HCR_GUEST, HCR_VHE_HOST
from nodes.spec.severity import Aet
from nodes.spec.syndrome import AET_SHIFT, DFSC_MASK, DFSC_SERROR, IDS, ISS_MASK, deferred

NOTHING: Final = -1  # no SError pending
_WORSE: Final = (Aet.CE, Aet.UEO, Aet.UER, Aet.UEU, Aet.UC)  # from mild to bad
_BADNESS: Final = tuple(_WORSE.index(Aet(aet)) if aet in _WORSE else len(_WORSE) for aet in range(8))  # by AET
_UNKNOWN: Final = len(_WORSE)  # a syndrome without AET is taken as the worst


def badness(iss: int) -> int:
    """How bad a syndrome is: order of the PE's states, an unknown one last."""
    if iss & IDS or iss & DFSC_MASK != DFSC_SERROR:
        return _UNKNOWN
    return _BADNESS[iss >> AET_SHIFT & 7]


def merged(first: int, second: int) -> int:
    """The syndrome of two SErrors in one: the worse one; the later one when they are equal."""
    return first if badness(first) > badness(second) else second


class Pe:
    """A PE of the host, outside EL3."""

    __slots__ = (
        "carried",
        "disr",
        "el",
        "guest",
        "hcr",
        "masked",
        "pending",
        "pending_node",
        "scr",
        "sdei_masked",
    )

    def __init__(self, scr: int) -> None:
        self.scr = scr
        self.hcr: int = HCR_VHE_HOST
        self.guest = -1  # whose vCPU runs here; -1: the host itself
        self.el = 0
        self.masked = False  # PSTATE.A
        self.sdei_masked = False
        self.pending = NOTHING  # ISS of the pending SError
        self.pending_node = NOTHING  # RAS node that holds its record
        self.carried = 0  # occurrences behind a pending SError that no RAS node recorded
        self.disr = 0

    def run(self, guest: int, el: int) -> None:
        """What executes now: a guest's code at EL0 or EL1, or the host's at EL0 or EL2."""
        if guest >= 0:
            self.hcr, self.guest, self.el = HCR_GUEST, guest, min(el, 1)
        else:
            self.hcr, self.guest, self.el = HCR_VHE_HOST, guest, 2 if el else 0

    def pend(self, iss: int, node: int) -> None:
        """A physical SError becomes pending; a second one merges."""
        self.pending = iss if self.pending == NOTHING else merged(self.pending, iss)
        self.pending_node = node if node != NOTHING else self.pending_node

    def target(self) -> int:
        """The level that takes the pending SError now; PENDING when there is none or it is masked."""
        if self.pending == NOTHING:
            return PENDING
        return route_serror(self.scr, self.hcr, self.el, masked=self.masked)

    def take(self) -> tuple[int, int]:
        """The pending SError leaves: its ISS and the RAS node of its record."""
        iss, node = self.pending, self.pending_node
        self.pending = self.pending_node = NOTHING
        return iss & ISS_MASK, node

    def barrier(self) -> int:
        """ESB: defer a pending SError that is masked, or that cannot be taken; DISR_EL1, 0 if there is none.

        An unmasked one is taken by its vector instead. ESB clears the pending SError.
        """
        if self.pending == NOTHING or self.target() != PENDING:
            return 0
        self.disr = deferred(self.pending)
        return self.disr

    def blocked(self) -> bool:
        """Whether only PSTATE.A keeps the pending SError from being taken."""
        target = serror_target(self.scr, self.hcr, self.el)
        return target != PENDING and serror_masked(self.scr, self.hcr, self.el, target)

    def idle(self) -> bool:
        """Whether nothing but the code that last ran distinguishes it from a PE that nobody touched."""
        held = self.masked or self.sdei_masked or self.disr or self.carried
        return self.pending == NOTHING and self.el != 3 and not held

    def in_host_el0(self) -> bool:
        """Whether a task of the host runs."""
        return self.guest < 0 and self.el == 0 and host_el0(self.hcr)
