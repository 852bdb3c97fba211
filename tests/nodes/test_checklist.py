"""The error cases that cross floors, each on a whole host by its commands: what a tester does to see them."""

import pytest

from nodes.el3.monitor import ENTRY_NS
from nodes.el3.partition import CALL_NS
from nodes.el3.reason import REASON_TEXT, Reason
from nodes.events import (
    ErrorRecorded,
    FirmwareStopped,
    NotificationRefused,
    PageOfflined,
    RecordLogged,
    RecordLost,
    RecordRead,
    Refusal,
    SErrorTaken,
    VirtualSErrorPended,
    VirtualSErrorTaken,
    VmExited,
)
from nodes.events import commands as c
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.ledger import Account
from nodes.policy import Aest, Handling
from nodes.spec.err import ErrStatus
from tests.blocks import RECOVERABLE, block_of, memory_block, memory_entry
from tests.hosts import S, ended, fields, guest_meets_error, host, of, open_accounts, present

DIMM_0, ADDRESS = ras_node(RasNodeKind.MEMORY, 0), 0x8000_0000
MEMORY_SOURCE = 0


def kernel_first(**switches):
    return host(handling=Handling.KERNEL_FIRST, aest=Aest.NONE, **switches)


def lost(machine):
    return fields(of(machine, RecordLost), "reason")


