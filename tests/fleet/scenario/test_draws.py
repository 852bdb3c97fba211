"""Draws: named, the same in every form, spread evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario.draws import (
    BELOW_MAX,
    SEED_MAX,
    Stream,
    all_below,
    below,
    draw,
    draws_of_host,
    draws_of_hosts,
    draws_of_keys,
    draws_of_numbers,
    high_words,
    keys_of_devices,
    keys_of_hosts,
    uniform_u64,
)

seeds = st.integers(0, SEED_MAX)
purposes = st.sampled_from(["fault.time", "fault.kind", "sample.block", ""])
places = st.integers(0, 1 << 40)


@given(seeds, purposes, places, places)
def test_many_hosts_draw_what_each_would_draw_alone(seed, purpose, first, k):
    many = draws_of_hosts(seed, purpose, first=first, count=20, k=k)

    assert many.dtype == np.uint64
    assert many.tolist() == [draw(seed, purpose, first + i, k) for i in range(20)]


@given(seeds, purposes, places, places)
def test_many_draws_of_a_host_are_what_it_would_draw_one_by_one(seed, purpose, host, first):
    many = draws_of_host(seed, purpose, host=host, first=first, count=20)

    assert many.tolist() == [draw(seed, purpose, host, first + i) for i in range(20)]


@given(seeds, purposes, st.lists(st.tuples(places, places), min_size=1, max_size=9))
def test_any_hosts_and_numbers_draw_what_they_would_draw_alone(seed, purpose, pairs):
    hosts, k = (np.asarray(column, dtype=np.uint64) for column in zip(*pairs, strict=True))

    assert draws_of_keys(keys_of_hosts(seed, purpose, hosts), k).tolist() == [
        draw(seed, purpose, *pair) for pair in pairs
    ]
    assert draws_of_numbers(seed, purpose, k).tolist() == [draw(seed, purpose, 0, pair[1]) for pair in pairs]


def test_devices_of_a_host_draw_neither_the_same_nor_what_the_host_draws():
    keys = keys_of_hosts(1, "x", np.arange(20, dtype=np.uint64))
    every = {draw(1, "x", host, k) for host in range(20) for k in range(20)}
    of_devices = [
        d for n in range(20) for d in draws_of_keys(keys_of_devices(keys, np.full(20, n, np.uint64)), n).tolist()
    ]

    assert len({*of_devices}) == 400
    assert not every & {*of_devices}


@given(st.integers(0, SEED_MAX), st.integers(0, SEED_MAX))
def test_the_upper_words_of_a_product_are_exact(one, other):
    product = high_words(np.asarray([one], dtype=np.uint64), np.asarray([other], dtype=np.uint64))

    assert product.tolist() == [one * other >> 64]


@given(seeds, purposes, places)
def test_a_stream_takes_the_draws_of_its_host_in_order(seed, purpose, host):
    stream = Stream(seed, purpose, host)

    assert [stream.draw() for _ in range(10)] == [draw(seed, purpose, host, k) for k in range(10)]


def test_draws_of_no_host_are_those_of_host_0():
    assert uniform_u64(3, "x", 5, 4).tolist() == [draw(3, "x", 0, k) for k in range(5, 9)]


@given(seeds, places, st.integers(1, (1 << 32) - 1) | st.integers(1, BELOW_MAX))
def test_many_are_scaled_as_one_is(seed, first, bound):
    many = draws_of_host(seed, "below", host=0, first=first, count=20)

    assert all_below(many, bound).tolist() == [below(one, bound) for one in many.tolist()]


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 1 << 70))
def test_a_scaled_draw_lies_below_its_bound(drawn, bound):
    assert 0 <= below(drawn, bound) < bound


@pytest.mark.parametrize("bound", [0, BELOW_MAX + 1])
def test_a_bound_that_does_not_fit_is_our_own_fault(bound):
    with pytest.raises(AssertionError):
        all_below(uniform_u64(0, "x", 0, 1), bound)


def test_the_draws_never_change():
    named = [draw(0, "", 0, 0), draw(1, "fault.time", 2, 3), draw(SEED_MAX, "sample.block", 199, 1 << 40)]

    assert named == [0xAE4481DEC2919B41, 0x2E346826C975AB85, 0x9BE157258411E306]


def test_each_of_the_four_names_matters():
    changed = {
        draw(*names) for names in [(1, "a", 2, 3), (2, "a", 2, 3), (1, "b", 2, 3), (1, "a", 3, 3), (1, "a", 2, 4)]
    }

    assert len(changed) == 5


def test_host_and_k_are_not_interchangeable():
    drawn = {draw(1, "a", host, k) for host in range(60) for k in range(60)}

    assert len(drawn) == 3600


@pytest.mark.parametrize("along", ["hosts", "k"])
def test_draws_are_spread_evenly_over_64_cells_of_any_byte(along):
    many = (
        draws_of_hosts(7, "spread", first=0, count=64_000, k=1)
        if along == "hosts"
        else draws_of_host(7, "spread", host=1, first=0, count=64_000)
    )

    for shift in (0, 17, 58):
        counts = np.bincount(((many >> np.uint64(shift)) & np.uint64(63)).astype(np.int64), minlength=64)
        chi_square = float((((counts - 1000) ** 2) / 1000).sum())
        assert 25 < chi_square < 120  # 63 degrees of freedom: 1 in 10,000 lies outside


def test_every_bit_changes_in_half_of_the_draws_that_follow():
    many = draws_of_hosts(7, "bits", first=0, count=20_000, k=0)
    flipped = many[1:] ^ many[:-1]

    shares = [float(((flipped >> np.uint64(bit)) & np.uint64(1)).mean()) for bit in range(64)]
    assert all(0.48 < share < 0.52 for share in shares)


@given(seeds, st.integers(0, 100))
def test_a_stream_gives_what_was_asked_for(seed, size):
    stream = Stream(seed, "asked", 0)

    assert len(stream.octets(size)) == size
    assert 3 <= stream.between(3, 5) <= 5
    assert stream.one_of("abc") in "abc"
    assert stream.chance(1, 1)
    assert not stream.chance(0, 1)


def test_a_seed_of_more_than_64_bits_is_our_own_fault():
    with pytest.raises(AssertionError, match="64 bits"):
        draw(SEED_MAX + 1, "x", 0, 0)
