"""How EL3 tells the operating system, in each way, and what happens when it is refused."""

import pytest

from nodes.el3.partition import CALL_NS
from nodes.el3.sdei import MEMORY_EVENT, PCIE_EVENT
from nodes.el3.sources import POLL_INTERVAL_MS
from nodes.events import Level, Refusal
from nodes.events import commands as c
from nodes.policy import NotificationSwitch
from nodes.spec.hest import NotificationType
from tests.nodes.el3.hosts import CALLED, count, facts, firmware_first, set_pe

POLL_NS = POLL_INTERVAL_MS * 1_000_000
TOLD = {  # switch: (notification, vector) for memory, processor and PCIe when an interrupt brought the record
    "sdei": [("SDEI", 804), ("SDEI", 805), ("SDEI", 806)],
    "sea": [("GSIV", 160), ("GSIV", 161), ("GSIV", 162)],
    "gsiv": [("GSIV", 160), ("GSIV", 161), ("GSIV", 162)],
    "gpio": [("GPIO", 0), ("GPIO", 0), ("GPIO", 0)],
    "polled": [],
}
every_switch = pytest.mark.parametrize("switch", NotificationSwitch)


def told(host):
    return [
        (NotificationType(event.notification).name, event.vector)
        for event in facts(host, "OsNotified")
        if event.notified_by == Level.EL3
    ]


def refused(host):
    return [event.reason for event in facts(host, "NotificationRefused")]


@every_switch
def test_each_component_is_told_as_the_switch_says(switch):
    host = firmware_first(notification=switch)

    for fault in ("memory-ce", "cache-ce", "pcie-ce"):
        host.inject(fault)
        host.run()

    assert told(host) == TOLD[switch]
    assert count(host, "RecordRead") == 3


@pytest.mark.parametrize(
    ("fault", "notification"),
    [("memory-uer", "SEA"), ("cache-uer", "SEA"), ("tlb-uer", "GSIV"), ("memory-ueo", "GSIV")],
)
def test_by_sea_only_what_a_pe_met_in_an_abort_is_told_by_an_abort(fault, notification):
    host = firmware_first(notification=NotificationSwitch.SEA)

    host.inject(fault)
    host.run_until(CALLED)

    assert [name for name, _ in told(host)] == [notification]


@pytest.mark.parametrize(
    ("guest", "el", "from_el", "ec"), [(-1, 0, 0, 0x24), (-1, 1, 2, 0x25), (0, 0, 0, 0x24), (0, 1, 1, 0x24)]
)
def test_the_abort_that_el3_makes_comes_from_where_the_first_one_did(guest, el, from_el, ec):
    host = firmware_first(notification=NotificationSwitch.SEA)

    host.inject("memory-uer", guest=guest, el=el)
    host.run_until(CALLED)

    first, made = facts(host, "SeaTaken")
    assert (first.from_el, first.target_el, first.esr >> 26) == (from_el, 3, 0x24)
    assert (made.from_el, made.target_el, made.esr >> 26, made.far) == (from_el, 2, ec, first.far)


def test_one_abort_tells_of_all_sources():
    host = firmware_first(notification=NotificationSwitch.SEA)
    host.machine.board.inject(0, 0x8000_0040, 0, -1, 0)  # memory-ce on DIMM 1
    host.machine.board.record_of(1).asserted = 1

    host.inject("cache-uer")
    host.run_until(2 * CALLED)

    assert count(host, "SeaTaken") == 2
    assert [name for name, _ in told(host)].count("SEA") == 1


def test_where_the_kernel_polls_it_finds_the_block_at_the_next_interval():
    host = firmware_first(notification=NotificationSwitch.POLLED)
    host.run_until(3 * POLL_NS + 1)

    host.inject("memory-ce")
    host.run()

    assert told(host) == []
    assert [event.time_ns for event in facts(host, "RecordRead")] == [4 * POLL_NS]


# Refused


def test_a_masked_pe_is_not_told_and_the_block_waits_for_the_next_event():
    host = firmware_first()
    set_pe(host, sdei_masked=1)
    host.inject("memory-ce")
    host.run()
    assert (refused(host), count(host, "RecordRead")) == ([Refusal.PE_MASKED], 0)

    set_pe(host, sdei_masked=0)
    host.inject("memory-ce", address=0x8000_0040)
    host.run()

    assert (told(host), count(host, "RecordRead")) == ([("SDEI", 804)], 1)
    assert host.ledger()["ended"]["lost"] == {"slot_not_acknowledged": 1}


def test_a_block_nobody_was_told_of_is_found_at_the_next_boot():
    host = firmware_first()
    set_pe(host, sdei_masked=1)
    host.inject("memory-ce")
    host.run()

    host.do(c.ResetHost, 0)
    host.run()

    assert count(host, "RecordRead") == 1
    assert host.ledger()["open"]["in_flight"] == 0


@pytest.mark.parametrize(
    ("before", "refusal"),
    [
        (lambda sdei: sdei.unregister(MEMORY_EVENT), Refusal.NOT_REGISTERED),
        (lambda sdei: sdei.disable(MEMORY_EVENT), Refusal.NOT_ENABLED),
        (lambda sdei: sdei.dispatch(MEMORY_EVENT), Refusal.CRITICAL_OUTSTANDING),
        (lambda sdei: setattr(sdei, "masked", True), Refusal.PE_MASKED),
    ],
)
def test_each_reason_of_the_dispatcher_is_told(before, refusal):
    host = firmware_first()
    before(host.machine.monitor.sdei)

    host.inject("memory-ce")
    host.run_until(CALLED)

    assert (refused(host), told(host)) == ([refusal], [])
    assert host.machine.sources.source(0).block


def test_a_normal_event_is_refused_while_a_normal_one_runs_and_a_critical_one_is_not():
    host = firmware_first()
    host.machine.monitor.sdei.dispatch(PCIE_EVENT)

    for fault in ("pcie-ce", "memory-ce"):
        host.inject(fault)
    host.run_until(CALLED + CALL_NS)

    assert refused(host) == [Refusal.NORMAL_RUNNING]
    assert told(host) == [("SDEI", 804)]


def test_each_pe_runs_handlers_of_its_own():
    host = firmware_first()

    host.inject("memory-uer", pe=2)
    host.inject("tlb-uer", pe=1)
    host.inject("pcie-ce")
    host.run()

    assert refused(host) == []
    assert told(host) == [("SDEI", 806), ("SDEI", 804), ("SDEI", 805)]
    assert host.ledger()["open"]["in_flight"] == 0


def test_after_the_handler_completes_the_event_can_be_dispatched_again():
    host = firmware_first()

    for _ in range(2):
        host.inject("memory-ce")
        host.run()

    assert told(host) == [("SDEI", 804)] * 2
    assert host.machine.monitor.sdei.running == {}


def test_a_kernel_that_is_gone_is_told_nothing():
    host = firmware_first()
    host.inject("memory-ueu")  # fatal
    host.run_until(1_000_000)
    assert count(host, "KernelPanicked") == 1

    host.inject("memory-ce", address=0x8000_0040)
    host.run_until(2_000_000)

    assert refused(host) == [Refusal.PE_MASKED]
