"""Taken to EL3: the test of ISR_EL1.A, nesting, reflection, aborts in EL3 itself, classification."""

import pytest

from nodes.el3.monitor import ENTRY_NS, REPLAY_MAX
from nodes.el3.partition import CALL_NS
from nodes.el3.reason import REASON_TEXT, Reason
from nodes.events import commands as c
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.spec.aarch64 import ScrEl3
from nodes.spec.err import ErrCtlr
from nodes.spec.severity import Aet
from nodes.spec.syndrome import serror_iss
from tests.nodes.el3.hosts import (
    CALLED,
    ENTERED,
    call_firmware,
    count,
    facts,
    firmware_first,
    kernel_first,
    pend,
    ran,
    set_pe,
    stopped_by,
)

DIMM_1 = ras_node(RasNodeKind.MEMORY, 1)
DIMM_1_ADDRESS = 0x8000_0040
UEO = serror_iss(Aet.UEO)
SERROR_UEO, SERROR_UER, SERROR_UC = 0xBE00_0811, 0xBE00_0C11, 0xBE00_0011


def reason(which):
    return [REASON_TEXT[which]]


def nested(original):
    """An SError becomes pending while EL3 has not looked yet at what brought it there."""
    host = firmware_first()
    original(host)
    host.inject("tlb-ueo")
    return host


def silent_record(host):
    """A DIMM whose RAS node records and interrupts nobody."""
    host.do(c.WriteErrorRegister, DIMM_1, RecordRegister.CTLR, int(ErrCtlr.of(ED=1)))
    return host


# No SError is pending


def test_an_smc_without_a_pending_serror_returns_to_what_called():
    host = firmware_first()
    set_pe(host, el=1)

    call_firmware(host)
    host.run()

    assert host.events == []
    assert host.machine.monitor.entries == {}
    assert host.machine.board.pe_of(0).el in (0, 2)  # an idle PE is forgotten


@pytest.mark.parametrize(("fault", "taken"), [("tlb-uer", "SErrorTaken"), ("memory-uer", "SeaTaken")])
def test_an_abort_without_a_pending_serror_is_handled(fault, taken):
    host = firmware_first()

    host.inject(fault)
    host.run_until(CALLED)

    assert [event.target_el for event in facts(host, taken)] == [3]
    assert (count(host, "RecordCleared"), count(host, "StatusBlockWritten")) == (1, 1)
    assert host.machine.monitor.entries == {}


def test_el3_looks_at_an_exception_a_little_later_and_calls_the_partition_for_each_record():
    host = firmware_first()

    host.inject("tlb-uer")
    host.run_until(CALLED)

    assert [event.time_ns for event in facts(host, "SErrorTaken", "RecordCleared", "StatusBlockWritten")] == [
        0,
        ENTRY_NS,
        ENTRY_NS + CALL_NS,
    ]


# One is pending, and EL3 takes SErrors


def test_a_pending_serror_is_taken_at_el3_before_the_original_exception():
    host = ran(nested(call_firmware))

    taken = facts(host, "SErrorPended", "SErrorTaken")
    assert [type(event).__name__ for event in taken] == ["SErrorPended", "SErrorTaken"]
    assert (taken[1].from_el, taken[1].target_el, taken[1].esr, taken[1].time_ns) == (3, 3, SERROR_UEO, ENTERED)


def test_an_smc_goes_on_after_the_nested_serror():
    host = ran(nested(call_firmware))

    assert stopped_by(host) == []
    assert (count(host, "StatusBlockWritten"), count(host, "OsNotified")) == (1, 1)
    assert host.machine.monitor.entries == {}


def test_an_original_serror_has_its_syndrome_discarded():
    host = ran(nested(lambda host: host.inject("cache-ueo")))

    assert stopped_by(host) == []  # its record was found with the nested one's: it is not asked for again
    assert [event.ras_node >> 8 for event in facts(host, "RecordCleared")] == [RasNodeKind.CACHE, RasNodeKind.TLB]


def test_an_original_abort_goes_on_and_finds_that_its_record_was_taken():
    host = nested(lambda host: host.inject("memory-uer"))

    host.run_until(2 * CALLED)

    assert stopped_by(host) == reason(Reason.UNHANDLED_ABORT)
    assert (count(host, "RecordCleared"), count(host, "StatusBlockWritten"), count(host, "OsNotified")) == (
        2,
        2,
        0,
    )


