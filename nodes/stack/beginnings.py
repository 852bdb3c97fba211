"""Beginnings without a fault: one level alone, as a tester sees it.

A block that firmware presents, a syndrome that appears, a barrier: they start at the level they name, without the
floors below.
"""

from typing import NamedTuple

from nodes.apei.source import LOST_AS, ErrorSource, Written
from nodes.events import NO_GUEST, Level, OsNotified, RecordLost, SeaTaken, SErrorTaken, StatusBlockWritten
from nodes.hardware.pe import NOTHING
from nodes.hardware.routing import EL1, EL2, EL3
from nodes.ledger import Account
from nodes.linux.traps import is_sea
from nodes.spec.aarch64 import ABORT_CLASSES, LOWER_ABORT_CLASSES, ExceptionClass
from nodes.spec.hest import NotificationType
from nodes.spec.status_block import HEAD_SIZE, block_length
from nodes.spec.syndrome import ISS_MASK, abort_esr, disr_to_esr, exception_class
from nodes.stack.machine import Machine


def present_block(machine: Machine, block: bytes, source_id: int, guest: int, el: int) -> None:
    """The host's firmware presents a block to its kernel; bytes behind its end read as 0."""
    ledger = machine.ledger
    ledger.inject()
    source = source_of(machine, source_id)
    block = block.ljust(HEAD_SIZE, b"\0")
    block = block.ljust(min(block_length(block), source.kind.block_size), b"\0")
    written = source.write(block, 1)
    if written is not Written.WRITTEN:
        ledger.move(1, Account.IN_FLIGHT, LOST_AS[written])
        machine.publish(RecordLost, Level.EL3, source_id, LOST_AS[written])
        return
    machine.publish(StatusBlockWritten, Level.EL3, source_id, source.kind.notification, block)
    if machine.down:
        return  # it waits for the next kernel
    if source.kind.notification is not NotificationType.POLLED:
        machine.publish(OsNotified, Level.EL3, source_id, source.kind.notification, source.kind.vector)
    if source.kind.notification is NotificationType.SEA:
        machine.guests.runs(guest, el)
        ec = ExceptionClass.DABT_CURRENT if guest == NO_GUEST and el else ExceptionClass.DABT_LOWER
        machine.sea_at_el2(guest, el, abort_esr(ec))
    else:
        machine.notify_os(source)


def source_of(machine: Machine, source_id: int) -> ErrorSource:
    """An error source of the host; a further one of the same kind where its HEST has no such id."""
    source = machine.sources.source(source_id)
    if source is None:
        kinds = machine.sources.kinds
        machine.sources.kinds = (*kinds, kinds[0]._replace(source_id=source_id))
        source = machine.sources.source(source_id)
    assert source is not None, "it was just added"
    return source


class Syndrome(NamedTuple):
    """What an exception shows."""

    esr: int
    far: int = 0  # of an abort


def pend_serror(machine: Machine, taken: Syndrome, guest: int, el: int, pe: int, target_el: int) -> None:
    """A physical SError or abort with this syndrome: as it is routed, or straight to EL2 (``target_el`` 2).

    An abort that is no external one is no hardware error, and asks for nothing here.
    """
    esr = taken.esr
    abort = exception_class(esr) in ABORT_CLASSES
    if abort and not is_sea(esr):
        return
    machine.ledger.inject()
    if machine.down or not (guest == NO_GUEST or machine.guests.alive(guest)):
        nobody = Account.LOST_HOST_RESET if machine.down else Account.LOST_GUEST_GONE
        machine.ledger.move(1, Account.IN_FLIGHT, nobody)
    elif target_el == 2 or abort:
        _take_to_el2(machine, taken, guest, el, pe)
    else:
        state = machine.board.pe_of(pe)
        if state.el != EL3:
            state.run(guest, el)
        machine.board.pes.pend(pe, esr & ISS_MASK, NOTHING, 1)


def _take_to_el2(machine: Machine, taken: Syndrome, guest: int, el: int, pe: int) -> None:
    """Of the host's own aborts the exception class says where they come from."""
    esr, far = taken
    abort = exception_class(esr) in ABORT_CLASSES
    if abort and guest == NO_GUEST:
        el = int(exception_class(esr) not in LOWER_ABORT_CLASSES)
    from_el = min(el, EL1) if guest != NO_GUEST or not el else EL2
    machine.guests.runs(guest, el)
    if abort:
        machine.publish(SeaTaken, pe, from_el, EL2, esr, far, guest)
        machine.ledger.move(1, Account.IN_FLIGHT, Account.REPORTED)
        machine.sea_at_el2(guest, from_el, esr, far)
    else:
        machine.publish(SErrorTaken, pe, from_el, EL2, esr, guest)
        machine.serror_at_el2(guest, esr, NOTHING, 1)


def barrier(machine: Machine, guest: int, pe: int) -> None:
    """ESB: of a guest, or of the host on a PE. KVM and the kernel read DISR_EL1 after it and judge it.

    While EL3 has the PE, no lower level executes anything there.
    """
    state = machine.board.pe_of(pe)
    if state.el == EL3:
        return
    if guest != NO_GUEST:
        _guest_barrier(machine, guest, pe)
        return
    taken = machine.board.pes.barrier(pe)
    if taken is not None:
        disr, state.disr = state.read_disr(), 0
        node = taken.nodes[-1] if taken.nodes else NOTHING
        machine.serror_at_el2(state.guest, disr_to_esr(disr), node, taken.carried)


def _guest_barrier(machine: Machine, guest: int, pe: int) -> None:
    """Physical errors are synchronised first, and no guest masks those; then its virtual SError is deferred."""
    if not machine.guests.alive(guest):
        return
    owner = machine.guests.guest_of(guest)
    state = machine.board.pe_of(pe)
    if state.arriving:
        state.run(guest, owner.vcpu.el)
        machine.board.pes.synchronise(pe)
    carried = machine.guests.kvm.barrier(owner.vcpu)
    if carried:
        owner.kernel.serror_deferred(carried)
