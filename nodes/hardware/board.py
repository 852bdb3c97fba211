"""The hardware of one host: RAS nodes with their error records, poison in memory, PEs.

What was never touched does not exist: records, poisoned lines and PEs are made when something concerns them.

Sources: IHI0100 A.c 2.4 (recording, poison), 2.5 (interrupts), 3.2.31 (injection); the flow of errors is the
design's section 1 and the flow description's A0.
"""

from typing import ClassVar, Final, Protocol

from nodes.events import (
    ErrorRecorded,
    Event,
    InterruptRaised,
    MemoryRead,
    PoisonRemoved,
    PoisonStored,
)
from nodes.hardware.dram import LINE_MASK, DramGeometry
from nodes.hardware.fault import FAULTS, POISON_CONSUMED, Delivery, Fault
from nodes.hardware.pe import NOTHING, Pe
from nodes.hardware.pes import Pes
from nodes.hardware.ras_nodes import INSTANCE_MASK, KIND_SHIFT, RasNodeKind, model_of, ras_node
from nodes.hardware.record import AV, DetectedError, ErrorRecord, RecordRegister
from nodes.hardware.routing import EL3, route_sea
from nodes.ledger import Account, Ledger
from nodes.spec.aarch64 import ExceptionClass, ScrEl3
from nodes.spec.err import CorrectedError, ErrCtlr, RecordFormat, V, error_state
from nodes.spec.severity import Aet, ErrorState, Set
from nodes.spec.syndrome import abort_esr, serror_iss

_AET: Final = {
    ErrorState.UEO: Aet.UEO,
    ErrorState.UER: Aet.UER,
    ErrorState.UEU: Aet.UEU,
    ErrorState.UC: Aet.UC,
}
_SET: Final = {ErrorState.UEO: Set.UEO, ErrorState.UER: Set.UER, ErrorState.UEU: Set.UC, ErrorState.UC: Set.UC}
_LEAVES_POISON: Final = frozenset(
    (ErrorState.DE, ErrorState.UEO, ErrorState.UER, ErrorState.UEU)
)  # of memory, and DE of what stands before it
_STORES: Final = (RasNodeKind.MEMORY, RasNodeKind.CACHE, RasNodeKind.BUS)


class Setup:
    """How firmware set the hardware of a host up; shared between hosts that are alike."""

    __slots__ = ("ce_threshold", "geometry", "record_format", "scr")

    def __init__(self, geometry: DramGeometry, record_format: RecordFormat, scr: int, ce_threshold: int) -> None:
        self.geometry = geometry
        self.record_format = record_format
        self.scr = scr
        self.ce_threshold = ce_threshold


