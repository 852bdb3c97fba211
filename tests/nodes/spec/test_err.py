"""ERR<n>STATUS: what a write does, by a model written from the rule's text; states and counters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.spec.err import (
    COUNTERS,
    MISC0_FORMATS,
    SERR_SAYS,
    ErrFr,
    ErrStatus,
    RecordFormat,
    Serr,
    counters_of,
    error_state,
    status_written,
)
from nodes.spec.severity import UET_OF, ErrorState

FIELDS = {  # name: highest bit, lowest bit
    "AV": (31, 31),
    "V": (30, 30),
    "UE": (29, 29),
    "ER": (28, 28),
    "OF": (27, 27),
    "MV": (26, 26),
    "CE": (25, 24),
    "DE": (23, 23),
    "PN": (22, 22),
    "UET": (21, 20),
    "CI": (19, 19),
    "RV": (18, 18),
    "RV2": (17, 17),
    "IERR": (15, 8),
    "SERR": (7, 0),
}
CODES = {"IERR", "SERR"}
SINCE_V1P1 = {"CI", "RV", "RV2"}
IGNORED_WHILE_INVALID = {"UE", "OF", "CE", "DE", "UET", "CI"}


def taken_apart(word):
    return {name: word >> low & (1 << high - low + 1) - 1 for name, (high, low) in FIELDS.items()}


def put_together(fields):
    return sum(value << FIELDS[name][1] for name, value in fields.items())


def cleared(old, written, name):
    """Whether the write leaves nothing of a field."""
    return not old[name] & ~written[name]


def ignored_in_v1(old, written, name):
    """The rule of FEAT_RASSAv1 for one field, as the document words it."""
    overflow_stays = old["OF"] and not cleared(old, written, "OF")
    if name in {"UE", "DE", "CE"}:
        return overflow_stays
    standing = {n for n in ("UE", "DE", "CE") if old[n] and (overflow_stays or not cleared(old, written, n))}
    if name == "V":
        return bool(standing)
    if name == "OF":
        return False
    worst = next((n for n in ("UE", "DE", "CE") if old[n]), None)
    return worst in standing


def ignored(old, written, name, record_format):
    if record_format is RecordFormat.V1P1:
        return any(old[n] and not cleared(old, written, n) for n in ("V", "UE", "OF", "CE", "DE"))
    return name in SINCE_V1P1 or ignored_in_v1(old, written, name)


def model(status, value, record_format, codes_writable):
    """ERR<n>STATUS after a write, field by field."""
    old, written = taken_apart(status), taken_apart(value)
    after = {}
    for name in FIELDS:
        invalid = not old["V"] and (name in IGNORED_WHILE_INVALID or (name in CODES and not codes_writable))
        if invalid or ignored(old, written, name, record_format):
            after[name] = old[name]
        else:
            after[name] = written[name] if name in CODES else old[name] & ~written[name]
    return put_together(after)


states = st.integers(0, (1 << 32) - 1).map(lambda word: put_together(taken_apart(word)))
formats = st.sampled_from(RecordFormat)


@settings(max_examples=1500)
@given(states, states | st.just(0xFFFF_FFFF), formats, st.booleans())
def test_a_write_does_what_the_rule_says(status, value, record_format, codes_writable):
    after = status_written(status, value, record_format, codes_writable=codes_writable)

    assert taken_apart(after) == taken_apart(model(status, value, record_format, codes_writable))


@settings(max_examples=1000)
@given(states, st.sets(st.sampled_from(sorted(FIELDS))), formats)
def test_a_write_of_some_fields_just_read_does_what_the_rule_says(status, names, record_format):
    old = taken_apart(status)
    value = put_together({name: old[name] for name in names})

    after = status_written(status, value, record_format)

    assert taken_apart(after) == taken_apart(model(status, value, record_format, False))


@given(states, formats)
def test_writing_the_value_just_read_frees_the_record(status, record_format):
    after = status_written(status | ErrStatus.V.mask, status | ErrStatus.V.mask, record_format)

    assert error_state(after) is ErrorState.NONE
    assert not after & ErrStatus.V.mask


@given(states, st.sampled_from(["UE", "OF", "CE", "DE"]))
def test_in_v1p1_a_flag_that_appeared_in_between_makes_the_write_do_nothing(status, appeared):
    status |= ErrStatus.V.mask
    read = status & ~ErrStatus.fields[appeared].mask

    assert status_written(status | ErrStatus.fields[appeared].mask, read, RecordFormat.V1P1) == (
        status | ErrStatus.fields[appeared].mask
    )


@pytest.mark.parametrize("state", [s for s in ErrorState if s in UET_OF])
def test_the_state_follows_uet_when_an_uncorrected_error_is_recorded(state):
    status = ErrStatus.of(V=1, UE=1, UET=UET_OF[state], DE=1, CE=2)

    assert error_state(status) is state


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"V": 1, "DE": 1, "CE": 1}, ErrorState.DE),
        ({"V": 1, "CE": 3}, ErrorState.CE),
        ({"V": 1}, ErrorState.NONE),
        ({"UE": 1, "DE": 1, "CE": 1}, ErrorState.NONE),
    ],
)
def test_without_an_uncorrected_error_the_worst_flag_decides_and_nothing_without_v(fields, state):
    assert error_state(ErrStatus.of(**fields)) is state


@pytest.mark.parametrize("key", sorted(COUNTERS))
def test_a_counter_lies_where_its_format_declares_it(key):
    declared = MISC0_FORMATS[key].declared

    for counter in COUNTERS[key]:
        assert counter.overflow == (counter.mask << 1 & ~counter.mask)
        assert (counter.mask | counter.overflow) & ~declared == 0
        assert (counter.all_ones + 1) * counter.one == counter.overflow


@pytest.mark.parametrize(
    ("cec", "repeat", "count"), [(0, 0, 0), (2, 0, 1), (4, 0, 1), (2, 1, 2), (4, 1, 2), (1, 0, 0)]
)
def test_the_feature_register_says_how_many_counters_there_are(cec, repeat, count):
    assert len(counters_of(ErrFr.of(CEC=cec, RP=repeat))) == count


def test_every_error_code_has_its_words():
    assert set(SERR_SAYS) == set(Serr)
