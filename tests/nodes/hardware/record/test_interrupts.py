"""Which interrupts a record asserts: FHI, ERI and CRI, for every way of enabling them."""

from itertools import product

import pytest

from nodes.hardware.ras_nodes import Lines
from nodes.spec.err import ErrStatus
from nodes.spec.severity import ErrorState
from tests.nodes.hardware.records import V1, V1P1, error, ras_node_with, status

CE, DE, UER, UC = ErrorState.CE, ErrorState.DE, ErrorState.UER, ErrorState.UC
RECORDED = {"CE": {"CE": 2}, "DE": {"DE": 1}, "UE": {"UE": 1, "UET": 3}}
FHI_TABLE = {  # (CTLR.CFI, DFI, FI): CE, DE, UE
    (0, 0, 0): "nnn",
    (0, 0, 1): "nyy",
    (0, 1, 0): "nyn",
    (0, 1, 1): "nny",
    (1, 0, 0): "ynn",
    (1, 0, 1): "yyy",
    (1, 1, 0): "yyn",
    (1, 1, 1): "yny",
}


def lines_of(recorded, ctlr=None, valid=1, **fr):
    record = ras_node_with(ctlr, **fr)
    record.status = int(ErrStatus.of(V=valid, **recorded))
    return record.lines()


@pytest.mark.parametrize(("enables", "fires"), FHI_TABLE.items())
def test_the_fault_handling_interrupt_follows_the_table(enables, fires):
    ctlr = dict(zip(("CFI", "DFI", "FI"), enables, strict=True))

    answers = [lines_of(recorded, ctlr, FI=2, CFI=2, DFI=2) & Lines.FHI for recorded in RECORDED.values()]

    assert "".join("y" if answer else "n" for answer in answers) == fires


@pytest.mark.parametrize("fi", [0, 1])
def test_deferred_errors_follow_fi_where_dfi_is_not_implemented(fi):
    answers = [lines_of(RECORDED[kind], {"FI": fi}, FI=2) for kind in ("DE", "UE")]

    assert answers == [fi * Lines.FHI] * 2


@pytest.mark.parametrize(("dfi", "fi"), [*product((0, 1), repeat=2)])
def test_corrected_errors_follow_deferred_ones_where_cfi_is_not_implemented(dfi, fi):
    answers = [lines_of(RECORDED[kind], {"FI": fi, "DFI": dfi}, FI=2, DFI=2) for kind in ("DE", "CE")]

    assert answers == [(dfi != fi) * Lines.FHI] * 2


@pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED)
def test_an_interrupt_that_does_not_exist_never_fires(recorded):
    everything = {"FI": 1, "CFI": 1, "DFI": 1, "UI": 1, "DUI": 1, "CI": 1}

    assert lines_of(recorded | {"CI": 1}, everything, FI=0, CFI=2, DFI=2, UI=0, DUI=2, CI=1) == 0


def test_an_interrupt_that_is_always_on_needs_no_control():
    assert lines_of(RECORDED["UE"], {}, FI=1, UI=1) == Lines.FHI | Lines.ERI


@pytest.mark.parametrize(
    ("counter", "ced", "overflow", "fires"),
    [
        (0, 0, 0, True),  # no counter: CE itself
        (4, 0, 0, False),
        (4, 0, 1, True),  # a counter: its overflow
        (4, 1, 0, True),  # CED: CE again
    ],
)
def test_the_corrected_error_event_is_the_overflow_or_each_error(counter, ced, overflow, fires):
    record = ras_node_with({"CFI": 1, "CED": ced}, overflow << 47, CEC=counter, CED=1, FI=2, CFI=2)
    record.status = int(ErrStatus.of(V=1, CE=2))

    assert bool(record.lines() & Lines.FHI) is fires


@pytest.mark.parametrize(
    ("recorded", "ctlr", "fr", "fires"),
    [
        ("UE", {"UI": 1}, {"UI": 2}, True),
        ("UE", {"UI": 0}, {"UI": 2}, False),
        ("UE", {"UI": 1}, {"UI": 0}, False),
        ("DE", {"UI": 1}, {"UI": 2}, False),
        ("DE", {"DUI": 1}, {"UI": 2, "DUI": 2}, True),
        ("DE", {"DUI": 1}, {"UI": 1, "DUI": 3}, True),
        ("DE", {"DUI": 0}, {"UI": 2, "DUI": 2}, False),
        ("DE", {"DUI": 1}, {"UI": 2, "DUI": 0}, False),
        ("CE", {"UI": 1, "DUI": 1}, {"UI": 2, "DUI": 2}, False),
    ],
)
def test_the_error_recovery_interrupt_is_for_uncorrected_and_with_dui_deferred_errors(recorded, ctlr, fr, fires):
    assert lines_of(RECORDED[recorded], ctlr, **fr) == (Lines.ERI if fires else 0)


@pytest.mark.parametrize(
    ("feature", "control", "critical", "fires"),
    [
        (0, 1, 1, False),
        (1, 0, 1, True),
        (2, 0, 1, False),
        (2, 1, 1, True),
        (2, 1, 0, False),
    ],
)
def test_the_critical_error_interrupt_needs_the_condition_and_its_enable(feature, control, critical, fires):
    assert lines_of({"CI": critical}, {"CI": control}, UI=2, CI=feature) == (Lines.CRI if fires else 0)


@pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED)
def test_nothing_fires_for_an_invalid_record(recorded):
    everything = {"FI": 1, "CFI": 1, "UI": 1, "CI": 1}

    assert lines_of(recorded | {"CI": 1}, everything, valid=0, FI=2, CFI=2, UI=2, CI=2) == 0


def test_a_disabled_ras_node_goes_on_asserting_what_it_recorded():
    assert lines_of(RECORDED["UE"], {"ED": 0, "UI": 1}, UI=2) == Lines.ERI


def test_an_interrupt_fires_although_the_syndrome_is_discarded():
    record = ras_node_with({"UI": 1}, UI=2)
    record.record(error(UC), V1P1)

    assert not record.record(error(UER), V1P1)
    assert record.lines() == Lines.ERI


@pytest.mark.parametrize(
    ("rev", "feature", "control", "recorded", "flag"),
    [
        (V1P1, 2, 0, UC, 1),  # R_JSVFW: implemented and disabled
        (V1P1, 2, 1, CE, 1),
        (V1P1, 1, 0, CE, 1),
        (V1P1, 0, 0, CE, 1),
        (V1, 2, 0, CE, 0),  # STATUS.CI is RES0
    ],
)
def test_a_critical_condition_whose_interrupt_is_disabled_is_recorded_as_uncontainable(
    rev, feature, control, recorded, flag
):
    record = ras_node_with({"CI": control}, CI=feature, UI=2)

    record.record(error(CE, critical=True), rev)

    after = status(record)
    assert (int(recorded is UC), 2 * (recorded is CE), flag) == (after.UE, after.CE, after.CI)
