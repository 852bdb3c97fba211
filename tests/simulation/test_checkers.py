"""Each checker finds the broken promise that it is named after, in a run that somebody tampered with."""

from types import SimpleNamespace

import pytest

from nodes.events import (
    ErrorRecorded,
    KernelPanicked,
    Level,
    PageOfflined,
    PoisonNoted,
    RecordCleared,
    RecordLost,
    RecordRead,
    SErrorPended,
    SErrorTaken,
    SignalSent,
    StatusBlockWritten,
    VirtualSErrorPended,
    VirtualSErrorTaken,
)
from nodes.host import Host
from nodes.hypervisor.vmm import memory_block
from nodes.ledger import Account
from nodes.linux.pages import GUEST_BASE, VMM_VA
from nodes.policy import Switches
from tests.blocks import CORRECTED
from tests.blocks import memory_block as block_of
from tests.simulation import checkers as k

CE, CE_OF, UER = 0xC200_0000, 0xCA00_0000, 0xE030_0000
RECOVERED = memory_block(GUEST_BASE + 4096)


def run(*facts, host=None, unaccounted=""):
    """A run of these events: kind and fields, numbered and timed as they come."""
    events = [kind(i, "h1", i + 1, i, *fields) for i, (kind, *fields) in enumerate(facts)]
    host = Host() if host is None else host
    return SimpleNamespace(
        events=events, host=host, policies=[Switches()], presented=set(), raw=set(), unaccounted=unaccounted
    )


def with_gap():
    whole = run((RecordRead, 2, 0, 0, 1), (RecordRead, 2, 0, 0, 1))
    return SimpleNamespace(**{**vars(whole), "events": whole.events[1:]})


def leaking():
    host = Host()
    host.machine.ledger.inject()
    return run(host=host)


def forgotten_block():
    host = Host(switches=Switches(notification="gsiv"))
    source = host.machine.sources.source(0)
    host.machine.ledger.inject()
    source.write(block_of(None), 1)
    return run(host=host)


def vanished():
    return run((VirtualSErrorPended, 0, 0x411, 0))


OTHER_GUESTS = (PageOfflined, Level.HYPERVISOR, Host().platform.address_of(1, GUEST_BASE) >> 12, 1, 3)
SIGBUS = (SignalSent, Level.HYPERVISOR, 1, 7, 4, VMM_VA, 12, 0)
WRITTEN = (StatusBlockWritten, Level.EL3, 0, 11, block_of(None))
TAMPERED = {
    "a gap": (k.sequence_numbers_have_no_gap, with_gap),
    "a ledger": (k.the_ledger_balances_after_every_step, lambda: run(unaccounted="a command")),
    "a record that forgets": (
        k.each_recorded_error_stays_marked_until_it_is_cleared,
        lambda: run((ErrorRecorded, 0, CE, 0, 0), (ErrorRecorded, 0, UER, 0, 0)),
    ),
    "a record that does not count": (
        k.each_recorded_error_stays_marked_until_it_is_cleared,
        lambda: run((ErrorRecorded, 0, CE, 0, 0), (ErrorRecorded, 0, CE, 0, 0)),
    ),
    "a record that went nowhere": (
        k.each_cleared_record_is_in_exactly_one_block,
        lambda: run((RecordCleared, Level.EL3, 0, CE)),
    ),
    "a block written over": (k.no_unread_block_is_overwritten, lambda: run(WRITTEN, WRITTEN)),
    "a guest's block written over": (
        k.no_unread_block_is_overwritten,
        lambda: run(*[(StatusBlockWritten, Level.VMM, 0, 8, RECOVERED, 0)] * 2),
    ),
    "firmware milder than the record": (
        k.no_floor_reports_milder_than_it_heard,
        lambda: run(
            (RecordCleared, Level.EL3, 0, UER), (StatusBlockWritten, Level.EL3, 0, 11, block_of(None, CORRECTED))
        ),
    ),
    "a kernel milder than the block": (
        k.no_floor_reports_milder_than_it_heard,
        lambda: run(WRITTEN, (RecordRead, Level.HYPERVISOR, 0, CORRECTED, 1)),
    ),
    "a PE milder than what was pending": (
        k.no_floor_reports_milder_than_it_heard,
        lambda: run((SErrorPended, 0, 2, 0x11, 0x100), (SErrorTaken, 0, 2, 2, 0xBE00_1811)),
    ),
    "a page of another guest": (k.a_guest_never_hears_of_another_guests_page, lambda: run(OTHER_GUESTS, SIGBUS)),
    "a page nobody signalled": (
        k.a_guest_never_hears_of_another_guests_page,
        lambda: run((PoisonNoted, 0, GUEST_BASE)),
    ),
    "a block of a page nobody noted": (
        k.a_guest_never_hears_of_another_guests_page,
        lambda: run((StatusBlockWritten, Level.VMM, 0, 8, RECOVERED, 0)),
    ),
    "an SError that vanished": (k.a_virtual_serror_is_taken_or_its_guest_is_gone, vanished),
    "an SError with another syndrome": (
        k.a_virtual_serror_is_taken_or_its_guest_is_gone,
        lambda: run((VirtualSErrorPended, 0, 0x411, 0), (VirtualSErrorTaken, 0, 0, 0xBE00_0811)),
    ),
    "an SError overwritten unsaid": (
        k.a_virtual_serror_is_taken_or_its_guest_is_gone,
        lambda: run((VirtualSErrorPended, 0, 0x411, 0), (VirtualSErrorPended, 0, 0x811, 0)),
    ),
    "a kernel that goes on": (
        k.a_kernel_that_stopped_does_nothing_until_it_boots,
        lambda: run((KernelPanicked, Level.HYPERVISOR, "why"), (RecordRead, Level.HYPERVISOR, 0, 0, 1)),
    ),
    "a guest's kernel that goes on": (
        k.a_kernel_that_stopped_does_nothing_until_it_boots,
        lambda: run((KernelPanicked, Level.GUEST_KERNEL, "why", 2), (VirtualSErrorTaken, 2, 0, 0xBE00_0811)),
    ),
    "something in flight": (k.at_the_end_nothing_is_in_flight_but_what_waits_unread, leaking),
    "a block that nobody looks at": (k.a_source_that_tells_by_interrupt_waits_only_with_a_reason, forgotten_block),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_checker_finds_what_it_is_named_after(case):
    checker, tampered = TAMPERED[case]

    assert next(checker(tampered()), None) is not None


def test_every_checker_has_a_case_and_runs_in_every_simulation():
    assert {checker for checker, _ in TAMPERED.values()} == set(k.CHECKERS)


@pytest.mark.parametrize("checker", k.CHECKERS, ids=lambda checker: checker.__name__)
def test_a_checker_finds_nothing_in_a_run_without_events(checker):
    assert list(checker(run())) == []


def test_a_second_corrected_error_may_show_in_the_overflow_or_in_the_counter():
    shown = run((ErrorRecorded, 0, CE, 0, 0), (ErrorRecorded, 0, CE_OF, 0, 0), (ErrorRecorded, 0, CE, 0, 1 << 32))

    assert list(k.each_recorded_error_stays_marked_until_it_is_cleared(shown)) == []


def test_a_block_may_be_written_once_the_one_before_was_read_or_lost():
    read = (RecordRead, Level.HYPERVISOR, 0, 0, 1)

    refused = (RecordLost, Level.HYPERVISOR, 0, Account.LOST_BLOCK_MALFORMED)

    written = run(WRITTEN, read, WRITTEN, refused, WRITTEN)

    assert list(k.no_unread_block_is_overwritten(written)) == []
