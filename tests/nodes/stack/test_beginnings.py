"""Beginnings at one level: a block that firmware presents, a syndrome that appears, a barrier."""

import pytest

from nodes.events import (
    GuestSeaTaken,
    KernelPanicked,
    OsNotified,
    PageOfflined,
    RecordLost,
    RecordRead,
    SeaTaken,
    SErrorDeferred,
    SErrorPended,
    SErrorTaken,
    SignalSent,
    StatusBlockWritten,
    SyndromeSwallowed,
    VirtualSErrorTaken,
)
from nodes.events import commands as c
from nodes.ledger import Account
from nodes.policy import NotificationSwitch
from nodes.spec.syndrome import abort_esr
from tests.blocks import FATAL, memory_block
from tests.hosts import ended, fields, host, names, of, open_accounts, present

UEU, CE, UC = 0xBE00_0411, 0xBE00_1811, 0xBE00_0011


@pytest.mark.parametrize("notification", list(NotificationSwitch))
def test_a_presented_block_is_read_however_the_source_tells(notification):
    machine = host(notification=notification)

    present(machine, memory_block(machine.task_page()))

    told = [] if notification is NotificationSwitch.POLLED else ["OsNotified"]
    assert names(machine)[: 1 + len(told)] == ["StatusBlockWritten", *told]
    assert len(of(machine, RecordRead)) == len(of(machine, PageOfflined)) == 1
    assert ended(machine) == {"reported": 1}


def test_a_polled_block_is_read_at_the_next_whole_second():
    machine = host(notification="polled")
    machine.run_until(300_000_000)

    present(machine, memory_block(machine.task_page()))

    assert fields(of(machine, RecordRead), "time_ns") == [(1_000_000_000,)]


def test_a_source_that_the_table_lacks_is_one_more_of_the_same_kind():
    machine = host()

    present(machine, memory_block(machine.task_page()), source_id=9)

    assert fields(of(machine, OsNotified), "source_id", "notification") == [(9, 11)]
    assert len(of(machine, RecordRead, source_id=9)) == 1


def test_an_unread_block_of_the_host_is_never_overwritten():
    machine = host(notification="polled")
    first = memory_block(machine.task_page())
    machine.do(c.PresentBlock, first, 0)

    machine.do(c.PresentBlock, memory_block(None), 0)

    assert machine.machine.sources.source(0).block == first
    assert fields(of(machine, RecordLost), "reason") == [(Account.LOST_SLOT_NOT_ACKNOWLEDGED,)]
    assert ended(machine) == {"lost slot_not_acknowledged": 1}


def test_bytes_behind_the_end_read_as_0():
    machine = host()

    present(machine, memory_block(machine.task_page()).rstrip(b"\0"))

    assert len(of(machine, StatusBlockWritten)[0].block) == 172
    assert len(of(machine, PageOfflined)) == 1


def test_an_empty_block_is_free_and_nobody_looks_at_it():
    machine = host()

    present(machine, b"")

    assert names(machine) == ["StatusBlockWritten", "OsNotified"]
    assert machine.accounted()


def test_a_block_told_by_an_abort_costs_whoever_was_interrupted():
    task, guest, kernel = (host(notification="sea") for _ in range(3))

    present(task, memory_block(task.task_page()))
    present(guest, memory_block(guest.task_page(0)), guest=0)
    present(kernel, memory_block(kernel.task_page()), el=1)

    assert fields(of(task, SignalSent), "receiver", "code") == [(0, 4)]
    assert fields(of(guest, SignalSent), "receiver", "code") == [(1, 4), (0, 4)]
    assert of(kernel, RecordRead) == []
    assert open_accounts(kernel) == {"in_flight": 1}


def test_a_block_for_a_host_that_is_down_waits_for_the_next_kernel():
    machine = host()
    present(machine, memory_block(machine.task_page(), FATAL), 1)
    before = len(machine.events)

    machine.do(c.PresentBlock, memory_block(machine.task_page()), 0)
    assert names(machine, before) == ["StatusBlockWritten"]
    machine.run()

    assert names(machine, before) == [
        "StatusBlockWritten",
        "HostReset",
        "RecordRead",
        "RecordLogged",
        "PageOfflined",
    ]


@pytest.mark.parametrize(("esr", "panics"), [(UEU, True), (CE, False), (UC, True), (0xBF00_0002, True)])
def test_an_serror_of_the_host_kernel_itself_panics_or_goes_on(esr, panics):
    machine = host()

    machine.do(c.PendSError, esr, -1, 1, 0, 2)

    assert fields(of(machine, SErrorTaken), "from_el", "target_el", "esr") == [(2, 2, esr)]
    assert (len(of(machine, KernelPanicked)), len(of(machine, SyndromeSwallowed))) == (panics, not panics)
    assert ended(machine) == {"reported" if panics else "swallowed": 1}


