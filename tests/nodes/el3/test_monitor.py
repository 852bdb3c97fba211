"""EL3's handling: which records the probes find, what is cleared when, what becomes of the blocks."""

import pytest

from nodes.el3.partition import CALL_NS
from nodes.el3.reason import REASON_TEXT, Reason
from nodes.events import commands as c
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.policy import Probes
from nodes.spec.err import ErrCtlr, V
from nodes.spec.status_block import StatusBlock
from nodes.spec.timestamp import timestamp_of
from tests.nodes.el3.hosts import CALLED, ENTERED, count, facts, firmware_first, pend, ran, set_pe, stopped_by

MEMORY_SOURCE, PROCESSOR_SOURCE, PCIE_SOURCE = 0, 1, 2
DIMM = [ras_node(RasNodeKind.MEMORY, instance) for instance in range(8)]
SILENT = int(ErrCtlr.of(ED=1))  # records, and interrupts nobody


def address_on(dimm):
    return 0x8000_0000 + 64 * dimm


def unheard(host, node, fault, **where):
    """An error that is recorded, and that no interrupt tells of."""
    host.do(c.WriteErrorRegister, node, RecordRegister.CTLR, SILENT)
    host.inject(fault, **where)


def cleared(host):
    return [event.ras_node for event in facts(host, "RecordCleared")]


def sources_written(host):
    return [event.source_id for event in facts(host, "StatusBlockWritten")]


# Probes


def test_the_probes_find_the_pes_own_records_first_and_then_mapped_groups_in_order():
    host = firmware_first()
    cache, tlb = ras_node(RasNodeKind.CACHE, 2), ras_node(RasNodeKind.TLB, 2)
    unheard(host, DIMM[5], "memory-ueo", address=address_on(5))
    unheard(host, DIMM[3], "memory-ueo", address=address_on(3))
    unheard(host, cache, "cache-ce", pe=2)

    host.inject("tlb-uer", pe=2)
    host.run_until(ENTERED)

    assert cleared(host) == [cache, tlb, DIMM[3], DIMM[5]]


def test_one_call_of_the_partition_is_made_for_each_record():
    host = firmware_first()
    unheard(host, DIMM[3], "memory-ueo", address=address_on(3))
    host.inject("tlb-uer")

    host.run_until(ENTERED + 2 * CALL_NS)

    assert [event.time_ns for event in facts(host, "StatusBlockWritten")] == [ENTERED + 2 * CALL_NS] * 2
    assert sources_written(host) == [PROCESSOR_SOURCE, MEMORY_SOURCE]


def test_the_system_registers_of_another_pe_are_out_of_reach():
    host = firmware_first()
    elsewhere = ras_node(RasNodeKind.CACHE, 1)
    unheard(host, elsewhere, "cache-ce", pe=1)

    host.inject("tlb-uer", pe=0)
    host.run()

    assert elsewhere not in cleared(host)
    assert host.record(elsewhere).status >> 30 & 1


def test_an_abort_without_any_valid_record_is_unhandled():
    host = firmware_first()

    pend(host, 0xBE00_0C11)
    host.run_until(ENTERED)

    assert stopped_by(host) == [REASON_TEXT[Reason.UNHANDLED_ABORT]] == ["Unhandled External Abort"]


def test_an_interrupt_is_one_probe_and_one_handler():
    host = firmware_first()
    unheard(host, DIMM[3], "memory-ueo", address=address_on(3))

    host.inject("memory-ce", address=address_on(4))
    host.run()

    assert cleared(host) == [DIMM[4]]


def test_an_interrupt_whose_record_somebody_cleared_is_done():
    host = firmware_first()
    record = host.record(DIMM[3])
    record.asserted = 1

    host.machine.monitor.interrupt(DIMM[3])

    assert (host.events, record.asserted) == ([], 0)


@pytest.mark.parametrize("fault", ["memory-uer", "tlb-uer"])
def test_a_platform_without_probes_fails_its_assertion_at_an_abort(fault):
    host = firmware_first(probes=Probes.ABSENT)

    host.inject(fault)
    host.run_until(CALLED)

    assert stopped_by(host) == [REASON_TEXT[Reason.NO_PROBE]]
    assert cleared(host) == []


def test_a_platform_without_probes_handles_interrupts():
    host = ran_with_ce(firmware_first(probes=Probes.ABSENT))

    assert stopped_by(host) == []
    assert sources_written(host) == [MEMORY_SOURCE]


def ran_with_ce(host):
    host.inject("memory-ce")
    return ran(host)


# Clear, then build


def test_a_record_is_cleared_before_its_block_exists():
    host = firmware_first()
    host.inject("memory-uer")

    host.run_until(ENTERED)

    assert cleared(host) == [DIMM[0]]
    assert (host.record(DIMM[0]).status & V, sources_written(host)) == (0, [])
    assert host.accounted()


