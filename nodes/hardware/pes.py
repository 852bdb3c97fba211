"""The PEs of one host and the physical SErrors at them: arriving, pending, taken, deferred.

A PE that nothing distinguishes from an untouched one is not kept. What waits at a PE carries its occurrence, or
its error record does; here they change accounts together.

Sources: DDI0487 J1.3.2, J1.3.3; the flow description A1.
"""

from typing import Final, Protocol

from nodes.events import Event, SErrorDeferred, SErrorPended
from nodes.hardware.pe import HOST, NOTHING, Arriving, Pe, Taken, implicitly_synchronised
from nodes.hardware.routing import EL3, PENDING
from nodes.ledger import Account, Ledger
from nodes.spec.aarch64 import IsrEl1
from nodes.spec.syndrome import serror_esr

_NONE: Final[dict[int, Pe]] = {}  # shared, never changed in place


class Neighbours(Protocol):
    """What the PEs ask of the hardware around them."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def scr(self) -> int:
        """SCR_EL3 as firmware sets it at boot."""

    def account(self, node: int, account: Account) -> None:
        """What the record of a RAS node carries changes accounts."""

    def serror_taken(self, pe: int, target: int, esr: int, node: int, carried: int) -> None:
        """A PE took an SError; ``node`` holds its record, -1: no record, and then it carries its occurrence."""


class Pes:
    """Every PE of a host that was touched."""

    __slots__ = ("ask", "ledger", "touched")

    def __init__(self, ask: Neighbours, ledger: Ledger) -> None:
        self.ask = ask
        self.ledger = ledger
        self.touched = _NONE

    def of(self, pe: int) -> Pe:
        """A PE of the host."""
        state = self.touched.get(pe)
        if state is None:
            state = Pe(self.ask.scr())
            self.touched = {**self.touched, pe: state}
        return state

    def place(self, pe: int, guest: int, el: int, *, masked: bool) -> None:
        """What runs on a PE from now on. A guest has one vCPU: it leaves the PE where it ran before."""
        if guest >= 0:
            self.vacate(guest)
        state = self.of(pe)
        state.run(guest, el)
        state.masked, state.placed = masked, guest >= 0
        self.release(pe)

    def vacate(self, guest: int) -> None:
        """A guest runs nowhere any more; where it ran, a task of the host does."""
        for state in self.touched.values():
            if state.guest == guest and state.el != EL3:
                state.run(HOST, 0)
                if state.placed:
                    state.placed = state.masked = False

    def forget(self, pe: int) -> None:
        """A PE that nothing is pending on and nobody set up need not be remembered."""
        state = self.touched.get(pe)
        if state is not None and state.idle():
            self.touched = {other: kept for other, kept in self.touched.items() if other != pe} or _NONE

    def pend(self, pe: int, iss: int, node: int = NOTHING, carried: int = 0) -> None:
        """A physical SError becomes pending at a PE, and is taken at once where nothing holds it.

        ``node`` holds its record; an SError that no RAS node recorded carries its occurrence itself.
        """
        state = self.of(pe)
        state.pend(iss, node)
        self.ledger.move(carried, Account.IN_FLIGHT, Account.PENDING)
        if state.target() != PENDING:
            state.carried += carried
            self.release(pe)
            return
        self.ask.account(node, Account.PENDING)
        if carried:  # it merges with what was pending
            self.ledger.move(state.carried, Account.PENDING, Account.COALESCED)
            state.carried = carried
        self.ask.publish(SErrorPended, pe, state.el, iss, IsrEl1.A.mask)

    def release(self, pe: int) -> None:
        """Take the pending SError of a PE if nothing holds it any more."""
        target = self.of(pe).target()
        if target == PENDING:
            return
        taken = self.take(pe)
        node = taken.nodes[-1] if taken.nodes else NOTHING
        self.ask.serror_taken(pe, target, serror_esr(taken.iss), node, taken.carried)

    def take(self, pe: int) -> Taken:
        """The pending SError of a PE leaves it: what it and its records carry is in flight again."""
        return self._in_flight(self.of(pe).take())

    def _in_flight(self, taken: Taken) -> Taken:
        for node in taken.nodes:
            self.ask.account(node, Account.IN_FLIGHT)
        self.ledger.move(taken.carried, Account.PENDING, Account.IN_FLIGHT)
        return taken

    def expect(self, pe: int, iss: int, node: int = NOTHING, carried: int = 0) -> None:
        """An asynchronous error happened, and the PE learns of it when it synchronises errors."""
        state = self.of(pe)
        state.arriving = (*state.arriving, Arriving(iss, node, carried))

    def synchronise(self, pe: int, *, implicit: bool = False) -> None:
        """Errors that were arriving at a PE become pending; what nothing masks is taken at once.

        ``implicit``: by entering or leaving a level with IESB, which the syndrome of one that is taken tells.
        """
        state = self.of(pe)
        arrived, state.arriving = state.arriving, ()
        for iss, node, carried in arrived:
            at_once = implicit and state.would_take() != PENDING
            self.pend(pe, implicitly_synchronised(iss) if at_once else iss, node, carried)

    def enter_level(self, pe: int, el: int) -> None:
        """A PE takes an exception to a level: PSTATE.A becomes 1, and with IESB errors are synchronised."""
        state = self.of(pe)
        state.el, state.masked = el, True
        if state.arriving and state.implicit_barrier(el):
            self.synchronise(pe, implicit=True)

    def leave_level(self, pe: int) -> None:
        """A PE is about to execute ERET: with IESB errors are synchronised first."""
        state = self.of(pe)
        if state.arriving and state.implicit_barrier(state.el):
            self.synchronise(pe, implicit=True)

    def barrier(self, pe: int) -> Taken | None:
        """What runs on a PE executes ESB; returns what was deferred to DISR_EL1, if anything was."""
        state = self.of(pe)
        if state.arriving:
            self.synchronise(pe)
        taken = state.defer()
        if taken is None:
            return None
        self.ask.publish(SErrorDeferred, pe, state.disr)
        return self._in_flight(taken)

    def lose_power(self) -> None:
        """PEs start anew; what waited at them is lost."""
        for state in self.touched.values():
            self.ledger.move(state.carried, Account.PENDING, Account.LOST_HOST_RESET)
            arriving = sum(error.carried for error in state.arriving)
            self.ledger.move(arriving, Account.IN_FLIGHT, Account.LOST_HOST_RESET)
        self.touched = _NONE

    def carried(self) -> int:
        """Occurrences that wait at PEs without an error record; for the accounting check."""
        return sum(state.carried + sum(e.carried for e in state.arriving) for state in self.touched.values())
