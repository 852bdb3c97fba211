"""What must hold of every story. Each promise is a function that reads a run and returns what breaks it."""

from collections import defaultdict

from fleet.view.present import level_of
from nodes.events import (
    BootErrorFound,
    ErrorRecorded,
    GuestReset,
    GuestSeaTaken,
    GuestStopped,
    HostReset,
    KernelPanicked,
    Level,
    PageOfflined,
    PoisonNoted,
    RecordCleared,
    RecordLogged,
    RecordLost,
    RecordRead,
    RegisterWritten,
    SErrorDeferred,
    SErrorPended,
    SErrorTaken,
    SignalCode,
    SignalSent,
    StatusBlockWritten,
    SyndromeSwallowed,
    TaskKilled,
    VirtualSErrorDeferred,
    VirtualSErrorPended,
    VirtualSErrorTaken,
    VmExited,
)
from nodes.hardware.pe import badness
from nodes.hypervisor.vmm import memory_block
from nodes.ledger import Account
from nodes.linux.pages import GUEST_BASE, VMM_VA
from nodes.policy import RecordDelivery, SeverityPolicy
from nodes.spec.err import ErrStatus, RecordFormat, error_state
from nodes.spec.hest import NotificationType
from nodes.spec.severity import ErrorState, GhesSeverity, ghes_severity
from nodes.spec.status_block import HEAD_SIZE, StatusBlockHead
from nodes.spec.syndrome import deferred, vserror_esr

OF_A_KERNEL = (
    GuestSeaTaken,
    PageOfflined,
    RecordLogged,
    RecordRead,
    SignalSent,
    SyndromeSwallowed,
    TaskKilled,
    VirtualSErrorTaken,
)
MEMORY_ERRORS = (SignalCode.BUS_MCEERR_AR, SignalCode.BUS_MCEERR_AO)
LEAVES_VIRTUAL_SERROR = (
    VirtualSErrorTaken,
    VirtualSErrorDeferred,
    VmExited,
    GuestReset,
    GuestStopped,
    KernelPanicked,
)
TYPE_BITS = ErrStatus.UE.mask | ErrStatus.DE.mask | ErrStatus.CE.mask
HEARD_AS = {  # the mildest severity that a record of this state may be told with, by policy
    SeverityPolicy.STRICT: {
        ErrorState.UEO: GhesSeverity.RECOVERABLE,
        ErrorState.UER: GhesSeverity.RECOVERABLE,
        ErrorState.UEU: GhesSeverity.PANIC,
        ErrorState.UC: GhesSeverity.PANIC,
    },
    SeverityPolicy.NEOVERSE_RD: dict.fromkeys(
        (ErrorState.UEO, ErrorState.UER, ErrorState.UEU, ErrorState.UC), GhesSeverity.RECOVERABLE
    ),
}


def severity_of(block):
    """Linux's place of a block's severity."""
    return ghes_severity(StatusBlockHead.decode(block.ljust(HEAD_SIZE, b"\0")).error_severity)


def epochs(run):
    """Events with the switches that held when they left."""
    policies = iter(run.policies)
    switches = next(policies)
    for event in run.events:
        yield event, switches
        if isinstance(event, HostReset) and event.reason == "the switches changed":
            switches = next(policies)


def sequence_numbers_have_no_gap(run):
    """The events of a host are numbered from 1, and time never goes back."""
    for number, event in enumerate(run.events, 1):
        if event.sequence != number:
            yield f"event {number} has the sequence {event.sequence}"
    for earlier, later in zip(run.events, run.events[1:], strict=False):
        if later.time_ns < earlier.time_ns:
            yield f"{later} goes back in time"


def each_recorded_error_stays_marked_until_it_is_cleared(run):
    """A later error never makes a record forget that there was an earlier one.

    Its type bit stays; a second one of the same type shows in STATUS.OF or in the counter, but where format v1
    leaves OF alone. A tester who writes the registers may make a record say anything.
    """
    held, written = {}, set()
    for event, switches in epochs(run):
        match event:
            case ErrorRecorded(ras_node=node, status=status, misc0=misc0) if node not in written:
                before, counted = held.get(node, (0, misc0))
                if before & ~status & TYPE_BITS:
                    yield f"{event} forgets {before:#x}"
                marked = status & ErrStatus.OF.mask or misc0 != counted or (before ^ status) & TYPE_BITS
                if before and not marked and switches.record_format is RecordFormat.V1P1:
                    yield f"{event} does not show that {before:#x} came before"
                held[node] = status, misc0
            case RecordCleared(ras_node=node):
                held.pop(node, None)
            case RegisterWritten(ras_node=node):
                written.add(node)
            case HostReset():
                held.clear()
                written.clear()