def test_an_error_while_el3_handles_another_is_a_double_fault():
    machine = host()
    machine.inject("memory-uer")
    machine.run_until(ENTRY_NS + CALL_NS // 2)

    machine.inject("tlb-uer")

    assert fields(of(machine, FirmwareStopped), "reason") == [(REASON_TEXT[Reason.DOUBLE_FAULT],)]


@pytest.mark.parametrize("order", [(0xBE00_0811, 0xBE00_0411), (0xBE00_0411, 0xBE00_0811)])
def test_serrors_that_are_masked_merge_and_the_worst_state_wins(order):
    machine = kernel_first()
    machine.do(c.SetPe, 0, 2, 1)

    for esr in order:
        machine.do(c.PendSError, esr, -1, 2)
    machine.do(c.SetPe, 0, 2, 0)

    assert fields(of(machine, SErrorTaken), "esr") == [(0xBE00_0411,)]
    assert ended(machine) == {"coalesced": 1, "reported": 1}


def pending_guest():
    machine = host()
    machine.do(c.SetGuest, 0, 1, 1)
    for iss in (0x811, 0xC11):
        machine.do(c.SetVcpuEvents, 0, 1, 1, iss)
    machine.run()
    return machine


def test_a_virtual_serror_that_is_pended_over_another_overwrites_its_syndrome():
    machine = pending_guest()

    assert fields(of(machine, VirtualSErrorPended), "vsesr", "overwritten") == [(0x811, -1), (0xC11, 0x811)]
    assert open_accounts(machine, guests=True) == {"pending": 1}


def test_a_guest_that_never_unmasks_keeps_its_virtual_serror_and_takes_it_along():
    source, target = pending_guest(), host()
    events = source.machine.guests.kvm.get_vcpu_events(source.guest(0).vcpu)

    target.do(c.SetGuest, 0, 1, 1)
    target.do(c.SetVcpuEvents, 0, *events)
    waits = of(target, VirtualSErrorTaken)
    target.do(c.SetGuest, 0, 1, 0)

    assert waits == []
    assert fields(of(target, VirtualSErrorTaken), "esr") == [(0xBE00_0C11,)]


@pytest.mark.parametrize(("second", "serr", "state"), [("memory-uc", 0x0B, 0), ("memory-de", 0x0C, 2)])
def test_a_valid_record_gives_way_to_what_is_worse_and_overflows(second, serr, state):
    machine = kernel_first()
    machine.inject("memory-ueo", address=ADDRESS)

    machine.inject(second, address=ADDRESS)

    status = ErrStatus(of(machine, ErrorRecorded)[-1].status)
    assert (1, serr, state) == (status.OF, status.SERR, status.UET)


def test_a_stale_write_to_status_is_ignored_until_it_is_read_again():
    machine = kernel_first()
    machine.inject("memory-ueo", address=ADDRESS)
    stale = machine.record(DIMM_0).read(RecordRegister.STATUS)
    machine.inject("memory-de", address=ADDRESS)

    freed = []
    for value in (stale, machine.record(DIMM_0).read(RecordRegister.STATUS)):
        machine.do(c.WriteErrorRegister, DIMM_0, RecordRegister.STATUS, value)
        freed.append(not ErrStatus(machine.record(DIMM_0).status).V)

    assert freed == [False, True]


def test_a_guests_slot_that_is_not_acknowledged_drops_what_qmp_brings_and_ends_the_vm_at_an_abort():
    machine = host()
    machine.do(c.SetGuest, 0, 0, 0, 0)  # its kernel acknowledges nothing

    for _ in range(2):
        machine.do(c.InjectGuestError, 0, memory_block(0x4000_0000))
    by_qmp = lost(machine)
    for page in range(2):
        guest_meets_error(machine, page=page)

    assert by_qmp == [(Account.LOST_SLOT_NOT_ACKNOWLEDGED,)]
    assert len(of(machine, VmExited, guest=0)) == 1


def test_a_block_that_is_too_large_is_refused_by_who_makes_it_and_lost_by_who_reads_it():
    machine = host()
    large = block_of(*[memory_entry(severity=RECOVERABLE)] * 30)
    machine.do(c.PresentBlock, large, MEMORY_SOURCE)
    refused = lost(machine)

    present(machine, bytes.fromhex("10000000 00000000 00000000 00200000 00000000"))

    source = machine.machine.sources.source(MEMORY_SOURCE)
    assert refused == [(Account.LOST_BLOCK_TOO_LARGE,)]
    assert lost(machine) == [*refused, (Account.LOST_BLOCK_MALFORMED,)]
    assert (source.block, source.read_ack) == (b"", 1)


def test_with_the_pool_used_up_a_source_keeps_its_block_and_is_not_acknowledged():
    machine = host()
    for number in range(60):  # before irq_work frees anything
        block = block_of(*[memory_entry(4096 * number, RECOVERABLE)] * 26)
        machine.do(c.PresentBlock, block, number)

    last = machine.machine.sources.source(59)
    assert set(lost(machine)) == {(Account.LOST_POOL_EMPTY,)}
    assert (last.read_ack, bool(last.block)) == (0, True)


def test_an_identical_block_within_10_s_is_dropped_where_the_kernel_is_told_as_by_an_nmi():
    machine = host()
    block = memory_block(machine.task_page())

    for _ in range(2):
        present(machine, block)
    machine.run_until(11 * S)
    present(machine, block)

    assert lost(machine) == [(Account.COALESCED,)]
    assert len(of(machine, RecordLogged)) == 2


def test_the_17th_page_that_waits_for_memory_failure_is_lost():
    machine = host()
    for number in range(17):
        block = memory_block(machine.task_page() + 4096 * number)
        machine.do(c.PresentBlock, block, number)

    machine.run()

    assert lost(machine) == [(Account.LOST_FIFO_FULL,)]
    assert len(of(machine, PageOfflined)) == 16


@pytest.mark.parametrize(
    ("prepare", "refusal"),
    [
        (lambda machine: machine.do(c.SetPe, 0, 0, 0, 1), Refusal.PE_MASKED),
        (lambda machine: machine.machine.monitor.sdei.unregister(804), Refusal.NOT_REGISTERED),
        (lambda machine: machine.machine.monitor.sdei.disable(804), Refusal.NOT_ENABLED),
    ],
)
def test_without_a_handler_that_may_run_sdei_tells_nobody_and_the_block_waits(prepare, refusal):
    machine = host()
    prepare(machine)

    machine.inject("memory-ueo")
    machine.run()

    assert fields(of(machine, NotificationRefused), "reason") == [(refusal,)]
    assert (of(machine, RecordRead), open_accounts(machine)) == ([], {"in_flight": 1})


def test_el3_panics_at_the_101st_entry_of_one_call():
    machine = kernel_first()
    machine.do(c.SetPe, 0, 2, 1)
    machine.do(c.PendSError, 0xBE00_0811, -1, 2)
    machine.do(c.CallFirmware, 0)

    machine.run_until(S)

    stop = [(101 * ENTRY_NS, REASON_TEXT[Reason.REPLAYED_TOO_OFTEN])]
    assert fields(of(machine, FirmwareStopped), "time_ns", "reason") == stop
