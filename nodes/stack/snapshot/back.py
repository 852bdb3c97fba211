"""Brings a host back from its snapshot: a fresh one, and then what differs.

Any bytes give a host or Malformed, in time and memory that grow with their number alone. What is checked is what a
host could not even be made of; whether its accounts agree is the accounting check's affair.
"""

from typing import Any, Final

import msgspec

from nodes.apei.source import ErrorSource, Sources
from nodes.el3.entry import Entry
from nodes.el3.monitor import Monitor
from nodes.el3.sdei import ENABLED, READY, REGISTERED, Dispatcher
from nodes.hardware.board import Board
from nodes.hardware.pe import Pe
from nodes.hardware.ras_nodes import model_of
from nodes.hardware.record import ErrorRecord
from nodes.ledger import Counts, Ledger
from nodes.linux.estatus import walk
from nodes.linux.kernel import LinuxKernel
from nodes.linux.reader import Copied
from nodes.spec.layout import Malformed
from nodes.stack.guests import Guest, Guests
from nodes.stack.machine import Machine, World
from nodes.stack.platform import Platform, platform_of
from nodes.stack.snapshot.layout import (
    COUNT_MAX,
    SNAPSHOT_FORMAT,
    Glance,
    StoredEntry,
    StoredGuest,
    StoredGuestState,
    StoredHost,
    StoredLinux,
    StoredMonitor,
    StoredPe,
    StoredRecord,
    StoredSource,
    StoredState,
    StoredWork,
)

_hosts: Final = msgspec.msgpack.Decoder(StoredHost)
_glances: Final = msgspec.msgpack.Decoder(Glance)
_RECORD: Final = StoredRecord.__struct_fields__[1:]
_PE: Final = StoredPe.__struct_fields__[2:]
_ENTRY: Final = StoredEntry.__struct_fields__[2:]


def restore(stored: bytes, name: str, index: int, platform: Platform, world: World, epoch_ns: int) -> Machine:
    """The host of a snapshot, at its home; its timers are set in ``world``. Raises Malformed."""
    host: StoredHost = _decoded(_hosts, stored)
    machine = Machine(name, index, platform, world, epoch_ns=epoch_ns)
    if host.state is not None and host.state.switches is not None:
        machine.kernel.retire()
        machine.set_platform(platform_of(platform.shape, host.state.switches.applied(platform.switches)))
        machine.monitor.sdei.boot()
    machine.now, machine.sequence = host.now, host.sequence
    _fill(machine.ledger, host.ledger)
    if host.guests_ledger is not None:
        _fill(machine.guests.ledger, host.guests_ledger)
    _make_sources(machine.sources, host.sources)
    if host.linux is not None:
        _set_linux(machine.kernel.linux, host.linux, machine.sources)
    if host.poison is not None:
        machine.board.poison = host.poison
    if host.records is not None:
        _make_records(machine.board, host.records)
    if host.state is not None:
        _set_state(machine, host.state)
    if host.guests is not None:
        for guest in host.guests:
            _make_guest(machine.guests, guest)
    for time_ns, timer, numbers in host.timers or ():
        world.set_timer(time_ns, machine, timer, numbers)
    return machine


def glance(stored: bytes) -> Glance:
    """What is asked of a snapshot while its host stays away. Raises Malformed."""
    found: Glance = _decoded(_glances, stored)
    return found


def _decoded(decoder: Any, stored: bytes) -> Any:
    try:
        found = decoder.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        reason = str(fault)
    else:
        if found.format == SNAPSHOT_FORMAT:
            return found
        reason = ""
    raise Malformed("snapshot", 0, _format_refused(stored) or reason)


class _Format(msgspec.Struct, array_like=True):
    format: int


def _format_refused(stored: bytes) -> str:
    """That a snapshot has another layout; empty when that is not what is wrong."""
    try:
        number = msgspec.msgpack.decode(stored, type=_Format).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return "" if number == SNAPSHOT_FORMAT else f"it has layout {number}, this program reads {SNAPSHOT_FORMAT}"


def counted(counts: list[int] | None) -> Ledger:
    """A ledger with these counts by account; None: with nothing in it. Raises Malformed."""
    ledger = Ledger()
    if counts is not None:
        _fill(ledger, counts)
    return ledger


def _fill(ledger: Ledger, counts: list[int]) -> None:
    total = sum(counts)
    if total > COUNT_MAX:
        raise Malformed("snapshot", 0, f"a ledger of {total} occurrences")
    ledger[: len(counts)] = Counts("I", counts)
    ledger[-1] = total


def _made(sources: Sources, source_id: int) -> ErrorSource:
    source = sources.source(source_id)
    if source is None:
        raise Malformed("snapshot", 0, f"there is no error source {source_id}")
    return source