def each_cleared_record_is_in_exactly_one_block(run):
    """What EL3 clears it writes, or says that it is lost; a reset in between says so in the ledger."""
    building = 0
    for event in run.events:
        match event:
            case RecordCleared(cleared_by=Level.EL3):
                building += 1
            case BootErrorFound():
                building -= 1
            case StatusBlockWritten(written_by=Level.EL3) | RecordLost(lost_by=Level.EL3):
                building -= building > 0  # one that was presented comes from no record
            case HostReset():
                building = 0
    if building:
        yield f"{building} cleared records went nowhere"


def no_unread_block_is_overwritten(run):
    """A source's block is written only when the one before was read, refused, or is gone with its machine."""
    unread = {}
    for event, switches in epochs(run):
        match event:
            case StatusBlockWritten(written_by=by, source_id=source, guest=guest):
                if by == Level.VMM and switches.record_delivery is RecordDelivery.ON_DEMAND:
                    continue  # they queue
                if (guest, source) in unread:
                    yield f"{event} overwrites {unread[guest, source]}"
                unread[guest, source] = event
            case RecordRead(source_id=source, guest=guest):
                unread.pop((guest, source), None)
            case RecordLost(source_id=source, guest=guest, reason=Account.LOST_BLOCK_MALFORMED):
                unread.pop((guest, source), None)
            case GuestReset(guest=guest) | GuestStopped(guest=guest) | VmExited(guest=guest):
                unread = {key: written for key, written in unread.items() if key[0] != guest}
            case HostReset(cold=1) | HostReset(reason="the switches changed"):
                unread.clear()


def no_floor_reports_milder_than_it_heard(run):
    """EL3 by its severity table, a kernel by the block it read, a PE by the SErrors that merged."""
    yield from _firmware_tells_what_records_hold(run)
    yield from _kernels_log_what_they_read(run)
    yield from _pes_take_the_worst(run)


def _firmware_tells_what_records_hold(run):
    cleared = []
    for event, switches in epochs(run):
        match event:
            case RecordCleared(cleared_by=Level.EL3, status=status):
                cleared.append(status)
            case BootErrorFound(block=block):
                yield from _milder(event, block, [cleared.pop()], switches)
            case StatusBlockWritten(written_by=Level.EL3, block=block) if block not in run.presented and cleared:
                yield from _milder(event, block, cleared, switches)
            case HostReset():
                cleared.clear()


def _milder(event, block, cleared, switches):
    """Calls end in any order, so the block must be severe enough for one of the records that were cleared."""
    if all(severity_of(block) < _heard(status, switches.severity_policy) for status in cleared):
        yield f"{event} is milder than {[hex(status) for status in cleared]}"


def _heard(status, policy):
    if policy is SeverityPolicy.NEOVERSE_RD and status & ErrStatus.CE.mask:
        return GhesSeverity.CORRECTED  # that driver does not look any further
    return HEARD_AS[policy].get(error_state(status), GhesSeverity.NO)


def _kernels_log_what_they_read(run):
    written, read = {}, {}
    for event in run.events:
        match event:
            case StatusBlockWritten(source_id=source, guest=guest, block=block):
                written[guest, source] = written.get((guest, source), set()) | {severity_of(block)}
            case RecordRead(source_id=source, guest=guest, severity=severity):
                if ghes_severity(severity) not in written.get((guest, source), ()):
                    yield f"{event} was written otherwise"
                read.setdefault((guest, source), set()).add(severity)
            case RecordLogged(source_id=source, guest=guest, severity=severity):
                if severity not in read.get((guest, source), ()):
                    yield f"{event} was read otherwise"


def _pes_take_the_worst(run):
    pending = defaultdict(lambda: -1)
    for event in run.events:
        match event:
            case SErrorPended(pe=pe, iss=iss):
                pending[pe] = max(pending[pe], badness(iss))
            case SErrorDeferred(pe=pe):
                pending.pop(pe, None)
            case SErrorTaken(pe=pe, esr=esr) if event.sequence not in run.raw:
                if badness(esr & 0x1FF_FFFF) < pending.pop(pe, -1):
                    yield f"{event} is milder than what was pending"
            case HostReset():
                pending.clear()