def test_an_original_abort_that_finds_another_record_goes_on_and_then_tells_of_all():
    host = silent_record(nested(lambda host: host.inject("memory-uer")))
    host.run_until(ENTERED)
    host.inject("memory-ueo", address=DIMM_1_ADDRESS)

    host.run_until(3 * CALLED)

    assert stopped_by(host) == []
    assert count(host, "RecordCleared") == 3
    assert [event.source_id for event in facts(host, "OsNotified", "NotificationRefused")] == [1, 0]


def test_a_nested_uncontainable_serror_stops_the_system_whatever_came_in():
    host = firmware_first()
    call_firmware(host)
    host.inject("cache-uc")

    host.run_until(ENTERED)

    assert stopped_by(host) == reason(Reason.UNCONTAINABLE)


def test_a_nested_serror_that_nobody_recorded_is_unhandled():
    host = firmware_first()
    call_firmware(host)
    pend(host, SERROR_UER)

    host.run_until(ENTERED)

    assert stopped_by(host) == reason(Reason.UNHANDLED_ABORT)
    assert host.accounted()


# One is pending, and EL3 does not take SErrors


def test_kernel_first_the_lower_level_takes_its_serror_itself():
    host = kernel_first()
    set_pe(host, el=1)
    call_firmware(host)
    pend(host, SERROR_UEO, el=1)

    host.run()

    assert [event.repeats for event in facts(host, "SErrorReflected")] == [0]
    assert [(event.from_el, event.target_el) for event in facts(host, "SErrorTaken")] == [(2, 2)]
    assert stopped_by(host) == []


def masked_caller(host):
    """The host's kernel runs with PSTATE.A=1, an SError pending, and calls EL3."""
    set_pe(host, el=1, masked=1)
    pend(host, SERROR_UEO, el=1)
    call_firmware(host)
    return host


def test_what_the_lower_level_masks_comes_back_until_the_101st_entry_panics():
    host = masked_caller(kernel_first())

    host.run_until((REPLAY_MAX + 2) * ENTRY_NS)

    stop = facts(host, "FirmwareStopped")
    assert [event.time_ns for event in stop] == [101 * ENTRY_NS]
    assert stopped_by(host) == reason(Reason.REPLAYED_TOO_OFTEN)
    assert [event.repeats for event in facts(host, "SErrorReflected")] == [0, 100]


def test_at_the_100th_entry_the_serror_is_still_pending_and_nothing_is_said():
    host = masked_caller(kernel_first())

    host.run_until(REPLAY_MAX * ENTRY_NS)

    assert stopped_by(host) == []
    assert host.machine.monitor.entries[0].repeats == REPLAY_MAX
    assert host.ledger()["open"]["pending"] == 1


def test_a_reset_ends_a_reflection_and_loses_what_was_pending():
    host = masked_caller(kernel_first())
    host.run_until(10 * ENTRY_NS)

    host.do(c.ResetHost, 0)
    host.run()

    assert stopped_by(host) == []
    assert host.ledger()["ended"]["lost"] == {"host_reset": 1}
    assert host.accounted()


def test_a_call_from_before_a_reset_does_not_end_what_came_to_el3_after_it():
    host = firmware_first()
    host.inject("memory-uer")
    host.run_until(ENTERED)
    host.do(c.ResetHost, 0)

    host.run_until(CALLED - 500)
    host.inject("memory-uer", address=DIMM_1_ADDRESS)
    host.run_until(2 * CALLED)

    assert [event.time_ns for event in facts(host, "OsNotified")] == [CALLED - 500 + CALLED]


# In EL3 itself


@pytest.mark.parametrize("fault", ["memory-uer", "bus-uer"])
def test_a_synchronous_abort_in_el3_is_unhandled(fault):
    host = firmware_first()
    call_firmware(host)

    host.inject(fault)

    assert stopped_by(host) == reason(Reason.SYNCHRONOUS_ABORT_AT_EL3)


def test_an_serror_that_el3_cannot_mask_is_fatal_there():
    host = firmware_first()
    host.machine.board.pe_of(0).scr |= ScrEl3.NMEA.mask
    call_firmware(host)

    host.inject("tlb-ueo")

    assert stopped_by(host) == reason(Reason.ABORT_AT_EL3)


@pytest.mark.parametrize("fault", ["tlb-ueo", "memory-uer"])
@pytest.mark.parametrize("first", ["tlb-uer", "memory-uer"])
def test_an_abort_while_another_is_handled_is_a_double_fault(first, fault):
    host = firmware_first()
    host.inject(first)
    host.run_until(ENTERED)

    host.inject(fault)

    assert stopped_by(host) == reason(Reason.DOUBLE_FAULT)