@pytest.mark.parametrize("el", [0, 1])
def test_a_physical_serror_of_a_guest_is_judged_by_kvm(el):
    machine = host()

    machine.do(c.PendSError, UEU, 0, el, 0, 2)

    assert fields(of(machine, SErrorTaken), "from_el", "guest") == [(el, 0)]
    assert fields(of(machine, VirtualSErrorTaken), "from_el", "esr") == [(el, 0xBF00_0000)]
    assert ended(machine) == {"reported": 1}


def test_an_uncontainable_serror_of_a_guest_takes_the_host_with_it():
    machine = host()

    machine.do(c.PendSError, UC, 0, 0, 0, 2)

    assert fields(of(machine, KernelPanicked), "guest", "reason") == [(-1, "Asynchronous SError Interrupt")]
    assert not machine.machine.guests.alive(0)


def test_a_syndrome_that_an_esb_found_is_judged_the_same():
    machine = host()

    machine.do(c.PendSError, 0xBC00_0411, 0, 0, 0, 2)

    assert fields(of(machine, VirtualSErrorTaken), "esr") == [(0xBF00_0000,)]


@pytest.mark.parametrize(("fsc", "signal"), [(0x10, 7), (0x18, 7), (0x14, 9), (0x1F, 9)])
def test_an_abort_that_nobody_claims_signals_a_task_and_reaches_a_guest_as_an_serror(fsc, signal):
    machine = host()

    machine.do(c.PendSError, abort_esr(0x24, fsc=fsc), -1, 0, 0, 2)
    machine.do(c.PendSError, abort_esr(0x24, fsc=fsc), 0, 0, 0, 2)

    assert fields(of(machine, SignalSent), "signal") == [(signal,)]
    assert fields(of(machine, VirtualSErrorTaken), "esr") == [(0xBF00_0000,)]
    assert of(machine, GuestSeaTaken) == []


@pytest.mark.parametrize("fsc", [0x00, 0x07, 0x11, 0x21, 0x30, 0x3F])
def test_an_abort_that_is_no_external_one_is_no_error(fsc):
    machine = host()

    machine.do(c.PendSError, abort_esr(0x24, fsc=fsc), 0, 0, 0, 2)

    assert (machine.events, ended(machine)) == ([], {})


def test_an_serror_goes_where_it_is_routed():
    first, pending = host(handling="kernel_first"), host(handling="kernel_first")
    pending.do(c.SetPe, 0, 1, 1)

    first.do(c.PendSError, UEU, 0)
    pending.do(c.PendSError, UEU, -1, 1)

    assert fields(of(first, SErrorTaken), "target_el") == [(2,)]
    assert (of(pending, SErrorTaken), len(of(pending, SErrorPended))) == ([], 1)
    assert open_accounts(pending) == {"pending": 1}


@pytest.mark.parametrize(("esr", "panics"), [(UEU, True), (CE, False)])
def test_a_barrier_of_the_masked_host_defers_it_and_the_kernel_judges_it(esr, panics):
    machine = host(handling="kernel_first")
    machine.do(c.SetPe, 0, 1, 1)
    machine.do(c.PendSError, esr, -1, 1)

    machine.do(c.RunBarrier)

    assert fields(of(machine, SErrorDeferred), "disr") == [(1 << 31 | esr & 0x1FF_FFFF,)]
    assert len(of(machine, KernelPanicked)) == panics
    assert ended(machine) == {"reported" if panics else "swallowed": 1}


def test_an_serror_for_a_pe_in_el3_leaves_what_el3_goes_back_to():
    machine = host()
    machine.inject("memory-uer", guest=2)
    assert machine.machine.board.pe_of(0).el == 3

    machine.do(c.PendSError, CE, 1)

    assert machine.machine.monitor.entries[0].guest == 2
    assert machine.machine.board.pe_of(0).guest == 2
    machine.run()
    assert machine.accounted()


@pytest.mark.parametrize("esr", [UEU, abort_esr(0x24)])
def test_on_a_host_that_is_down_a_syndrome_is_lost(esr):
    machine = host()
    present(machine, memory_block(machine.task_page(), FATAL))
    before = len(machine.events)

    machine.do(c.PendSError, esr, -1, 0, 0, 2)

    assert machine.events[before:] == of(machine, SeaTaken, SErrorTaken) == []
    assert ended(machine)["lost host_reset"] == 1
