"""The rule for SErrors held against a transcription of the C, and what a task gets for an abort."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.events import KernelPanicked, SyndromeSwallowed, TaskKilled
from nodes.linux.memory_failure import Task
from nodes.linux.traps import SEA_SIGNALS, SErrorVerdict, classify_serror, is_sea, oops_panic, serror_panics
from nodes.spec.severity import Aet
from nodes.spec.syndrome import SERROR_EC, abort_esr, serror_esr, serror_iss
from tests.doubles import kernel

TASK = Task(owner=-1)
EVERY_ISS = [  # IDS, AET, EA, DFSC: everything that the rule looks at, and one bit that it does not
    ids << 24 | aet << 10 | ea << 9 | dfsc
    for ids, aet, ea, dfsc in itertools.product(range(2), range(8), range(2), range(64))
]


def arm64_is_ras_serror(esr, cpu_has_ras):
    if esr & 0x01000000:  # ESR_ELx_IDS
        return False
    return cpu_has_ras


def arm64_ras_serror_get_severity(esr, cpu_has_ras):
    aet = esr & 0x1C00  # ESR_ELx_AET
    if not arm64_is_ras_serror(esr, cpu_has_ras):
        return 0  # ESR_ELx_AET_UC
    if (esr & 0x3F) != 0x11:  # ESR_ELx_FSC, ESR_ELx_FSC_SERROR
        return 0
    return aet


def do_serror(esr, cpu_has_ras):
    """What do_serror() of 6.1.192 and 6.12.117 comes to: "continues", "fatal" or "panics in the classifier"."""
    if not arm64_is_ras_serror(esr, cpu_has_ras):
        return SErrorVerdict.NOT_RAS
    match arm64_ras_serror_get_severity(esr, cpu_has_ras):
        case 0x1800 | 0x0800:  # ESR_ELx_AET_CE, ESR_ELx_AET_UEO
            return SErrorVerdict.GOES_ON
        case 0x0400 | 0x0C00:  # ESR_ELx_AET_UEU, ESR_ELx_AET_UER
            return SErrorVerdict.FATAL
        case _:
            return SErrorVerdict.PANICS


@pytest.mark.parametrize("has_ras", [True, False])
def test_the_rule_is_that_of_the_c_for_every_syndrome(has_ras):
    ours = {iss: classify_serror(serror_esr(iss), has_ras=has_ras) for iss in EVERY_ISS}

    assert ours == {iss: do_serror(serror_esr(iss), has_ras) for iss in EVERY_ISS}
    assert len(set(ours.values())) == (4 if has_ras else 1)


@given(st.integers(0, (1 << 64) - 1))
def test_no_other_bit_matters(esr):
    assert classify_serror(esr) is do_serror(esr, True)
    assert serror_panics(esr) == (do_serror(esr, True) is not SErrorVerdict.GOES_ON)


@pytest.mark.parametrize("aet", Aet)
def test_a_syndrome_that_an_esb_deferred_is_judged_like_one_taken_by_its_vector(aet):
    iss = serror_iss(aet)

    assert classify_serror(SERROR_EC | iss) is classify_serror(serror_esr(iss))


@pytest.mark.parametrize("guest", [-1, 2])
@pytest.mark.parametrize("aet", Aet)
def test_a_kernel_that_takes_an_serror_goes_on_or_panics(aet, guest):
    linux = kernel(guest=guest)

    goes_on = linux.take_serror(serror_esr(serror_iss(aet)))

    assert goes_on == (aet in (Aet.CE, Aet.UEO))
    assert [type(event) for event in linux.ask.events] == [SyndromeSwallowed if goes_on else KernelPanicked]
    if not goes_on:
        assert linux.ask.events[0].reason == "Asynchronous SError Interrupt"


SIGNALS = {  # fault_info[] of arch/arm64/mm/fault.c: name, signal, code of the entries with do_sea
    0x10: ("synchronous external abort", 7, 3),
    0x13: ("level -1 (translation table walk)", 9, 0x80),
    0x14: ("level 0 (translation table walk)", 9, 0x80),
    0x15: ("level 1 (translation table walk)", 9, 0x80),
    0x16: ("level 2 (translation table walk)", 9, 0x80),
    0x17: ("level 3 (translation table walk)", 9, 0x80),
    0x18: ("synchronous parity or ECC error", 7, 3),
    0x1B: ("level -1 synchronous parity error (translation table walk)", 9, 0x80),
    0x1C: ("level 0 synchronous parity error (translation table walk)", 9, 0x80),
    0x1D: ("level 1 synchronous parity error (translation table walk)", 9, 0x80),
    0x1E: ("level 2 synchronous parity error (translation table walk)", 9, 0x80),
    0x1F: ("level 3 synchronous parity error (translation table walk)", 9, 0x80),
}


def test_the_signals_of_an_abort_are_those_of_the_c():
    assert {fsc: tuple(signal) for fsc, signal in SEA_SIGNALS.items()} == SIGNALS
    assert [fsc for fsc in range(64) if is_sea(abort_esr(0x24, fsc=fsc))] == list(SIGNALS)


@pytest.mark.parametrize("fsc", SIGNALS)
def test_a_task_gets_the_address_where_far_is_valid_and_the_signal_carries_one(fsc):
    linux = kernel()

    linux.unclaimed_sea(abort_esr(0x24, fsc=fsc), TASK, 0xAAAA_0000_1238)
    linux.unclaimed_sea(abort_esr(0x24, fsc=fsc, far_valid=False), TASK, 0xAAAA_0000_1238)

    name, signal, _ = SIGNALS[fsc]
    assert linux.ask.forced == [(name, 0xAAAA_0000_1238 if signal == 7 else 0), (name, 0)]


@pytest.mark.parametrize(
    ("in_interrupt", "panic_on_oops", "panics"),
    [
        (False, False, None),
        (False, True, "synchronous external abort: Fatal exception"),
        (True, False, "synchronous external abort: Fatal exception in interrupt"),
        (True, True, "synchronous external abort: Fatal exception in interrupt"),
    ],
)
def test_the_kernel_itself_dies_of_an_abort(in_interrupt, panic_on_oops, panics):
    linux = kernel(panic_on_oops=panic_on_oops)

    linux.unclaimed_sea(abort_esr(0x25), None, in_interrupt=in_interrupt)

    assert (
        oops_panic("synchronous external abort", in_interrupt=in_interrupt, panic_on_oops=panic_on_oops) == panics
    )
    assert [event.reason for event in linux.ask.events] == [panics or "synchronous external abort"]
    assert isinstance(linux.ask.events[0], KernelPanicked if panics else TaskKilled)
    assert (linux.ask.down, linux.ask.killed) == (bool(panics), not panics)
