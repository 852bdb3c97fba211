"""The host's kernel: notifications, firmware-first; the AEST driver and its absence, kernel-first."""

import pytest

from nodes.events import (
    ErrorRecorded,
    InterruptRaised,
    KernelPanicked,
    Level,
    OsNotified,
    PageOfflined,
    RecordCleared,
    RecordLost,
    RecordRead,
    SeaTaken,
    SErrorTaken,
    SignalSent,
    VirtualSErrorTaken,
)
from nodes.events import commands as c
from nodes.hypervisor.kernel import AEST_NS, HED_TYPES
from nodes.ledger import Account
from nodes.linux.memory_failure import FAILURE_NS
from nodes.linux.pages import APPLICATION_VA
from nodes.spec.hest import NotificationType
from tests.blocks import CORRECTED, FATAL, memory_block
from tests.hosts import S, ended, fields, host, names, of, open_accounts, present


def kernel_first(**switches):
    return host(handling="kernel_first", **switches)


@pytest.mark.parametrize("notification", ["gsiv", "gpio"])
def test_the_hardware_error_device_makes_every_source_looked_at(notification):
    machine = host(notification=notification)
    machine.machine.ledger.inject()
    machine.machine.sources.source(2).write(memory_block(None), 1)

    present(machine, memory_block(machine.task_page()), 0)

    assert fields(of(machine, RecordRead), "source_id") == [(0,), (2,)]
    assert set(HED_TYPES) == {NotificationType.GSIV, NotificationType.GPIO, NotificationType.SCI}


def test_an_sdei_event_makes_one_source_looked_at():
    machine = host()
    machine.machine.ledger.inject()
    machine.machine.sources.source(2).write(memory_block(None), 1)

    present(machine, memory_block(machine.task_page()), 0)

    assert fields(of(machine, RecordRead), "source_id") == [(0,)]


def test_a_panic_in_one_source_leaves_the_next_unread():
    machine = host(notification="gsiv")
    machine.machine.ledger.inject()
    machine.machine.sources.source(2).write(memory_block(None), 1)

    present(machine, memory_block(machine.task_page(), FATAL), 0)

    assert fields(of(machine, RecordRead), "source_id") == [(0,)]
    assert open_accounts(machine) == {"in_flight": 1}


@pytest.mark.parametrize("notification", ["sdei", "gsiv", "gpio", "polled"])
def test_memory_failure_runs_a_little_later_in_its_worker(notification):
    machine = host(notification=notification)

    present(machine, memory_block(machine.task_page()))

    (logged,) = [event.time_ns for event in machine.events if type(event).__name__ == "RecordLogged"]
    assert fields(of(machine, PageOfflined), "time_ns") == [(logged + FAILURE_NS,)]


@pytest.mark.parametrize(("fault", "account"), [("memory-ce", "corrected"), ("memory-ueo", "reported")])
def test_the_driver_reads_clears_and_acts(fault, account):
    machine = kernel_first()

    address = machine.inject(fault)
    machine.run()

    assert fields(of(machine, RecordCleared), "cleared_by", "time_ns") == [(Level.HYPERVISOR, AEST_NS)]
    assert fields(of(machine, PageOfflined), "pfn") == ([(address >> 12,)] if account == "reported" else [])
    assert ended(machine) == {account: 1}
    assert list(machine.records()) == []


@pytest.mark.parametrize("fault", ["pcie-ueu", "pcie-uc"])
def test_the_driver_panics_for_what_is_unrecoverable_or_uncontainable(fault):
    machine = kernel_first()

    machine.inject(fault)
    machine.run_until(S)

    assert fields(of(machine, KernelPanicked), "reason") == [("AEST: uncontainable or unrecoverable error",)]
    assert ended(machine) == {"reported": 1}


def test_a_poisoned_line_of_the_driver_waits_for_whoever_reads_it():
    machine = kernel_first()

    machine.inject("memory-de")
    machine.run()

    assert len(of(machine, PageOfflined)) == 1
    assert ended(machine) == {"reported": 1}


def test_without_the_driver_no_record_is_read_and_its_interrupt_stays():
    machine = kernel_first(aest="none")

    machine.inject("memory-ueo")
    machine.run()

    assert names(machine) == ["PoisonStored", "ErrorRecorded", "InterruptRaised"]
    assert open_accounts(machine) == {"in_flight": 1}
    assert machine.accounted()


def test_a_task_gets_the_address_of_an_abort_that_nobody_claims():
    machine = kernel_first()

    address = machine.inject("memory-uer") + 0
    machine.run_until(S)

    (signal,) = of(machine, SignalSent)[:1]
    assert (signal.signal, signal.code, signal.address) == (7, 3, APPLICATION_VA + (address & 0xFFF))
    assert fields(of(machine, SeaTaken), "target_el") == [(2,)]


@pytest.mark.parametrize(("fault", "panics"), [("cache-ueo", False), ("tlb-uer", True), ("cache-ueu", True)])
def test_an_serror_of_a_task_is_judged_by_the_classifier(fault, panics):
    machine = kernel_first()

    machine.inject(fault)
    machine.run_until(S)

    assert len(of(machine, SErrorTaken, target_el=2)) == 1
    assert bool(of(machine, KernelPanicked)) == panics
    assert machine.accounted()


def test_an_serror_of_a_guest_reaches_it_as_kvm_says():
    machine = kernel_first()

    machine.inject("tlb-uer", guest=1)

    assert fields(of(machine, VirtualSErrorTaken), "guest", "esr") == [(1, 0xBF00_0000)]


def test_an_interrupt_for_a_record_that_is_free_again_is_passed_over():
    machine = kernel_first()
    machine.inject("memory-ce")
    node = of(machine, ErrorRecorded)[0].ras_node
    machine.do(c.WriteErrorRegister, node, 2, 0xFFFF_FFFF)
    before = len(machine.events)

    machine.run()

    assert of(machine, RecordCleared, InterruptRaised)[1:] == []
    assert machine.events[before:] == []
    assert machine.accounted()


def test_firmware_first_the_driver_has_nothing_to_do():
    machine = host()

    machine.inject("memory-ce")
    machine.run()

    assert fields(of(machine, RecordCleared), "cleared_by") == [(Level.EL3,)]
    assert len(of(machine, OsNotified)) == 1


def test_duplicates_of_a_block_are_dropped_where_they_are_told_by_sdei_and_acted_on_by_interrupt():
    dropped, acted = host(), host(notification="gsiv")
    for machine in (dropped, acted):
        for _ in range(2):
            present(machine, memory_block(machine.task_page(), CORRECTED, flags=8))

    assert fields(of(dropped, RecordLost), "reason") == [(Account.COALESCED,)]
    assert ended(dropped) == {"corrected": 1, "coalesced": 1}
    assert ended(acted) == {"corrected": 2}
