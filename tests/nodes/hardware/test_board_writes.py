"""What a register write of software does to a host: interrupts are levels, and a freed record carries nothing."""

import pytest

from nodes.events import ErrorRecorded, InterruptRaised, RecordCleared, RegisterWritten
from nodes.events import commands as c
from nodes.hardware.ras_nodes import Lines, RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.policy import Aest, Handling
from nodes.spec.err import ErrCtlr
from tests.hosts import ended, fields, host, of, open_accounts

R = RecordRegister
DIMM_0, ADDRESS = ras_node(RasNodeKind.MEMORY, 0), 0x8000_0000
SILENT, RECOVERY = int(ErrCtlr.of(ED=1)), int(ErrCtlr.of(ED=1, UI=1))


def kernel_first(aest=Aest.NONE, **switches):
    return host(handling=Handling.KERNEL_FIRST, aest=aest, **switches)


def write(machine, register, value):
    machine.do(c.WriteErrorRegister, DIMM_0, register, value)


def silent(machine, fault):
    """An error that is recorded, and that no interrupt tells of."""
    write(machine, R.CTLR, SILENT)
    machine.inject(fault, address=ADDRESS)
    return machine


def free(machine):
    write(machine, R.STATUS, machine.record(DIMM_0).status)
    assert not machine.record(DIMM_0).status >> 30 & 1


@pytest.mark.parametrize(("fault", "account"), [("memory-ce", "corrected"), ("memory-ueo", "reported")])
def test_what_a_record_carried_ends_when_software_frees_it(fault, account):
    machine = kernel_first()
    machine.inject(fault, address=ADDRESS)

    free(machine)

    assert (ended(machine), open_accounts(machine)) == ({account: 1}, {})
    assert machine.accounted()


def test_a_record_that_el3_never_heard_of_can_be_freed_too():
    machine = silent(host(), "memory-ueo")

    free(machine)

    assert (ended(machine), open_accounts(machine)) == ({"reported": 1}, {})


@pytest.mark.parametrize("aest", Aest)
def test_an_error_after_software_freed_the_record_interrupts_again(aest):
    machine = kernel_first(aest)
    machine.inject("memory-ueo", address=ADDRESS)
    free(machine)  # before any driver looked

    machine.inject("memory-ueo", address=ADDRESS)
    machine.run()

    assert fields(of(machine, InterruptRaised), "lines") == [(Lines.FHI | Lines.ERI,)] * 2
    assert len(of(machine, RecordCleared)) == (aest is Aest.DRIVER)


def test_a_stale_write_leaves_the_interrupt_where_it_is():
    machine = kernel_first()
    machine.inject("memory-ueo", address=ADDRESS)
    stale = machine.record(DIMM_0).status
    machine.inject("memory-uer", address=ADDRESS)  # sets OF

    write(machine, R.STATUS, stale)
    machine.inject("memory-ueo", address=ADDRESS)

    assert machine.record(DIMM_0).status >> 27 & 1
    assert len(of(machine, InterruptRaised)) == 1


@pytest.mark.parametrize(("make", "cleared"), [(host, 1), (kernel_first, 0)])
def test_an_interrupt_that_software_enables_fires_for_what_is_recorded(make, cleared):
    machine = silent(make(), "memory-ueo")

    write(machine, R.CTLR, RECOVERY)
    machine.run()

    assert fields(of(machine, InterruptRaised), "lines") == [(Lines.ERI,)]
    assert len(of(machine, RecordCleared)) == cleared


def test_a_counter_overflow_that_software_writes_is_a_corrected_error_event():
    machine = kernel_first(ce_threshold=10)
    machine.inject("memory-ce", address=ADDRESS)

    write(machine, R.MISC0, 1 << 47)

    assert fields(of(machine, InterruptRaised), "lines") == [(Lines.FHI,)]


def test_an_interrupt_that_software_disables_is_raised_anew_when_enabled():
    machine = kernel_first()
    machine.inject("memory-ueo", address=ADDRESS)

    write(machine, R.CTLR, SILENT)
    write(machine, R.CTLR, RECOVERY)

    assert fields(of(machine, InterruptRaised), "lines") == [(Lines.FHI | Lines.ERI,), (Lines.ERI,)]


def test_no_software_writes_a_register_of_a_host_that_is_down():
    machine = host()
    machine.inject("cache-uc")
    machine.run_until(1_000_000)
    recorded = len(of(machine, ErrorRecorded))

    free_by = machine.record(ras_node(RasNodeKind.CACHE, 0)).status
    machine.do(c.WriteErrorRegister, ras_node(RasNodeKind.CACHE, 0), R.STATUS, free_by)

    assert (recorded, of(machine, RegisterWritten)) == (1, [])
    assert machine.record(ras_node(RasNodeKind.CACHE, 0)).status == free_by


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (5, 2)])
def test_firmware_that_is_exchanged_sets_the_counters_up_for_its_own_threshold(before, after):
    machine = kernel_first(ce_threshold=before)
    machine.inject("memory-ce", address=ADDRESS)

    machine.do(c.ChangePolicy, f'{{"ce_threshold": {after}}}')
    since = len(of(machine, InterruptRaised))
    raised = []
    for _ in range(after):
        machine.inject("memory-ce", address=ADDRESS)
        raised.append(len(of(machine, InterruptRaised)) - since)

    assert raised == [0] * (after - 1) + [1]