class Neighbours(Protocol):
    """What the hardware asks of the floors above it."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def ras_interrupt(self, node: int) -> None:
        """A RAS node interrupts."""

    def serror_taken(self, pe: int, target: int, esr: int, node: int, carried: int) -> None:
        """A PE took an SError; ``node`` holds its record, -1: no record, and then it carries its occurrence."""

    def sea_taken(self, pe: int, target: int, esr: int, address: int, node: int) -> None:
        """A PE took a synchronous external abort for a physical address."""

    def countdown(self, node: int, ticks: int, countdown: int) -> None:
        """An injection countdown of a RAS node began; ``countdown`` tells it from others of that node."""


class Board:
    """The hardware floor of one host."""

    __slots__ = ("ask", "ledger", "pes", "poison", "records", "setup")
    __deletable__: ClassVar[list[str]] = ["pes"]  # for the compiler; see nodes.stack.snapshot.dismantle()

    def __init__(self, ask: Neighbours, ledger: Ledger, setup: Setup) -> None:
        self.ask = ask
        self.ledger = ledger
        self.setup = setup
        self.records: dict[int, ErrorRecord] = {}
        self.poison: dict[int, int] = {}  # line address -> occurrences that it carries
        self.pes = Pes(self, ledger)

    def inject(self, index: int, address: int, pe: int, guest: int, el: int, *, consumed: bool = True) -> None:
        """A fault becomes an error: recorded, and delivered to the PE that met it, if any (``consumed``)."""
        fault = FAULTS[index]
        self.ledger.inject()
        node = self._node_for(fault, address, pe)
        record = self.record_of(node)
        if not record.enabled():
            self.ledger.move(1, Account.IN_FLIGHT, Account.SILENT)
            return
        carried = 1
        if self._leaves_poison(fault):
            carried = self._store_poison(address & LINE_MASK, fault.state)
        delivered = consumed and fault.delivery is not Delivery.NONE
        delivered = delivered and record.responds(fault.state, write=fault.write)
        interrupts = self._detect(node, record, fault, address, carried, responded=delivered)
        if delivered:
            self._deliver(fault, node, address, pe, guest, el)
            interrupts = interrupts and not self.setup.scr & ScrEl3.EA.mask  # EL3's probe finds the record
        if interrupts:
            self.ask.ras_interrupt(node)

    def _node_for(self, fault: Fault, address: int, pe: int) -> int:
        if fault.kind is RasNodeKind.MEMORY:
            return ras_node(RasNodeKind.MEMORY, self.setup.geometry.dimm_of(address))
        if fault.kind is RasNodeKind.BUS:
            return ras_node(RasNodeKind.BUS, self.setup.geometry.socket_of(address))
        return ras_node(fault.kind, pe if model_of(fault.kind << KIND_SHIFT).owned_by_pe else 0)

    def _leaves_poison(self, fault: Fault) -> bool:
        if fault.kind is RasNodeKind.MEMORY:
            return fault.state in _LEAVES_POISON
        return fault.state is ErrorState.DE and fault.kind in _STORES

    def _store_poison(self, line: int, state: ErrorState) -> int:
        """Mark a line; what a deferred error carries waits there. Returns what is left for the record."""
        if line not in self.poison:
            self.poison[line] = 0
            self.ask.publish(PoisonStored, line)
        if state is not ErrorState.DE:
            return 1
        self.poison[line] += 1
        self.ledger.move(1, Account.IN_FLIGHT, Account.LATENT)
        return 0

    def record_of(self, node: int) -> ErrorRecord:
        """The error record of a RAS node, made and set up by firmware when first asked for."""
        record = self.records.get(node)
        if record is None:
            model = model_of(node)
            record = self.records[node] = ErrorRecord(model, 0)
            self.preload(record)
        return record

    def set_up(self, setup: Setup) -> None:
        """Other firmware: it sets every RAS node up in its own way."""
        self.setup = setup
        for record in self.records.values():
            record.ctlr = record.model.ctlr
            self.preload(record)

    def preload(self, record: ErrorRecord) -> None:
        """Firmware sets the counter so that the threshold's error wraps it; threshold 1 is CTLR.CED."""
        threshold = self.setup.ce_threshold
        if not record.model.counters:
            return
        record.misc0 = 0
        if threshold > 1:
            record.ctlr &= ~ErrCtlr.CED.mask
            for counter in record.model.counters:
                record.misc0 |= counter.one * max(0, counter.all_ones + 1 - threshold)

    def _detect(
        self, node: int, record: ErrorRecord, fault: Fault, address: int, carried: int, *, responded: bool
    ) -> bool:
        unspecified = CorrectedError.UNSPECIFIED
        error = DetectedError(
            fault.state, fault.serr, address, fault.poison, fault.critical, unspecified, responded, fault.write
        )
        stands = record.record(error, self.setup.record_format)
        return self._recorded(node, record, error, carried, stands=stands)

    def _recorded(
        self, node: int, record: ErrorRecord, error: DetectedError, carried: int, *, stands: bool
    ) -> bool:
        """Account for a recorded error; True when an interrupt of the RAS node must be sent.

        ``stands``: its syndrome is the one in the record now.
        """
        lines = record.lines()
        move = self.ledger.move
        if stands:
            # What the record carried before gives way. A corrected error that raised no event was only counted.
            ended = Account.COALESCED if error.state is ErrorState.CE else Account.OVERWRITTEN
            if record.carried:
                move(record.carried, record.account, ended)
            record.carried, record.account = carried, Account.IN_FLIGHT
        elif carried:
            move(
                carried,
                Account.IN_FLIGHT,
                Account.COALESCED if error.state <= ErrorState.DE else Account.OVERWRITTEN,
            )
        if record.carried and error.state is ErrorState.CE and not lines:
            move(record.carried, record.account, Account.COALESCED)
            record.carried = 0
        self.ask.publish(
            ErrorRecorded, node, record.status, record.addr if record.status & AV else 0, record.misc0
        )
        return self._risen(node, record, lines)

    def _risen(self, node: int, record: ErrorRecord, lines: int) -> bool:
        """Tell of interrupt outputs that rose; True when the interrupt must be sent: none is on its way yet."""
        risen = lines & ~record.asserted
        if not risen:
            return False
        self.ask.publish(InterruptRaised, node, risen)
        waiting = record.asserted
        record.asserted = lines
        return not waiting

    def read(self, address: int, pe: int, guest: int, el: int) -> bool:
        """A load reads memory: True when its line is poison, and the load ended in an abort."""
        line = address & LINE_MASK
        self.ask.publish(MemoryRead, address, guest, el)
        if line not in self.poison:
            return False
        node = ras_node(RasNodeKind.CACHE, pe)
        record = self.record_of(node)
        carried = self.poison[line]
        self.poison[line] = 0
        if not record.enabled():
            self.ledger.move(carried, Account.LATENT, Account.SILENT)
            return False
        self.ledger.move(carried, Account.LATENT, Account.IN_FLIGHT)
        delivered = record.responds(POISON_CONSUMED.state)
        interrupts = self._detect(node, record, POISON_CONSUMED, address, carried, responded=delivered)
        if delivered:
            self._deliver(POISON_CONSUMED, node, address, pe, guest, el)
            interrupts = interrupts and not self.setup.scr & ScrEl3.EA.mask
        if interrupts:
            self.ask.ras_interrupt(node)
        return delivered

    def scrub(self, address: int) -> None:
        """The whole line is written: its poison is gone."""
        line = address & LINE_MASK
        carried = self.poison.pop(line, None)
        if carried is None:
            return
        if carried:
            self.ledger.move(carried, Account.LATENT, Account.CORRECTED)
        self.ask.publish(PoisonRemoved, line)

    def forget_page(self, first: int, size: int) -> None:
        """A page was taken away and will never be read: its poison is forgotten, and what it carries ends."""
        for line in [line for line in self.poison if first <= line < first + size]:
            self.ledger.move(self.poison.pop(line), Account.LATENT, Account.REPORTED)

    def pe_of(self, pe: int) -> Pe:
        """A PE of the host."""
        return self.pes.of(pe)

    def release(self, pe: int) -> None:
        """Take the pending SError of a PE if nothing holds it any more."""
        self.pes.release(pe)

    def _deliver(self, fault: Fault, node: int, address: int, pe: int, guest: int, el: int) -> None:
        state = self.pe_of(pe)
        if state.el != EL3:
            state.run(guest, el)
        if fault.delivery is Delivery.SERROR:
            self.pes.pend(pe, serror_iss(_AET[fault.state]), node)
            return
        if state.pending != NOTHING:
            self.pes.release(pe)  # what runs now does not hold it any more
        target = route_sea(state.scr, state.hcr, state.el)
        ec = ExceptionClass.DABT_CURRENT if target == state.interrupted() else ExceptionClass.DABT_LOWER
        self.ask.sea_taken(pe, target, abort_esr(ec, set_=_SET[fault.state]), address, node)

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""
        self.ask.publish(kind, *fields)

    def scr(self) -> int:
        """SCR_EL3 as firmware sets it at boot."""
        return self.setup.scr

    def serror_taken(self, pe: int, target: int, esr: int, node: int, carried: int) -> None:
        """A PE took an SError."""
        self.ask.serror_taken(pe, target, esr, node, carried)

    def account(self, node: int, account: Account) -> None:
        """What a record carries changes accounts: pending while the SError behind it is masked."""
        record = self.records.get(node)
        if record is not None and record.carried and record.account is not account:
            self.ledger.move(record.carried, record.account, account)
            record.account = account

    def write(self, node: int, register: RecordRegister, value: int) -> None:
        """Software writes a register of a RAS node. Interrupts are levels: they fall and rise with the write."""
        record = self.record_of(node)
        lines, state = record.lines(), error_state(record.status)
        ticks = record.write(register, value, self.setup.record_format)
        if not record.status & V:  # whoever freed it has read it
            self.take_carried(node, Account.CORRECTED if state <= ErrorState.CE else Account.REPORTED)
        record.asserted &= record.lines() | ~lines
        if ticks:
            self.ask.countdown(node, ticks, record.countdowns)
        if self._risen(node, record, record.lines()):
            self.ask.ras_interrupt(node)

    def countdown_over(self, node: int, countdown: int) -> None:
        """An injection countdown reached zero: the RAS node behaves as if it had detected the error."""
        record = self.record_of(node)
        if not record.counts_down(countdown):
            return
        ticks = record.restart_countdown()
        if ticks:
            self.ask.countdown(node, ticks, record.countdowns)
        error = record.injected()
        if error is not None and record.enabled():
            self._inject_by_register(node, record, error)

    def _inject_by_register(self, node: int, record: ErrorRecord, error: DetectedError) -> None:
        """What PFGCTL asked for is recorded; with PFGCTL.ER the PE that owns the RAS node takes an SError.

        At a RAS node that no PE owns (memory, bus) ER is set in STATUS as asked for and no abort is taken: the
        response would go to a requester, and the injection registers name none. It is told by its interrupt.
        """
        self.ledger.inject()
        stands = record.record_injected(error, self.setup.record_format)
        interrupts = self._recorded(node, record, error, 1, stands=stands)
        if error.responded and record.responds(error.state) and record.model.owned_by_pe:
            self.pes.pend(node & INSTANCE_MASK, serror_iss(_AET[error.state]), node)
            interrupts = interrupts and not self.setup.scr & ScrEl3.EA.mask
        if interrupts:
            self.ask.ras_interrupt(node)

    def take_carried(self, node: int, account: Account) -> None:
        """What a record carries ends, or goes on, in another account."""
        record = self.records.get(node)
        if record is not None and record.carried:
            self.ledger.move(record.carried, record.account, account)
            record.carried, record.account = 0, Account.IN_FLIGHT

    def hand_over(self, node: int) -> int:
        """Whoever clears a record takes over what it carries, back in flight."""
        record = self.records[node]
        carried, record.carried = record.carried, 0
        if record.account is not Account.IN_FLIGHT:
            self.ledger.move(carried, record.account, Account.IN_FLIGHT)
            record.account = Account.IN_FLIGHT
        return carried

    def handled(self, node: int) -> None:
        """Software finished with an interrupt: a condition that still holds interrupts again.

        A record that is as firmware set it up need not be remembered.
        """
        record = self.records.get(node)
        if record is None:  # who handled it before forgot it
            return
        record.asserted = 0
        lines = record.lines()
        if lines:
            record.asserted = lines
            self.ask.publish(InterruptRaised, node, lines)
            self.ask.ras_interrupt(node)
        elif record.untouched() and not record.carried:
            del self.records[node]
            if not self.records:
                self.records = {}  # an emptied dictionary keeps its size

    def lose_power(self, *, cold: bool) -> None:
        """Reset: PEs start anew, memory is initialised. Records keep what they hold unless it is a Cold reset."""
        self.pes.lose_power()
        self.ledger.move(sum(self.poison.values()), Account.LATENT, Account.LOST_HOST_RESET)
        self.poison.clear()
        for node, record in self.records.items():
            if cold:
                self.take_carried(node, Account.LOST_HOST_RESET)
            else:
                self.account(node, Account.IN_FLIGHT)  # its SError is gone, the record is not
            record.reset(cold=cold)
            self.preload(record)

    def carried(self) -> int:
        """Occurrences that records, poison and pending SErrors carry; for the accounting check."""
        in_records = sum(record.carried for record in self.records.values())
        return in_records + sum(self.poison.values()) + self.pes.carried()
