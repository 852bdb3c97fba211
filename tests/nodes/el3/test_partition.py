"""One MM partition for all PEs: calls come one after the other, and interrupts wait while their PE is in EL3."""

import pytest

from nodes.el3.partition import CALL_NS, Partition
from nodes.el3.reason import REASON_TEXT, Reason
from nodes.events import commands as c
from tests.nodes.el3.hosts import CALLED, ENTERED, count, facts, firmware_first, pend, ran, stopped_by

UER_OF_PE = "cache-uer"


def written(host):
    return [(event.time_ns, event.source_id) for event in facts(host, "StatusBlockWritten")]


@pytest.mark.parametrize("pes", [(1,), (1, 2), (9, 0, 5)])
def test_pes_that_call_at_once_return_one_after_the_other(pes):
    host = firmware_first(notification="sea")

    for pe in pes:
        host.inject(UER_OF_PE, pe=pe)
    host.run_until(CALLED + 5 * CALL_NS)

    assert [event.time_ns for event in facts(host, "OsNotified")] == [
        CALLED + i * CALL_NS for i in range(len(pes))
    ]


def test_a_call_that_finds_the_partition_idle_again_does_not_wait():
    host = firmware_first()

    for pe in (3, 4):
        host.inject(UER_OF_PE, pe=pe)
        host.run_until(host.now + CALLED)

    assert [when for when, _ in written(host)] == [CALLED, 2 * CALLED]


def test_the_call_of_a_pe_that_came_later_begins_when_the_one_before_returns():
    partition = Partition()
    one, two = ((None, 1),), ((None, 1), (None, 1))

    spun = [partition.call(1, one, 100), partition.call(2, two, 150), partition.call(3, one, 160)]

    assert spun == [0, CALL_NS - 50, 3 * CALL_NS - 60]
    assert (partition.spinning, partition.enter(2), partition.spinning) == ((2, 3), 2 * CALL_NS, (3,))
    assert (partition.returned(1), partition.carried()) == (one, 3)


def test_an_interrupt_of_the_pe_that_is_inside_the_call_is_handled_when_the_call_has_returned():
    host = firmware_first()
    host.inject(UER_OF_PE)
    host.run_until(2 * ENTERED)

    for _ in range(2):
        host.inject("pcie-ce")  # the second one before anybody has looked at the first
    host.run_until(CALLED + CALL_NS)

    assert [event.time_ns for event in facts(host, "RecordCleared")] == [ENTERED, CALLED]
    assert facts(host, "RecordCleared")[1].status == facts(host, "ErrorRecorded")[-1].status
    assert [when for when, _ in written(host)] == [CALLED, CALLED + CALL_NS]


def test_an_interrupt_of_another_pe_spins_and_one_more_is_masked():
    host = firmware_first()
    host.inject(UER_OF_PE, pe=1)
    host.run_until(2 * ENTERED)

    for fault in ("pcie-ce", "memory-ce"):
        host.inject(fault)
    host.run_until(CALLED + 2 * CALL_NS)

    assert [event.time_ns for event in facts(host, "RecordCleared")] == [ENTERED, 2 * ENTERED, CALLED + CALL_NS]
    assert [when for when, _ in written(host)] == [CALLED, CALLED + CALL_NS, CALLED + 2 * CALL_NS]


def test_a_masked_interrupt_whose_record_was_found_by_a_probe_is_for_nothing():
    host = firmware_first()
    host.inject(UER_OF_PE)

    host.inject("memory-ce")  # before the PE's probe
    ran(host)

    assert count(host, "RecordCleared") == count(host, "StatusBlockWritten") == 2
    assert host.accounted()
    assert host.machine.monitor.masked == ()


def test_an_abort_of_a_pe_that_spins_is_one_at_el3_and_no_double_fault():
    host = firmware_first()
    for pe in (1, 2):
        host.inject(UER_OF_PE, pe=pe)
    host.run_until(2 * ENTERED)

    pend(host, 0xBE00_0C11, pe=2)

    assert stopped_by(host) == [REASON_TEXT[Reason.ABORT_AT_EL3]]


def test_a_reset_ends_every_call_and_every_wait():
    host = firmware_first()
    for pe in (1, 2):
        host.inject(UER_OF_PE, pe=pe)
    host.inject("pcie-ce")
    host.inject("memory-ce")
    host.run_until(2 * ENTERED)

    host.do(c.ResetHost)
    partition = host.machine.monitor.partition

    assert (partition.building, partition.busy_until, partition.spinning) == ({}, 0, ())
    assert host.machine.monitor.masked == ()
    assert ran(host).accounted()
