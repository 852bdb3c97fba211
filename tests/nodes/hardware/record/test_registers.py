"""What software reads and writes of a record: access rules, clearing, resets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.hardware.ras_nodes import MODELS, RasNodeKind
from nodes.hardware.record import PFGF, ErrorRecord, RecordRegister
from nodes.spec.err import ErrCtlr, ErrFr, ErrStatus, error_state
from nodes.spec.severity import ErrorState
from tests.nodes.hardware.records import V1, V1P1, error, holding, ras_node_with, status

R = RecordRegister
STATES = [state for state in ErrorState if state is not ErrorState.NONE]
both_formats = pytest.mark.parametrize("rev", [V1, V1P1])
every_kind = pytest.mark.parametrize("kind", RasNodeKind)
ONES = (1 << 64) - 1


def with_errors(states, rev):
    record = ras_node_with(CEC=4, UE=2, UI=2, CI=2, ctlr={"UE": 1, "CI": 1})
    for state in states:
        record.record(error(state, critical=state is ErrorState.UC, responded=True), rev)
    return record


@both_formats
@given(states=st.lists(st.sampled_from(STATES), min_size=1, max_size=6))
def test_a_status_written_back_as_it_was_read_frees_the_record(rev, states):
    record = with_errors(states, rev)

    assert record.write_status(record.read(R.STATUS), rev)
    assert error_state(record.status) is ErrorState.NONE
    assert status(record).OF == 0


@given(states=st.lists(st.sampled_from(STATES), min_size=1, max_size=4), later=st.sampled_from(STATES))
def test_a_stale_write_does_nothing_when_a_new_flag_came_in_between(states, later):
    record = with_errors(states, V1P1)
    stale = record.read(R.STATUS)
    record.record(error(later), V1P1)
    came = record.status & ErrStatus.of(UE=1, DE=1, CE=3, OF=1) & ~stale

    freed = record.write_status(stale, V1P1)

    assert freed is not bool(came)


@pytest.mark.parametrize("field", ["UE", "OF", "CE", "DE", "UET", "CI", "IERR", "SERR"])
@both_formats
def test_an_invalid_record_ignores_writes_to_its_syndrome(rev, field):
    record = ras_node_with()
    record.status = int(ErrStatus(0).but(**{field: 1}))

    record.write_status(ONES, rev)

    assert ErrStatus.of(**{field: 1}) == record.status


@both_formats
def test_an_invalid_record_lets_av_and_mv_be_cleared(rev):
    record = ras_node_with()
    record.status = int(ErrStatus.of(AV=1, MV=1))

    record.write_status(record.status, rev)

    assert record.status == 0


@every_kind
def test_control_bits_that_the_features_do_not_announce_read_as_zero(kind):
    record = ErrorRecord(MODELS[kind], 0)
    fr = ErrFr(record.model.fr)

    record.write(R.CTLR, ONES, V1P1)

    ctlr = ErrCtlr(record.read(R.CTLR))
    assert (fr.ED == 2, fr.UE >= 2, fr.DUI >= 2, fr.CI == 2) == (ctlr.ED, ctlr.UE, ctlr.DUI, ctlr.CI)
    assert (fr.UI == 3, fr.FI == 3, fr.UE == 3) == (ctlr.WUI, ctlr.WFI, ctlr.WUE)
    assert not ctlr & ErrCtlr.of(WDFI=1, DFI=1)


@pytest.mark.parametrize(("value", "bits"), [(0, []), (1, []), (2, ["UI"]), (3, ["UI", "WUI"])])
def test_a_feature_says_whether_reads_and_writes_are_controlled_apart(value, bits):
    record = ras_node_with(UI=value)

    record.write(R.CTLR, ONES, V1P1)

    ctlr = ErrCtlr(record.read(R.CTLR))
    assert [name for name in ("UI", "WUI") if ctlr.fields[name].mask & ctlr] == bits


def test_a_ras_node_that_is_always_on_records_without_its_control_bit():
    record = ErrorRecord(MODELS[RasNodeKind.PCIE], 0)

    record.write(R.CTLR, 0, V1P1)

    assert record.enabled()


@pytest.mark.parametrize("register", [R.FR, R.PFGF])
def test_feature_registers_ignore_writes(register):
    record = ras_node_with(CEC=2)
    before = record.read(register)

    record.write(register, ONES, V1P1)

    assert record.read(register) == before != ONES


@pytest.mark.parametrize(
    ("cec", "rp", "writable"),
    [
        (0, 0, 0),
        (2, 0, 0x0000_00FF_0000_0000),
        (4, 0, 0x0000_FFFF_0000_0000),
        (2, 1, 0x0000_FFFF_0000_0000),
        (4, 1, 0xFFFF_FFFF_0000_0000),
    ],
)
def test_the_counters_are_all_of_misc0_that_software_can_write(cec, rp, writable):
    record = ras_node_with(CEC=cec, RP=rp)

    record.write(R.MISC0, ONES, V1P1)

    assert record.read(R.MISC0) == writable


def test_addr_can_be_written_and_read_while_av_is_zero():
    record = ras_node_with()

    record.write(R.ADDR, ONES, V1P1)

    assert PFGF >> 11 & 1  # PFGF.AV is why
    assert record.read(R.ADDR) == 0xF8FF_FFFF_FFFF_FFFF


@both_formats
def test_an_error_recovery_reset_keeps_the_record_and_a_cold_reset_zeroes_it(rev):
    record = holding(ras_node_with(CEC=4), ErrorState.UER)
    record.record(error(ErrorState.CE), rev)
    kept = [record.read(register) for register in (R.STATUS, R.ADDR, R.MISC0)]

    record.reset(cold=False)
    after_recovery = [record.read(register) for register in (R.STATUS, R.ADDR, R.MISC0)]
    record.reset(cold=True)

    assert after_recovery == kept
    assert [record.read(register) for register in (R.STATUS, R.ADDR, R.MISC0)] == [0, 0, 0]


@pytest.mark.parametrize("cold", [False, True])
def test_either_reset_sets_control_up_again_and_stops_an_injection(cold):
    record = ras_node_with({"UE": 1}, UE=2)
    for register in (R.CTLR, R.PFGCDN, R.PFGCTL):
        record.write(register, 0x8000_0002, V1P1)

    record.reset(cold=cold)

    assert record.read(R.CTLR) == ErrCtlr.of(ED=1, UE=1)
    assert not record.counts_down(record.countdowns)