def test_a_stop_between_clearing_and_writing_loses_the_error():
    host = firmware_first()
    host.inject("memory-uer")
    host.run_until(ENTERED)

    host.inject("tlb-ueo")  # double fault
    host.run()

    assert sources_written(host) == []
    assert host.ledger()["ended"]["lost"] == {"host_reset": 1}
    assert host.accounted()


def test_what_a_stop_left_in_a_record_is_told_by_the_boot_error_region():
    host = firmware_first()

    host.inject("cache-uc")
    host.run()

    told = facts(host, "FirmwareStopped", "WatchdogExpired", "HostReset", "RecordCleared", "BootErrorFound")
    assert type(told[0]).__name__ == "FirmwareStopped"
    assert [type(event).__name__ for event in told[-3:]] == ["HostReset", "RecordCleared", "BootErrorFound"]
    assert StatusBlock.decode(told[-1].block).error_severity == 1
    assert host.ledger()["ended"]["reported"] == 1


@pytest.mark.parametrize("cold", [0, 1])
def test_only_an_error_recovery_reset_leaves_records_to_tell_of(cold):
    host = firmware_first()
    unheard(host, DIMM[3], "memory-ueo", address=address_on(3))

    host.do(c.ResetHost, cold)
    host.run()

    assert count(host, "BootErrorFound") == (not cold)
    assert host.accounted()


def test_no_call_comes_back_after_the_system_stopped():
    host = firmware_first()
    host.inject("memory-ce")  # its block is being built
    host.inject("cache-uc", pe=1)

    host.run()

    assert sources_written(host) == []
    assert host.ledger()["ended"]["lost"] == {"host_reset": 1}


def test_nothing_reaches_el3_of_a_stopped_system():
    host = firmware_first()
    host.inject("cache-uc")
    host.run_until(ENTERED)

    host.machine.monitor.take(1, 0xBE00_0C11)

    assert host.machine.monitor.entries.keys() == {0}


def test_an_error_that_comes_while_its_ras_node_is_handled_interrupts_again():
    host = firmware_first()
    host.inject("memory-ce")

    host.inject("memory-ce")
    host.run()

    assert cleared(host) == [DIMM[0]] * 2
    assert host.accounted()


def test_two_paths_may_handle_one_ras_node_at_the_same_time():
    host = firmware_first()
    address = host.inject("memory-ce")
    host.run_until(10_000)

    host.inject("memory-uer", address=address)
    host.run()

    assert stopped_by(host) == []
    assert cleared(host) == [DIMM[0]] * 2


def test_the_counter_is_set_up_again_for_the_next_threshold():
    host = firmware_first(ce_threshold=3)
    host.do(c.WriteErrorRegister, DIMM[0], RecordRegister.PFGCDN, 1)  # a record with this is not forgotten

    for _ in range(6):
        host.inject("memory-ce")
        host.run()

    assert count(host, "RecordCleared") == 2
    assert host.record(DIMM[0]).misc0 == (0x8000 - 3) << 32


# Blocks


def test_an_unread_block_is_never_overwritten():
    host = firmware_first()
    set_pe(host, sdei_masked=1)  # the kernel hears of nothing
    host.inject("memory-ce")
    host.run()
    first = host.machine.sources.source(MEMORY_SOURCE).block

    host.inject("memory-ueo")
    host.run()

    assert host.machine.sources.source(MEMORY_SOURCE).block == first
    assert [event.lost_by for event in facts(host, "RecordLost")] == [1]
    assert host.ledger()["ended"]["lost"] == {"slot_not_acknowledged": 1}


def test_two_records_of_one_source_in_one_entry_cost_the_second_its_block():
    host = firmware_first()
    unheard(host, DIMM[3], "memory-ueo", address=address_on(3))

    host.inject("memory-uer", address=address_on(4))
    host.run_until(ENTERED + 2 * CALL_NS)

    assert (count(host, "StatusBlockWritten"), count(host, "RecordLost")) == (1, 1)
    assert host.accounted()


@pytest.mark.parametrize(
    ("fault", "source"),
    [
        ("memory-ce", MEMORY_SOURCE),
        ("cache-ce", PROCESSOR_SOURCE),
        ("tlb-ce", PROCESSOR_SOURCE),
        ("bus-ce", PROCESSOR_SOURCE),
        ("pcie-ce", PCIE_SOURCE),
    ],
)
def test_each_component_tells_in_its_source(fault, source):
    host = firmware_first()

    host.inject(fault)
    host.run()

    assert sources_written(host) == [source]


def test_a_block_says_when_it_was_built():
    host = firmware_first()

    host.inject("memory-ce")
    host.run()

    (written,) = facts(host, "StatusBlockWritten")
    stored = StatusBlock.decode(written.block).entries[0].timestamp
    assert timestamp_of(stored).iso() == "2026-01-01T00:00:00+00:00"
