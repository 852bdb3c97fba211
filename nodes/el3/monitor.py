"""EL3: takes external aborts, SErrors and RAS interrupts; classifies, probes, clears, hands over, notifies.

An exception enters at its vector and is looked at a little later: an SError that became pending in between is
nested (firmware-first) or reflected (kernel-first). While the monitor works, a further abort on the same PE is
fatal: in the monitor's own code an abort at EL3, during the call of the MM partition a double fault. After EL3
stopped the system it does nothing until the reset: what it cleared and had not handed over is lost.

RAS interrupts go to the first PE, and are masked there while it is in EL3: they have the priority that is running
already.

Sources: TF-A bl31/aarch64/runtime_exceptions.S, ea_delegate.S (entry, nesting, reflection, double fault),
lib/extensions/ras/ras_common.c (probe and handler loop), bl31/ehf.c (priorities),
plat/arm/board/neoverse_rd/common/ras (handler); the flow description A1 to A6.
"""

from typing import Final, Protocol

from nodes.apei.source import LOST_AS, ErrorSource, Sources, Written
from nodes.el3.classify import uncontainable
from nodes.el3.entry import Entry, is_abort
from nodes.el3.mm import build_block, source_of
from nodes.el3.partition import Partition
from nodes.el3.reason import REASON_TEXT, Reason
from nodes.el3.sdei import Dispatcher
from nodes.el3.section_bodies import Captured
from nodes.events import (
    BootErrorFound,
    Event,
    FirmwareStopped,
    Level,
    NotificationRefused,
    OsNotified,
    RecordCleared,
    RecordLost,
    SErrorReflected,
    SErrorTaken,
    StatusBlockWritten,
)
from nodes.hardware.board import Board
from nodes.hardware.pe import NOTHING
from nodes.hardware.ras_nodes import INSTANCE_MASK, model_of
from nodes.hardware.record import AV
from nodes.hardware.routing import EL2, EL3, PENDING
from nodes.ledger import Account
from nodes.policy import Probes, Switches
from nodes.spec.aarch64 import ExceptionClass, ScrEl3
from nodes.spec.err import V
from nodes.spec.hest import NotificationType
from nodes.spec.syndrome import EC_SHIFT, exception_class, serror_esr

ENTRY_NS: Final = 1_000  # from the exception to the look at ISR_EL1.A; assumed
REPLAY_MAX: Final = 100  # TF-A ASYNC_EA_REPLAY_COUNTER: the 100th repeat, the 101st entry, panics
_INTERRUPTS: Final = -1  # in place of a PE: what the interrupt path is building
_FIRST_PE: Final = 0  # takes the RAS interrupts
ASYNCHRONOUS_TWIN: Final = 3  # distance from a SEA source to the one that tells of the same component by GSIV


_NO_ENTRIES: Final[dict[int, Entry]] = {}  # shared, as the next; never changed in place


class Neighbours(Protocol):
    """What EL3 asks of the floors around it."""

    @property
    def now(self) -> int:
        """Virtual time, ns."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def timestamp(self) -> bytes:
        """The time of day, BCD."""

    def enter_later(self, pe: int, delay_ns: int) -> None:
        """Look at the exception of a PE soon."""

    def called_later(self, pe: int, delay_ns: int) -> None:
        """The MM partition returns soon."""

    def notify_os(self, source: ErrorSource, pe: int = 0) -> None:
        """The operating system's handler runs on a PE."""

    def inject_sea(self, pe: int, entry: Entry) -> None:
        """The lower level takes a synchronous external abort as if it had been routed there."""

    def system_stopped(self, reason: str) -> None:
        """Nothing runs any more."""