def a_guest_never_hears_of_another_guests_page(run):
    """Every SIGBUS of a VMM names a page that the host took from that guest, and every record one so named."""
    platform = run.host.platform
    taken = {event.pfn << 12 for event in run.events if isinstance(event, PageOfflined) and event.guest < 0}
    signalled, noted = set(), set()
    for event in run.events:
        match event:
            case SignalSent(receiver=1, guest=guest, code=code, address=address) if code in MEMORY_ERRORS:
                ipa = address - VMM_VA + GUEST_BASE
                if platform.address_of(guest, ipa) not in taken:
                    yield f"{event} names a page that was never the guest's"
                signalled.add((guest, ipa))
            case PoisonNoted(guest=guest, address=address):
                if (guest, address) not in signalled:
                    yield f"{event} was never signalled"
                noted.add((guest, address))
            case StatusBlockWritten(written_by=Level.VMM, source_id=0, guest=guest, block=block):
                if not any(guest == g and block == memory_block(address) for g, address in noted):
                    yield f"{event} tells of a page that was never noted"


def a_virtual_serror_is_taken_or_its_guest_is_gone(run):
    """Or it gave way to a later one, or an ESB deferred it, or it still waits."""
    pending = {}  # guest -> VSESR_EL2
    for event in run.events:
        if isinstance(event, VirtualSErrorPended):
            if event.overwritten != pending.get(event.guest, -1):
                yield f"{event}: {pending.get(event.guest)} was pending"
            pending[event.guest] = event.vsesr
        elif isinstance(event, HostReset):
            pending.clear()
        elif isinstance(event, LEAVES_VIRTUAL_SERROR) and event.guest in pending:
            vsesr = pending.pop(event.guest)
            shown = {"esr": vserror_esr(vsesr), "vdisr": deferred(vsesr)}
            if any(getattr(event, name, value) != value for name, value in shown.items()):
                yield f"{event} has another syndrome than {vsesr:#x}"
    for guest, vsesr in pending.items():
        vcpu = run.host.guest(guest).vcpu
        if not (vcpu.vse and vcpu.vsesr == vsesr):
            yield f"{vsesr:#x} of guest {guest} vanished"


def a_kernel_that_stopped_does_nothing_until_it_boots(run):
    """From a panic to the reset no kernel reads, logs, takes a page away, signals or takes an exception."""
    stopped = set()  # guests, and -1 for the host
    for event in run.events:
        match event:
            case KernelPanicked(guest=guest):
                if guest in stopped:
                    yield f"{event}: it had panicked"
                stopped.add(guest)
            case HostReset():
                stopped.clear()
            case GuestReset(guest=guest) | GuestStopped(guest=guest) | VmExited(guest=guest):
                stopped.discard(guest)
            case _ if isinstance(event, OF_A_KERNEL) and _whose(event) in stopped:
                yield f"{event} of a kernel that stopped"


def _whose(event):
    """The guest whose kernel an event tells of, -1 for the host's, whomever it concerns."""
    return -1 if level_of(event) == Level.HYPERVISOR else event.guest


def the_ledger_balances_after_every_step(run):
    """injected = open + ended, and every open occurrence is carried somewhere."""
    if run.unaccounted:
        yield f"after {run.unaccounted}"


def at_the_end_nothing_is_in_flight_but_what_waits_unread(run):
    """When no timer is left, what is in flight stands in a record, or in a block that nobody has read."""
    machine = run.host.machine
    waiting = {
        "host": sum(r.carried for r in machine.board.records.values() if r.account is Account.IN_FLIGHT)
        + machine.sources.carried(),
        "guests": sum(guest.vmm.carried() for guest in machine.guests.guests.values()),
    }
    in_flight = {"host": machine.ledger[Account.IN_FLIGHT], "guests": machine.guests.ledger[Account.IN_FLIGHT]}
    if in_flight != waiting:
        yield f"in flight {in_flight}, waiting {waiting}"


def a_source_that_tells_by_interrupt_waits_only_with_a_reason(run):
    """A block of a kernel that looks at its sources stays unread only where its abort was not the task's."""
    for source in run.host.machine.sources.made:
        told = source.kind.notification in (NotificationType.GSIV, NotificationType.GPIO, NotificationType.POLLED)
        if told and source.carried and source.block[:4] != bytes(4) and not run.host.machine.down:
            yield f"source {source.kind.source_id} holds {source.block.hex()}"


CHECKERS = (
    sequence_numbers_have_no_gap,
    the_ledger_balances_after_every_step,
    each_recorded_error_stays_marked_until_it_is_cleared,
    each_cleared_record_is_in_exactly_one_block,
    no_unread_block_is_overwritten,
    no_floor_reports_milder_than_it_heard,
    a_guest_never_hears_of_another_guests_page,
    a_virtual_serror_is_taken_or_its_guest_is_gone,
    a_kernel_that_stopped_does_nothing_until_it_boots,
    at_the_end_nothing_is_in_flight_but_what_waits_unread,
    a_source_that_tells_by_interrupt_waits_only_with_a_reason,
)


def broken(run):
    """Every promise that a run breaks, with what breaks it first."""
    return {checker.__name__: found for checker in CHECKERS if (found := next(checker(run), None))}
