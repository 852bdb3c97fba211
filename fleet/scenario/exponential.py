"""Times between arrivals at a constant rate: exponential, in integers alone.

``E(d) = -ln(1 - d / 2^64)`` for a draw d of 64 bits. Write 2^64 - d as m / 2^z with m in [1/2, 1): then
E = z ln 2 - ln m, and -ln m comes from a table of 4,096 steps over [1/2, 1), straight between them. The table is
computed when it is first needed, in decimals of 24 digits that are the same everywhere (PEP 327, General Decimal
Arithmetic: ln is correctly rounded), and rounded to 2^-58.

Error: E is exact at the steps up to 2^-58 and too large between them, by at most 2^-27 and by at most 6.2e-5 of E
itself; E never falls as d grows. So a share of times below any bound is off by less than 1e-8.

Source: the design's section 3, "Chance" (no ``log`` of a library decides a time).
"""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from fleet.scenario.draws import Draws, high_words
from fleet.scenario.spans import Column

NS_PER_H: Final = 3600 * 10**9
HOURS_OF_FIT: Final = 10**9  # 1 FIT is one failure in so many device-hours
ONE: Final = 1 << 58  # the mean, in units of E; E is at most 64 ln 2 = 44.4
NEVER_NS: Final = 1 << 62  # 146 years: a time that is not below this is not told apart from it
MEAN_NS_MAX: Final = 1 << 120  # a rarer fault never happens within a run, and is refused
_BITS: Final = 12
_STEPS: Final = 1 << _BITS


class _Logarithms(NamedTuple):
    """-ln m at each step from 1/2 to 1, and what is lost over each, in units of E."""

    steps: list[int]
    ln_2: int
    all_steps: Draws
    all_drops: Draws


@cache
def _logarithms() -> _Logarithms:
    """Computed once, in some 70 ms, when a rate first needs them."""
    with localcontext() as context:
        context.prec, context.rounding = 24, ROUND_HALF_EVEN
        logarithms = [-(Decimal(_STEPS + step) / (2 * _STEPS)).ln() * ONE for step in range(_STEPS + 1)]
        steps = [int(logarithm.to_integral_value()) for logarithm in logarithms]
    every = np.asarray(steps, dtype=np.uint64)
    return _Logarithms(steps, steps[0], every, every[:-1] - every[1:])


def exponential(drawn: int) -> int:
    """E of a draw, in units of 2^-58."""
    rest = (1 << 64) - drawn
    if rest >> 64:
        return 0
    zeros = 64 - rest.bit_length()
    mantissa = rest << zeros
    step = mantissa >> 63 - _BITS & _STEPS - 1
    part = mantissa << 1 + _BITS & (1 << 64) - 1
    steps, ln_2, _, _ = _logarithms()
    return zeros * ln_2 + steps[step] - (part * (steps[step] - steps[step + 1]) >> 64)


def all_exponential(drawn: Draws) -> Draws:
    """``exponential`` of many draws."""
    mantissa = np.uint64(0) - drawn
    zeros = np.zeros_like(drawn)
    for shift in (32, 16, 8, 4, 2, 1):  # the leading zeros, by halves
        moved = np.where(mantissa >> np.uint64(64 - shift) == 0, np.uint64(shift), np.uint64(0))
        mantissa = mantissa << moved
        zeros += moved
    step = (mantissa >> np.uint64(63 - _BITS) & np.uint64(_STEPS - 1)).astype(np.intp)
    part = mantissa << np.uint64(1 + _BITS)
    _, ln_2, steps, drops = _logarithms()
    found = zeros * np.uint64(ln_2) + steps[step] - high_words(part, drops[step])
    return np.where(drawn == 0, np.uint64(0), found)


class Rate(NamedTuple):
    """Arrivals at a constant rate: what turns E into ns."""

    mean_ns: int
    scale: int  # of 63 bits at most: E * scale >> 64 is a time, once E is shifted
    shift: int

    def gaps(self, drawn: Draws) -> Column:
        """Times between arrivals in ns; NEVER_NS stands for all that are not below it."""
        units = all_exponential(drawn)
        there = units >> np.uint64(64 - self.shift) == 0 if self.shift else np.ones(units.shape, dtype=bool)
        found = high_words(units << np.uint64(self.shift), np.uint64(self.scale))
        return np.where(there, np.minimum(found, np.uint64(NEVER_NS)), np.uint64(NEVER_NS)).astype(np.int64)

    def gap(self, drawn: int) -> int:
        """The time of one draw."""
        units = exponential(drawn) << self.shift
        return NEVER_NS if units >> 64 else min(NEVER_NS, units * self.scale >> 64)

    def first_not_below(self, time_ns: int) -> int:
        """The smallest draw whose time is not below this one: all below it are earlier. At most 2^64."""
        low, high = 0, 1 << 64
        while low < high:
            middle = low + high >> 1
            if self.gap(middle) < time_ns:
                low = middle + 1
            else:
                high = middle
        return low


def rate_of(per_h: Fraction) -> Rate:
    """The rate of so many arrivals an hour."""
    assert per_h > 0, "nothing arrives"
    mean_ns = max(1, NS_PER_H * per_h.denominator // per_h.numerator)
    assert mean_ns <= MEAN_NS_MAX, "too rare"
    whole = mean_ns << 6  # E counts 2^58, the product drops 2^64
    shift = max(0, whole.bit_length() - 63)
    return Rate(mean_ns, whole >> shift, shift)


def per_h_of_fit(fit: float, devices: int = 1) -> Fraction:
    """The rate of so many FIT for each of so many devices."""
    return Fraction(fit) * devices / HOURS_OF_FIT
