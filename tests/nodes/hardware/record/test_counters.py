"""Corrected error counters: where they lie, how they wrap, which one counts, and what a threshold preload does."""

import pytest

from nodes.hardware.ras_nodes import Lines
from nodes.spec.severity import ErrorState
from tests.nodes.hardware.records import (
    NEW_ADDRESS,
    OLD_ADDRESS,
    V1,
    V1P1,
    board_with,
    error,
    holding,
    ras_node_with,
    status,
)

CE, DE, UER = ErrorState.CE, ErrorState.DE, ErrorState.UER
FORMATS = {  # FR.CEC, FR.RP: bits of (count, overflow) for each counter, as the document's table has them
    (2, 0): [(range(32, 39), 39)],
    (4, 0): [(range(32, 47), 47)],
    (2, 1): [(range(32, 39), 39), (range(40, 47), 47)],
    (4, 1): [(range(32, 47), 47), (range(48, 63), 63)],
}
every_format = pytest.mark.parametrize(("cec", "rp"), FORMATS)


def counter_bits(cec, rp, which):
    count, overflow = FORMATS[cec, rp][which]
    return sum(1 << bit for bit in count), 1 << overflow


def elsewhere(cec, rp):
    """A record whose next error at another place belongs to the last counter."""
    return holding(ras_node_with(CEC=cec, RP=rp), CE)


@every_format
def test_the_first_error_counts_in_the_first_counter(cec, rp):
    record = ras_node_with(CEC=cec, RP=rp)

    record.record(error(CE), V1P1)

    assert record.misc0 == 1 << 32


@every_format
def test_an_error_elsewhere_counts_in_the_other_counter_where_there_is_one(cec, rp):
    record = elsewhere(cec, rp)

    record.record(error(CE, address=NEW_ADDRESS), V1P1)

    assert record.misc0 == 1 << FORMATS[cec, rp][-1][0][0]


@every_format
def test_an_error_at_the_same_place_counts_in_the_repeat_counter(cec, rp):
    record = elsewhere(cec, rp)

    record.record(error(CE, address=OLD_ADDRESS), V1P1)

    assert record.misc0 == 1 << 32


@every_format
@pytest.mark.parametrize("which", [0, -1])
def test_a_counter_of_all_ones_wraps_to_zero_and_sets_its_overflow(cec, rp, which):
    record = elsewhere(cec, rp)
    count, overflow = counter_bits(cec, rp, which)
    record.misc0 = count

    record.record(error(CE, address=NEW_ADDRESS if which else OLD_ADDRESS), V1P1)

    assert record.misc0 == overflow
    assert status(record).OF == 1


@every_format
def test_the_overflow_is_sticky_while_the_counter_goes_on(cec, rp):
    record = ras_node_with(CEC=cec, RP=rp)
    record.misc0 = counter_bits(cec, rp, 0)[0]

    for _ in range(3):
        record.record(error(CE), V1P1)

    assert record.misc0 == counter_bits(cec, rp, 0)[1] | 2 << 32


def test_a_second_wrap_while_the_overflow_stands_is_no_second_event():
    record = ras_node_with({"CFI": 1, "FI": 1}, CEC=2, FI=2, CFI=2)
    record.misc0 = (1 << 39) | 0x7F << 32
    before = record.lines() if record.status else 0

    record.record(error(CE), V1P1)
    once = record.lines()
    record.misc0 = (1 << 39) | 0x7F << 32
    record.record(error(CE), V1P1)

    assert (before, once, record.lines()) == (0, Lines.FHI, Lines.FHI)


@pytest.mark.parametrize("threshold", [2, 3, 10, 128])
def test_a_preloaded_counter_raises_its_event_at_the_threshold_and_not_before(threshold):
    board, _ = board_with(ce_threshold=threshold)
    record = board.record_of(0x100)

    events = []
    for _ in range(threshold):
        record.record(error(CE), V1P1)
        events.append(record.corrected_event(record.status))

    assert events == [False] * (threshold - 1) + [True]


def test_a_threshold_beyond_the_counter_is_its_whole_length():
    board, _ = board_with(ce_threshold=1000)

    assert board.record_of(0x100).misc0 == 0  # 7 bits: the 128th error wraps
    assert board.record_of(0x000).misc0 == (0x8000 - 1000) << 32


@pytest.mark.parametrize(("ced", "event"), [(0, False), (1, True)])
def test_with_ced_each_corrected_error_is_an_event(ced, event):
    record = ras_node_with({"CED": ced}, CEC=4, CED=1)

    record.record(error(CE), V1P1)

    assert record.corrected_event(record.status) is event


@pytest.mark.parametrize(("dfi", "rev", "count"), [(0, V1P1, 0), (2, V1P1, 1), (3, V1P1, 1), (2, V1, 0)])
def test_deferred_errors_are_counted_where_they_have_their_own_control(dfi, rev, count):
    record = ras_node_with(CEC=4, DFI=dfi)

    record.record(error(DE), rev)

    assert record.misc0 == count << 32


def test_a_deferred_error_that_wraps_the_counter_is_a_corrected_error_event():
    record = ras_node_with({"CFI": 1}, 0x7FFF << 32, CEC=4, FI=2, CFI=2, DFI=2)

    record.record(error(DE), V1P1)

    assert status(record).OF == 1
    assert record.lines() == Lines.FHI


def test_uncorrected_errors_are_not_counted():
    record = ras_node_with(CEC=4)

    record.record(error(UER), V1P1)

    assert record.misc0 == 0


@pytest.mark.parametrize(("cec", "state", "mv"), [(4, CE, 1), (4, UER, 0), (0, CE, 0)])
def test_mv_is_set_when_the_ras_node_writes_misc(cec, state, mv):
    record = ras_node_with(CEC=cec)

    record.record(error(state), V1P1)

    assert mv == status(record).MV
