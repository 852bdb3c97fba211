"""Sets of places: what Python's sets say, in a few numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario.spans import NOBODY, Spans, joined

numbers = st.sets(st.integers(0, 60)).map(sorted)


def spans(members):
    return Spans.of_numbers(members)


@given(numbers)
def test_members_are_counted_ordered_and_found(members):
    held = spans(members)

    assert list(held) == members
    assert len(held) == len(members)
    assert held.at(np.arange(len(members))).tolist() == members
    assert [number for number in range(62) if number in held] == members


@given(numbers, numbers)
def test_sets_are_intersected_and_subtracted(one, other):
    assert list(spans(one) & spans(other)) == sorted(set(one) & set(other))
    assert list(spans(one).without(spans(other))) == sorted(set(one) - set(other))


@given(numbers, numbers)
def test_sets_that_share_nothing_are_united(one, other):
    rest = sorted(set(other) - set(one))

    assert list(spans(one) | spans(rest)) == sorted({*one, *other})


@given(numbers, st.integers(1, 5), st.integers(0, 9))
def test_every_member_becomes_several_or_moves(members, each, by):
    assert list(spans(members).scaled(each)) == [m * each + k for m in members for k in range(each)]
    assert list(spans(members).moved(by)) == [m + by for m in members]


@given(numbers, st.integers(1, 9))
def test_chunks_are_all_members_in_order(members, size):
    chunks = [chunk.tolist() for chunk in spans(members).chunks(size)]

    assert [number for chunk in chunks for number in chunk] == members
    assert all(len(chunk) == size for chunk in chunks[:-1])


def test_what_touches_is_one_span():
    held = joined([Spans.of_range(0, 5), NOBODY, Spans.of_range(5, 9), Spans.of_range(10, 11)])

    assert (held.starts.tolist(), held.ends.tolist()) == ([0, 10], [9, 11])


def test_a_million_places_are_two_numbers():
    held = Spans.of_range(0, 1_000_000) & Spans.of_range(1, 1_000_000)

    assert (held.starts.size, held.size) == (1, 999_999)


def test_spans_out_of_order_are_our_own_fault():
    with pytest.raises(AssertionError):
        Spans(np.asarray([5, 1]), np.asarray([6, 2]))
