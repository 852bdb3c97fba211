"""An event's position is read from its value, and every position is taken once."""

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.log.kafka.positions import Sieve, position_of
from fleet.log.protocol import CorruptLog, Entry
from nodes.events import SYNDROME

numbers = st.integers(0, 2**64 - 1) | st.integers(0, 300)


@given(numbers, numbers, st.lists(st.binary(max_size=3), max_size=70_000 // 1000))
def test_the_position_is_the_second_element(tag, n, rest):
    assert position_of(msgpack.packb([tag, n, *rest])) == n


@pytest.mark.parametrize("count", [2, 15, 16, 65_535, 65_536])
def test_an_array_may_be_of_any_size(count):
    assert position_of(msgpack.packb([7, 70_000, *[0] * (count - 2)])) == 70_000


@given(st.binary(max_size=20))
def test_any_bytes_have_a_position_or_none(value):
    with contextlib.suppress(ValueError):
        assert position_of(value) >= 0


def entry(n, offset=0):
    return Entry(SYNDROME, 0, offset, 0, b"", msgpack.packb([1, n]))


@given(st.integers(0, 20), st.lists(st.integers(0, 20), max_size=40))
def test_every_position_is_taken_once_in_order_up_to_the_first_that_is_missing(start, order):
    taken = []
    sieve = Sieve(start)
    try:
        taken.extend(found.offset for found in sieve.sift(map(entry, order)))
    except CorruptLog:
        assert any(n > sieve.next for n in order)
    assert taken == list(range(start, sieve.next))