@pytest.mark.parametrize(("fault", "esr"), [("tlb-ueo", SERROR_UEO), ("memory-uer", 0x9200_0010)])
def test_what_interrupts_the_partition_comes_from_a_lower_level(fault, esr):
    host = firmware_first()
    host.inject("tlb-uer")
    host.run_until(ENTERED)

    host.inject(fault)

    assert [(event.from_el, event.esr) for event in facts(host, "SErrorTaken", "SeaTaken")][1:] == [(0, esr)]


@pytest.mark.parametrize("fault", ["cache-uc", "bus-uc"])
def test_an_uncontainable_error_during_the_call_is_called_so_and_no_double_fault(fault):
    host = firmware_first()
    host.inject("tlb-uer")
    host.run_until(ENTERED)

    host.inject(fault)

    assert stopped_by(host) == reason(Reason.UNCONTAINABLE)


def test_an_abort_while_a_nested_serror_is_handled_is_a_double_fault():
    host = nested(call_firmware)
    host.run_until(ENTERED)

    host.inject("cache-ueo")

    assert stopped_by(host) == reason(Reason.DOUBLE_FAULT)


def test_an_abort_on_another_pe_is_no_double_fault():
    host = firmware_first()
    host.inject("tlb-uer")
    host.run_until(ENTERED)

    host.inject("tlb-uer", pe=1)
    host.run()

    assert stopped_by(host) == []
    assert count(host, "StatusBlockWritten") == 2


def test_the_interrupt_path_has_no_double_fault():
    host = firmware_first()
    host.inject("memory-ce")

    host.inject("memory-ce", address=DIMM_1_ADDRESS)
    host.run()

    assert stopped_by(host) == []
    assert count(host, "RecordCleared") == 2


def test_what_runs_on_a_pe_cannot_call_el3_while_the_pe_is_there():
    host = firmware_first()
    call_firmware(host)

    call_firmware(host)
    host.run()

    assert stopped_by(host) == []


# Errors that EL3's entry or exit synchronises


def test_the_vector_synchronises_what_was_arriving_before_it_tests_isr():
    host = firmware_first()
    host.machine.board.pe_of(0).sctlr = (0, 0, 0, 0)
    host.machine.board.pes.expect(0, UEO)

    call_firmware(host)
    host.run_until(ENTERED)

    assert [(event.from_el, event.esr) for event in facts(host, "SErrorTaken")] == [(3, SERROR_UEO)]


def test_iesb_at_entry_only_pends_what_el3_masks():
    host = firmware_first()
    host.machine.board.pes.expect(0, UEO)

    call_firmware(host)

    assert count(host, "SErrorPended") == 1
    assert host.machine.board.pe_of(0).disr == 0


def test_with_nmea_iesb_at_entry_takes_it_at_once_and_that_is_fatal():
    host = firmware_first()
    host.machine.board.pe_of(0).scr |= ScrEl3.NMEA.mask
    host.machine.board.pes.expect(0, UEO)

    call_firmware(host)

    assert [event.esr for event in facts(host, "SErrorTaken")] == [SERROR_UEO | 1 << 13]
    assert stopped_by(host) == reason(Reason.ABORT_AT_EL3)


def test_iesb_at_the_return_from_el3_takes_it_there():
    host = firmware_first()
    host.inject("tlb-uer")
    host.run_until(ENTERED)
    host.machine.board.pes.expect(0, UEO)

    host.run_until(CALLED)

    assert [event.esr for event in facts(host, "SErrorTaken")][1:] == [SERROR_UEO | 1 << 13]
    assert stopped_by(host) == reason(Reason.ABORT_AT_EL3)


# Classification


@pytest.mark.parametrize("fault", ["cache-uc", "memory-uc", "bus-uc"])
def test_an_uncontainable_error_stops_the_system_before_any_record_is_read(fault):
    host = firmware_first()

    host.inject(fault)
    host.run_until(CALLED)

    assert stopped_by(host) == reason(Reason.UNCONTAINABLE)
    assert (count(host, "RecordCleared"), count(host, "StatusBlockWritten")) == (0, 0)


@pytest.mark.parametrize("esr", [0xBF00_0002, 0xBE00_0000, 0xBF00_0011])
def test_a_syndrome_without_a_state_goes_to_the_probes(esr):
    host = firmware_first()

    pend(host, esr)
    host.run_until(CALLED)

    assert stopped_by(host) == reason(Reason.UNHANDLED_ABORT)


def test_a_pended_uncontainable_syndrome_stops_the_system():
    host = firmware_first()

    pend(host, SERROR_UC)
    host.run_until(CALLED)

    assert stopped_by(host) == reason(Reason.UNCONTAINABLE)
