"""Times between arrivals: exponential, the same in both forms, and as exact as the module says."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario.draws import draws_of_hosts
from fleet.scenario.exponential import NEVER_NS, NS_PER_H, ONE, all_exponential, exponential, per_h_of_fit, rate_of

WORD = 1 << 64
draws = st.integers(0, WORD - 1) | st.integers(0, 63).map(lambda bit: 1 << bit) | st.integers(WORD - 999, WORD - 1)
rates = st.fractions(Fraction(1, 10**12), 10**6)
MANY = draws_of_hosts(5, "exponential", first=0, count=200_000, k=0)


def true(drawn):
    """The quantile, in means."""
    return -math.log1p(-drawn / WORD) if drawn < WORD // 2 else -math.log((WORD - drawn) / WORD)


@given(st.lists(draws, min_size=1, max_size=50))
def test_many_are_what_each_is_alone(several):
    assert all_exponential(np.asarray(several, dtype=np.uint64)).tolist() == [exponential(d) for d in several]


@given(draws)
def test_a_time_is_off_by_no_more_than_is_said(drawn):
    off = exponential(drawn) / ONE - true(drawn)

    assert (
        -(2**-57) - 1e-15 * true(drawn) <= off <= min(2**-27, 6.2e-5 * true(drawn) + 2**-57) + 1e-15 * true(drawn)
    )


@given(st.lists(draws, min_size=2, max_size=50))
def test_a_larger_draw_is_never_an_earlier_time(several):
    assert all(exponential(one) <= exponential(other) for one, other in pairwise(sorted(several)))


@given(rates, st.lists(draws, min_size=1, max_size=20))
def test_gaps_of_any_rate_are_the_same_for_one_and_for_many(per_h, several):
    rate = rate_of(per_h)

    assert rate.gaps(np.asarray(several, dtype=np.uint64)).tolist() == [rate.gap(d) for d in several]


@given(rates, draws)
def test_a_gap_is_the_mean_times_the_quantile(per_h, drawn):
    mean_ns = float(NS_PER_H / per_h)
    expected = min(NEVER_NS, true(drawn) * mean_ns)

    assert abs(rate_of(per_h).gap(drawn) - expected) <= 1 + 6.2e-5 * expected + 2**-57 * mean_ns


@given(rates, st.integers(1, 10 * 366 * 86400 * 10**9))
def test_the_first_draw_that_is_too_late_divides_all_draws(per_h, time_ns):
    rate = rate_of(per_h)
    limit = rate.first_not_below(time_ns)

    assert limit == 0 or rate.gap(limit - 1) < time_ns
    assert limit == WORD or rate.gap(limit) >= time_ns


def test_times_are_distributed_exponentially():
    times = np.sort(all_exponential(MANY).astype(np.float64) / ONE)
    expected = 1 - np.exp(-times)
    steps = np.arange(MANY.size + 1) / MANY.size
    distance = max(np.abs(expected - steps[:-1]).max(), np.abs(expected - steps[1:]).max())

    assert distance < 1.95 / math.sqrt(MANY.size)  # Kolmogorov and Smirnov: 1 in 1,000 lies beyond


def test_rare_arrivals_come_as_often_as_their_rate_says():
    rate = rate_of(per_h_of_fit(1000.0, 18))
    day_ns = 24 * NS_PER_H

    assert rate.first_not_below(day_ns) / WORD == pytest.approx(-math.expm1(-day_ns / rate.mean_ns), rel=7e-5)


def test_the_times_never_change():
    assert [exponential(d) for d in (0, 1, WORD // 2, WORD - 1, 12345678901234567890)] == [
        0, 1, 199786072581291495, 12786308645202655680, 318905152678488802,
    ]  # fmt: skip
