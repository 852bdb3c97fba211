"""Takes a host's snapshot. Looking changes nothing, and what costs nothing yet is not made by it.

Where order cannot be observed it is by number, so that hosts that stand alike have the same bytes; the order in
which error sources were first used decides in which order a kernel that boots looks at them, so it is kept.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, TypeVar

import msgspec

from nodes.apei.source import READ_ACK_WRITE, Sources
from nodes.el3.monitor import Monitor
from nodes.el3.sdei import PLATFORM_EVENTS, RUNNING
from nodes.hardware.board import Board
from nodes.hardware.pe import SCTLR_AFTER_BOOT, Pe
from nodes.ledger import Ledger
from nodes.linux.kernel import LinuxKernel
from nodes.linux.memory_failure import MemoryFailure
from nodes.linux.reader import NO_CACHE, NO_LIMITS, Copied, GhesReader
from nodes.policy import SwitchChanges, Switches
from nodes.stack.guests import Guest, Guests
from nodes.stack.machine import Machine
from nodes.stack.snapshot.layout import (
    SNAPSHOT_FORMAT,
    StoredCopy,
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
    Waiting,
)

_encode: Final = msgspec.msgpack.Encoder(enc_hook=int).encode  # a register is an int that knows its fields
_record_fields: Final = attrgetter(*StoredRecord.__struct_fields__[1:])
_entry_fields: Final = attrgetter(*StoredEntry.__struct_fields__[2:])
_pe_fields: Final = attrgetter(*StoredPe.__struct_fields__[2:])
_seldom_of_guest: Final = msgspec.structs.astuple(StoredGuestState())
_T = TypeVar("_T")


def snapshot(machine: Machine, timers: Sequence[Waiting] = ()) -> bytes:
    """Everything in which a host differs from a fresh one; ``timers``: those that wait, in the order they fire."""
    guests, poison = machine.guests, machine.board.poison
    return _encode(
        StoredHost(
            SNAPSHOT_FORMAT,
            tuple(timers) or None,
            counts(machine.ledger),
            counts(guests.ledger) if guests.ledger.injected else None,
            machine.now,
            machine.sequence,
            _sources(machine.sources),
            _linux(machine.kernel.linux),
            _by_number(poison) if poison else None,
            _records(machine.board) if machine.board.records else None,
            _guests(guests) if guests.guests else None,
            _state(machine),
        )
    )


def counts(ledger: Ledger) -> list[int]:
    """The accounts of a ledger, without their sum."""
    values = ledger.tolist()
    values.pop()
    return values


def _by_number(found: dict[int, _T]) -> dict[int, _T]:
    return found if len(found) == 1 else dict(sorted(found.items()))


def _sources(sources: Sources) -> tuple[int | StoredSource, ...]:
    return tuple(
        [
            StoredSource(source.kind.source_id, source.block, source.read_ack, source.carried)
            if source.block or source.carried or source.read_ack != READ_ACK_WRITE
            else source.kind.source_id
            for source in sources.made
        ]
    )


def _linux(linux: LinuxKernel) -> StoredLinux | None:
    """A kernel; None for one that is as it booted."""
    assert linux.current is None, "a task is current only while its abort is handled"
    reader, failure = linux.made()
    cache = limits = poisoned = None
    if reader is not None and reader.limits is not NO_LIMITS:
        limits = reader.limits
    if reader is not None and reader.cache is not NO_CACHE:
        cache = reader.cache
    if failure is not None and failure.poisoned:
        poisoned = _by_number(failure.poisoned)
    work = _work(linux, reader, failure)
    if cache is None and limits is None and poisoned is None and work is None:
        return None
    return StoredLinux(cache, limits, poisoned, work)


def _work(linux: LinuxKernel, reader: GhesReader | None, failure: MemoryFailure | None) -> StoredWork | None:
    queue, pool_used = (reader.queue, reader.pool_used) if reader is not None else ((), 0)
    fifo, dissolved = (failure.fifo, failure.dissolved) if failure is not None else ((), {})
    seldom = linux.stopped or linux.sigbus_pending or linux.task_work is not None
    if not (queue or pool_used or fifo or dissolved or seldom):
        return None
    return StoredWork(
        pool_used,
        tuple([_copy(copied) for copied in queue]),
        fifo,
        _by_number(dissolved),
        linux.task_work,
        linux.stopped,
        linux.sigbus_pending,
    )


def _copy(copied: Copied) -> StoredCopy:
    source_id = copied.source.kind.source_id
    return StoredCopy(source_id, copied.block, copied.digest, copied.severity, copied.carried)


def _records(board: Board) -> tuple[StoredRecord, ...]:
    return tuple([StoredRecord(node, *_record_fields(record)) for node, record in sorted(board.records.items())])


def _guests(guests: Guests) -> tuple[StoredGuest, ...]:
    return tuple([_guest(index, guests.guests[index]) for index in sorted(guests.guests)])


def _guest(index: int, guest: Guest) -> StoredGuest:
    vcpu, vmm, kernel = guest.vcpu, guest.vmm, guest.kernel
    linux = None if kernel.linux is None else _linux(kernel.linux)
    state = None
    seldom = (
        *(vcpu.masked, vcpu.vse, vcpu.vsesr, vcpu.vdisr, vcpu.carried),
        *(vmm.busy, vmm.queue, kernel.acknowledges, kernel.calling, kernel.down),
        *(vmm.refused, kernel.waits),
    )
    if seldom != _seldom_of_guest:
        state = StoredGuestState(*seldom)
    return StoredGuest(index, vcpu.el, _sources(vmm.sources), linux, state)


def _state(machine: Machine) -> StoredState | None:
    """What seldom distinguishes a host; None when nothing of it does."""
    guests, pes = machine.guests, machine.board.pes.touched
    monitor = _monitor(machine.monitor)
    changed = machine.platform is not machine.home
    if not (
        machine.falls
        or machine.resets
        or machine.down
        or machine.kernel.down
        or machine.polling
        or machine.tasks.consumers
        or guests.gone
        or guests.stopped
        or guests.firmware_withdrawn
        or pes
        or changed
        or monitor
    ):
        return None
    return StoredState(
        machine.down,
        machine.kernel.down,
        machine.falls,
        machine.resets,
        machine.polling,
        _by_number(machine.tasks.consumers),
        tuple(sorted(guests.gone)),
        tuple(sorted(guests.stopped)),
        tuple(sorted(guests.firmware_withdrawn)),
        tuple([_pe(number, pes[number]) for number in sorted(pes)]),
        monitor,
        _changes(machine.home.switches, machine.platform.switches) if changed else None,
    )


def _pe(number: int, pe: Pe) -> StoredPe:
    return StoredPe(number, None if pe.sctlr is SCTLR_AFTER_BOOT else pe.sctlr, *_pe_fields(pe))


def _changes(before: Switches, after: Switches) -> SwitchChanges:
    """What makes one set of switches of another."""
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    return SwitchChanges(**{name: value for name, value in new.items() if value != old[name]})


def _monitor(monitor: Monitor) -> StoredMonitor | None:
    """EL3; None when nothing is in it and every SDEI handler is as after boot."""
    sdei, partition = monitor.sdei, monitor.partition
    if sdei.as_booted() and not (monitor.stopped or monitor.entries or partition.building):
        return None
    return StoredMonitor(
        monitor.stopped,
        tuple([_entry(pe, monitor) for pe in sorted(monitor.entries)]),
        _by_number(partition.building),
        sdei.masked,
        _by_number(sdei.running),
        {event: sdei.state(event) & ~RUNNING for event in sorted(PLATFORM_EVENTS)},
        partition.busy_until,
        partition.spinning,
        monitor.masked,
    )


def _entry(pe: int, monitor: Monitor) -> StoredEntry:
    entry = monitor.entries[pe]
    assert all(source in monitor.sources.made for source in entry.to_notify), "they were written just now"
    to_notify = tuple([source.kind.source_id for source in entry.to_notify])
    return StoredEntry(to_notify, pe, *_entry_fields(entry))