class Monitor:
    """The EL3 floor of one host."""

    __slots__ = ("ask", "board", "entries", "masked", "partition", "sdei", "sources", "stopped", "switches")

    def __init__(self, ask: Neighbours, board: Board, switches: Switches, sources: Sources) -> None:
        self.ask = ask
        self.board = board
        self.switches = switches
        self.sources = sources
        self.sdei = Dispatcher()
        self.stopped = False  # EL3 stopped the system
        self.entries = _NO_ENTRIES  # PEs that are in EL3
        self.partition = Partition()
        self.masked: tuple[int, ...] = ()  # RAS nodes whose interrupts wait for the first PE to leave EL3

    def take(self, pe: int, esr: int, far: int = 0) -> None:
        """A PE took an exception to EL3: an SError, an abort, or an SMC (``esr`` 0)."""
        if self.stopped:
            return
        if pe not in self.entries:
            state = self.board.pe_of(pe)
            self._enter(pe, Entry(esr, far, state.guest, state.el, state.masked))
        elif esr:  # what would call EL3 is not running
            self._abort_in_el3(pe, esr)

    def _enter(self, pe: int, entry: Entry) -> None:
        self.entries = {**self.entries, pe: entry}
        self.board.pes.enter_level(pe, EL3)
        self.ask.enter_later(pe, ENTRY_NS)

    def _abort_in_el3(self, pe: int, esr: int) -> None:
        if self.board.pe_of(pe).in_partition:  # from the partition; classified before the test for a double fault
            spread = uncontainable(esr, self.switches.tfa)
            self.stop(Reason.UNCONTAINABLE if spread else Reason.DOUBLE_FAULT, esr)
        elif exception_class(esr) == ExceptionClass.SERROR:
            self.stop(Reason.ABORT_AT_EL3, esr)
        else:
            self.stop(Reason.SYNCHRONOUS_ABORT_AT_EL3, esr)

    def entered(self, pe: int) -> None:
        """The vector's code: errors are synchronised and ISR_EL1.A is tested before anything else."""
        entry = self.entries.get(pe)
        if entry is None or self.stopped or self.board.pe_of(pe).in_partition:
            return
        state = self.board.pe_of(pe)
        if state.arriving:
            self.board.pes.synchronise(pe)
        if state.pending == NOTHING:
            state.masked = False
            self._handle(pe, entry)
        elif state.scr & ScrEl3.EA.mask:
            self._nest(pe, entry)
        else:
            self._reflect(pe, entry)
        self._unmask_interrupts()

    def _nest(self, pe: int, entry: Entry) -> None:
        """Firmware-first: PSTATE.A is cleared, and EL3 handles the pending SError before what came in.

        An abort that came in goes on afterwards; of an SError that came in the syndrome is discarded.
        """
        state = self.board.pe_of(pe)
        taken = self.board.pes.take(pe)
        state.masked = False
        self.board.ledger.move(taken.carried, Account.IN_FLIGHT, Account.REPORTED)
        nested = serror_esr(taken.iss)
        self.ask.publish(SErrorTaken, pe, EL3, EL3, nested, entry.guest)
        waiting = entry.esr if is_abort(entry.esr) else 0
        self._handle(pe, entry._replace(esr=nested, waiting_esr=waiting))

    def _reflect(self, pe: int, entry: Entry) -> None:
        """Kernel-first: go back so that the lower level takes its SError itself.

        A level that masks it makes the same call again, and again, until EL3 gives up.
        """
        if entry.repeats == REPLAY_MAX:
            self.ask.publish(SErrorReflected, pe, entry.repeats)
            self.stop(Reason.REPLAYED_TOO_OFTEN, entry.esr)
            return
        if not entry.repeats:
            self.ask.publish(SErrorReflected, pe, entry.repeats)
        self.leave(pe)
        if self.board.pe_of(pe).target() == PENDING:
            self._enter(pe, entry._replace(repeats=entry.repeats + 1))
        else:
            self.board.release(pe)

    def _handle(self, pe: int, entry: Entry) -> None:
        """handle_lower_el_async_ea and its synchronous twin; an SMC is none of them."""
        if not entry.esr:
            self.leave(pe)
            return
        if uncontainable(entry.esr, self.switches.tfa):
            self.stop(Reason.UNCONTAINABLE, entry.esr)
            return
        if self.switches.probes is Probes.ABSENT:
            self.stop(Reason.NO_PROBE, entry.esr)
            return
        captured = [(self._capture(pe, node, entry), self._clear(node)) for node in self._probed(pe)]
        if not captured:
            self.stop(Reason.UNHANDLED_ABORT, entry.esr)
            return
        self.entries = {**self.entries, pe: entry}
        self._call(pe, captured)

    def _probed(self, pe: int) -> list[int]:
        """What the probes find from a PE: records of its own system registers, then those of mapped groups."""
        own, mapped = [], []
        for node, record in self.board.records.items():
            if record.status & V:
                if not model_of(node).system_registers:
                    mapped.append(node)
                elif node & INSTANCE_MASK == pe:
                    own.append(node)
        return sorted(own) + sorted(mapped)

    def interrupt(self, node: int) -> None:
        """A RAS interrupt: one probe and one handler, and no guard against double faults.

        While its PE is in EL3, be it for another RAS interrupt, it is masked. What its record holds is looked at
        when it is taken.
        """
        if self._masks_interrupts():
            self.masked = (*self.masked, node)
            return
        record = self.board.records.get(node)
        if record is None:  # somebody else's probe found it meanwhile
            return
        if not record.status & V:
            record.asserted = 0
            return
        captured = Captured(node, record.status, record.addr if record.status & AV else 0)
        self._call(_INTERRUPTS, [(captured, self._clear(node))])

    def _masks_interrupts(self) -> bool:
        return _FIRST_PE in self.entries or _INTERRUPTS in self.partition.building

    def _unmask_interrupts(self) -> None:
        """What was masked is taken once the first PE has left EL3, one after the other."""
        while self.masked and not self.stopped and not self._masks_interrupts():
            node, *rest = self.masked
            self.masked = tuple(rest)
            self.interrupt(node)

    def _capture(self, pe: int, node: int, entry: Entry) -> Captured:
        record = self.board.records[node]
        addr = record.addr if record.status & AV else 0
        return Captured(node, record.status, addr, entry.esr, entry.far, self.board.pe_of(pe).hcr)

    def _clear(self, node: int) -> int:
        """Write the status back, set the counter up again; returns what the record carried."""
        record = self.board.records[node]
        status = record.status
        free = record.write_status(status, self.board.setup.record_format)
        assert free, "a status written back clears all of itself: the probe would find it for ever"
        self.board.preload(record)
        self.ask.publish(RecordCleared, Level.EL3, node, status)
        return self.board.hand_over(node)

    def _call(self, pe: int, captured: list[tuple[Captured, int]]) -> None:
        """Call the MM partition for each record; it returns later."""
        idle_in = self.partition.call(pe, tuple(captured), self.ask.now)
        if idle_in:
            self.ask.called_later(pe, idle_in)
        else:
            self._enter_partition(pe)

    def _enter_partition(self, pe: int) -> None:
        if pe != _INTERRUPTS:
            self.board.pe_of(pe).in_partition = True
        self.ask.called_later(pe, self.partition.enter(pe))

    def called(self, pe: int) -> None:
        """The MM partition is idle for a PE that spins, or has built its blocks: write them, return, notify."""
        if self.stopped:
            return
        if pe in self.partition.spinning:
            self._enter_partition(pe)
        else:
            self._returned(pe)
            self._unmask_interrupts()

    def _returned(self, pe: int) -> None:
        entry = self.entries.get(pe)
        if entry is not None:
            self.board.pe_of(pe).in_partition = False
        sources = list(entry.to_notify) if entry is not None else []
        for captured, carried in self.partition.returned(pe):
            source = self.source_for(captured)
            self._write(source, captured, carried)
            if source not in sources:
                sources.append(source)
            self.board.handled(captured.node)
        if entry is not None and entry.waiting_esr:
            goes_on = entry._replace(esr=entry.waiting_esr, waiting_esr=0)
            self._handle(pe, goes_on._replace(to_notify=tuple(sources)))
            return
        self.leave(pe)
        self._notify(sources, pe, entry)

    def _notify(self, sources: list[ErrorSource], pe: int, entry: Entry | None) -> None:
        """Tell the operating system of each source, in its way; all that tell by SEA share one abort."""
        for source in sources:
            if source.kind.notification is NotificationType.SDEI:
                self._dispatch(source, pe)
            elif source.kind.notification is not NotificationType.SEA:
                self._tell(source)
        if entry is not None and any(source.kind.notification is NotificationType.SEA for source in sources):
            self._tell_by_sea(sources, pe, entry)

    def source_for(self, captured: Captured) -> ErrorSource:
        """The error source that tells of a record: SEA tells only of what a PE met in an abort."""
        index = source_of(captured.node)
        if self.sources.kinds[index].notification is NotificationType.SEA and not is_abort(captured.esr):
            index += ASYNCHRONOUS_TWIN
        source = self.sources.source(index)
        assert source is not None, "every component has its source"
        return source

    def _write(self, source: ErrorSource, captured: Captured, carried: int) -> None:
        block = build_block(
            captured, self.board.setup.geometry, self.switches.severity_policy, self.ask.timestamp()
        )
        written = source.write(block, carried)
        if written is Written.WRITTEN:
            self.ask.publish(StatusBlockWritten, Level.EL3, source.kind.source_id, source.kind.notification, block)
            return
        self.board.ledger.move(carried, Account.IN_FLIGHT, LOST_AS[written])
        self.ask.publish(RecordLost, Level.EL3, source.kind.source_id, LOST_AS[written])

    def _tell(self, source: ErrorSource) -> None:
        """An interrupt, or nothing where the operating system polls."""
        if source.kind.notification is not NotificationType.POLLED:
            self.ask.publish(
                OsNotified, Level.EL3, source.kind.source_id, source.kind.notification, source.kind.vector
            )
        self.ask.notify_os(source)

    def _tell_by_sea(self, sources: list[ErrorSource], pe: int, entry: Entry) -> None:
        """One abort for all sources: the operating system looks at each of them."""
        first = next(source for source in sources if source.kind.notification is NotificationType.SEA)
        self.ask.publish(OsNotified, Level.EL3, first.kind.source_id, NotificationType.SEA, 0)
        if entry.el == EL2:  # the level that takes it is the one that was interrupted
            entry = entry._replace(esr=entry.esr | 1 << EC_SHIFT)
        self.ask.inject_sea(pe, entry)

    def _dispatch(self, source: ErrorSource, pe: int) -> None:
        """Dispatch the source's SDEI event; a refusal is logged, and the block waits for the next one."""
        pe = max(pe, 0)  # interrupts go to the first one
        state = self.board.pes.touched.get(pe)
        refusal = self.sdei.dispatch(source.kind.vector, pe, pe_masked=state is not None and state.sdei_masked)
        if refusal is not None:
            self.ask.publish(NotificationRefused, source.kind.source_id, refusal)
            return
        self.ask.publish(OsNotified, Level.EL3, source.kind.source_id, NotificationType.SDEI, source.kind.vector)
        self.ask.notify_os(source, pe)

    def leave(self, pe: int) -> None:
        """ERET: the PE goes on with what was interrupted."""
        entry = self.entries.get(pe)
        if entry is None:
            return
        state = self.board.pe_of(pe)
        if state.arriving:
            self.board.pes.leave_level(pe)
            if self.stopped:
                return
        self.entries = {other: kept for other, kept in self.entries.items() if other != pe} or _NO_ENTRIES
        state.el, state.masked = entry.el, entry.masked
        self.board.pes.forget(pe)

    def stop(self, reason: Reason, esr: int) -> None:
        """EL3 stops the system; what it has not handed over stays in the records."""
        self.stopped = True
        self.ask.publish(FirmwareStopped, REASON_TEXT[reason], esr)
        self.ask.system_stopped(REASON_TEXT[reason])

    def reset(self) -> int:
        """The host is reset: nothing is being handled. Returns what unfinished calls carried."""
        carried = self.carried()
        self.entries = _NO_ENTRIES
        self.partition.reset()
        self.masked = ()
        self.sdei.reset()
        self.stopped = False
        return carried

    def tell_boot_errors(self) -> None:
        """After a reset: what the records still hold goes into the boot error region, and the kernel prints it."""
        valid = [node for node, record in self.board.records.items() if record.status & V]
        for node in sorted(valid):
            record = self.board.records[node]
            captured = Captured(node, record.status, record.addr if record.status & AV else 0)
            carried = self._clear(node)
            block = build_block(
                captured, self.board.setup.geometry, self.switches.severity_policy, self.ask.timestamp()
            )
            self.ask.publish(BootErrorFound, block)
            self.board.ledger.move(carried, Account.IN_FLIGHT, Account.REPORTED)

    def carried(self) -> int:
        """Occurrences between a cleared record and a written block; for the accounting check."""
        return self.partition.carried()
