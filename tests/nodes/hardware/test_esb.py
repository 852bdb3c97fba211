"""ESB on a host whose kernel takes its SErrors itself: what is deferred is judged once, by DISR_EL1."""

import pytest

from nodes.events import NO_GUEST
from nodes.events import commands as c
from tests.nodes.el3.hosts import call_firmware, facts, firmware_first, kernel_first, pend, set_pe


def masked_host(fault):
    """The host's kernel runs on PE 0 with PSTATE.A=1 when an SError comes."""
    host = kernel_first()
    set_pe(host, el=1, masked=1)
    host.inject(fault, el=1)
    assert host.ledger()["open"]["pending"] == 1
    return host


def barrier(host):
    host.do(c.RunBarrier, NO_GUEST, 0)
    return host


@pytest.mark.parametrize(
    ("fault", "disr", "judged"),
    [("tlb-ueo", 0x8000_0811, "SyndromeSwallowed"), ("tlb-ueu", 0x8000_0411, "KernelPanicked")],
)
def test_what_esb_defers_is_judged_by_the_kernel_as_if_it_were_taken(fault, disr, judged):
    host = barrier(masked_host(fault))

    assert [event.disr for event in facts(host, "SErrorDeferred")] == [disr]
    assert len(facts(host, judged)) == 1
    assert host.accounted()


def test_the_kernel_sees_a_deferred_serror_with_il_0():
    host = barrier(masked_host("tlb-ueo"))

    assert [event.esr for event in facts(host, "SyndromeSwallowed")] == [0xBC00_0811]


def test_what_was_deferred_is_not_taken_when_pstate_a_is_cleared():
    host = barrier(masked_host("tlb-ueo"))

    set_pe(host, el=1)
    host.run()

    assert facts(host, "SErrorTaken") == []
    assert host.ledger()["open"]["pending"] == 0


def test_software_zeroes_disr_so_that_the_next_barrier_finds_only_what_is_new():
    host = barrier(masked_host("tlb-ueo"))

    barrier(host)

    assert host.machine.board.pe_of(0).disr == 0
    assert len(facts(host, "SErrorDeferred")) == 1


def test_without_a_barrier_the_serror_is_taken_when_pstate_a_is_cleared():
    host = masked_host("tlb-ueo")

    set_pe(host, el=1)

    assert [(event.target_el, event.esr) for event in facts(host, "SErrorTaken")] == [(2, 0xBE00_0811)]


def test_what_merged_before_the_barrier_is_deferred_as_its_worst():
    host = masked_host("tlb-ueu")
    host.inject("cache-ueo", el=1)

    barrier(host)

    assert [event.disr for event in facts(host, "SErrorDeferred")] == [0x8000_0411]
    assert host.accounted()


@pytest.mark.parametrize("esr", [0xBE00_0811, 0xBF00_0002])
def test_an_serror_that_nobody_recorded_ends_with_its_deferral(esr):
    host = kernel_first()
    set_pe(host, el=1, masked=1)
    pend(host, esr, el=1)

    barrier(host)

    assert host.ledger()["open"] == {"in_flight": 0, "pending": 0, "latent": 0}
    assert host.accounted()


def test_no_level_below_executes_a_barrier_while_el3_has_the_pe():
    host = firmware_first()
    call_firmware(host)
    pend(host, 0xBE00_0C11)

    barrier(host)

    assert facts(host, "SErrorDeferred", "KernelPanicked") == []
    assert host.machine.board.pe_of(0).pending == 0xC11


def test_the_barrier_of_a_guest_synchronises_physical_errors_too():
    host = kernel_first()
    host.machine.board.pes.expect(0, 0x811)

    host.do(c.RunBarrier, 0, 0)

    assert [(event.from_el, event.target_el, event.guest) for event in facts(host, "SErrorTaken")] == [(0, 2, 0)]
    assert len(facts(host, "SyndromeSwallowed")) == 1