def _make_sources(sources: Sources, found: tuple[int | StoredSource, ...]) -> None:
    for stored in found:
        if isinstance(stored, int):
            _made(sources, stored)
            continue
        source = _made(sources, stored.source_id)
        source.block, source.read_ack, source.carried = stored.block, stored.read_ack, stored.carried


def _set_linux(linux: LinuxKernel, stored: StoredLinux, sources: Sources) -> None:
    if stored.cache is not None:
        linux.reader.cache = stored.cache
    if stored.limits is not None:
        linux.reader.limits = stored.limits
    if stored.poisoned is not None:
        linux.failure.poisoned = stored.poisoned
    if stored.work is not None:
        _set_work(linux, stored.work, sources)


def _set_work(linux: LinuxKernel, work: StoredWork, sources: Sources) -> None:
    reader, failure = linux.reader, linux.failure
    reader.pool_used = work.pool_used
    reader.queue = tuple(
        [
            Copied(_made(sources, c.source_id), c.block, c.digest, c.severity, walk(c.block), c.carried)
            for c in work.queue
        ]
    )
    failure.fifo = work.fifo
    if work.dissolved:
        failure.dissolved = work.dissolved
    linux.task_work, linux.stopped, linux.sigbus_pending = work.task_work, work.stopped, work.sigbus_pending


def _make_records(board: Board, records: tuple[StoredRecord, ...]) -> None:
    for stored in records:
        record = board.records[stored.node] = ErrorRecord(model_of(stored.node), 0)
        for name in _RECORD:
            setattr(record, name, getattr(stored, name))


def _make_guest(guests: Guests, stored: StoredGuest) -> None:
    if not 0 <= stored.guest < guests.platform.shape.guests:
        raise Malformed("snapshot", 0, f"there is no guest {stored.guest}")
    guest = guests.guest_of(stored.guest)
    guest.vcpu.el = stored.el
    _make_sources(guest.vmm.sources, stored.sources)
    if stored.linux is not None:
        _set_linux(guest.kernel.running(), stored.linux, guest.vmm.sources)
    if stored.state is not None:
        _set_guest_state(guest, stored.state)


def _set_guest_state(guest: Guest, state: StoredGuestState) -> None:
    vcpu, vmm, kernel = guest.vcpu, guest.vmm, guest.kernel
    vcpu.masked, vcpu.vse, vcpu.vsesr, vcpu.vdisr = state.masked, state.vse, state.vsesr, state.vdisr
    vcpu.carried = state.carried
    vmm.busy, vmm.queue = state.busy, state.queue
    kernel.acknowledges, kernel.calling, kernel.down = state.acknowledges, state.calling, state.down
    vmm.refused, kernel.waits = state.refused, state.waits


def _set_state(machine: Machine, state: StoredState) -> None:
    guests = machine.guests
    machine.down, machine.kernel.down, machine.falls = state.down, state.kernel_down, state.falls
    machine.polling, machine.resets = state.polling, state.resets
    if state.consumers:
        machine.tasks.consumers = state.consumers
    for name in ("gone", "stopped", "firmware_withdrawn"):
        if getattr(state, name):
            setattr(guests, name, frozenset(getattr(state, name)))
    if state.pes:
        machine.board.pes.touched = {stored.pe: _pe(stored) for stored in state.pes}
    if state.monitor is not None:
        _set_monitor(machine.monitor, state.monitor)


def _pe(stored: StoredPe) -> Pe:
    pe = Pe(stored.scr)
    for name in _PE:
        setattr(pe, name, getattr(stored, name))
    if stored.sctlr is not None:
        pe.sctlr = stored.sctlr
    return pe


def _set_monitor(monitor: Monitor, stored: StoredMonitor) -> None:
    monitor.stopped = stored.stopped
    if stored.entries:
        monitor.entries = {entry.pe: _entry(entry, monitor.sources) for entry in stored.entries}
    monitor.masked = stored.masked
    if stored.built:
        partition = monitor.partition
        partition.building, partition.busy_until, partition.spinning = (
            stored.built,
            stored.busy_until,
            stored.spinning,
        )
    _set_dispatcher(monitor.sdei, stored)


def _entry(stored: StoredEntry, sources: Sources) -> Entry:
    to_notify = tuple([_made(sources, source_id) for source_id in stored.to_notify])
    return Entry(**{name: getattr(stored, name) for name in _ENTRY}, to_notify=to_notify)


def _set_dispatcher(sdei: Dispatcher, stored: StoredMonitor) -> None:
    sdei.reset()
    if all(bits == READY for bits in stored.handlers.values()):
        sdei.boot()  # what is as after boot is shared between hosts
    else:
        for event, bits in stored.handlers.items():
            if bits & REGISTERED and sdei.register(event) and bits & ENABLED:
                sdei.enable(event)
    sdei.masked = stored.sdei_masked
    if stored.running:
        sdei.running = stored.running
