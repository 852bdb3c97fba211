"""Chance by name: a draw is a pure function of (seed, purpose, host, k).

There is no generator whose state somebody advances: whoever knows the four names knows the draw, in any order,
in any process, for one host or for a million at once. All arithmetic is on integers of 64 bits, so the scalar
and the vectorised forms agree bit for bit on every machine.

The purpose and the seed make a key (BLAKE2b); host and k are counted into it by the additive step and the
finaliser of SplitMix64, once for the host and once for k.

Sources: Steele, Lea, Flood, Fast splittable pseudorandom number generators, OOPSLA 2014 (SplitMix64); RFC 7693
(BLAKE2); Lemire, Fast random integer generation in an interval, 2019 (multiply-shift; its bias, at most n / 2^64
a value, is left in).
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Draws = NDArray[np.uint64]
T = TypeVar("T")

SEED_MAX: Final = (1 << 64) - 1  # a larger seed is refused
BELOW_MAX: Final = 1 << 63  # the vectorised below() takes no larger bound, so that a result fits int64
_KEYS_MAX: Final = 4096  # keys that are kept; another one is computed again
_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E37_79B9_7F4A_7C15  # 2^64 divided by the golden ratio
_MULTIPLY_1: Final = 0xBF58_476D_1CE4_E5B9
_MULTIPLY_2: Final = 0x94D0_49BB_1331_11EB


@lru_cache(_KEYS_MAX)
def key_of(seed: int, purpose: str) -> int:
    """The 64-bit key of one stream."""
    assert 0 <= seed <= SEED_MAX, f"seed {seed} has more than 64 bits"
    digest = blake2b(purpose.encode(), digest_size=8, key=seed.to_bytes(8, "little"), person=b"rasfleet.draws.1")
    return int.from_bytes(digest.digest(), "little")


def _mixed(word: int) -> int:
    word = (word ^ word >> 30) * _MULTIPLY_1 & _MASK
    word = (word ^ word >> 27) * _MULTIPLY_2 & _MASK
    return word ^ word >> 31


def _all_mixed(words: Draws) -> Draws:
    words = (words ^ words >> np.uint64(30)) * np.uint64(_MULTIPLY_1)
    words = (words ^ words >> np.uint64(27)) * np.uint64(_MULTIPLY_2)
    return words ^ words >> np.uint64(31)


def _host_key(seed: int, purpose: str, host: int) -> int:
    return _mixed(key_of(seed, purpose) + (host + 1) * _STEP & _MASK)


def draw(seed: int, purpose: str, host: int, k: int) -> int:
    """Draw ``k`` of one host for one purpose: 64 uniform bits."""
    return _mixed(_host_key(seed, purpose, host) + (k + 1) * _STEP & _MASK)


def _counted(first: int, count: int) -> Draws:
    return np.arange(first + 1, first + 1 + count, dtype=np.uint64) * np.uint64(_STEP)


def draws_of_hosts(seed: int, purpose: str, *, first: int, count: int, k: int) -> Draws:
    """Draw ``k`` of hosts ``first`` to ``first + count - 1``, equal to ``draw`` for each."""
    keys = _all_mixed(_counted(first, count) + np.uint64(key_of(seed, purpose)))
    return _all_mixed(keys + np.uint64((k + 1) * _STEP & _MASK))


def draws_of_host(seed: int, purpose: str, *, host: int, first: int, count: int) -> Draws:
    """Draws ``first`` to ``first + count - 1`` of one host, equal to ``draw`` for each."""
    return _all_mixed(_counted(first, count) + np.uint64(_host_key(seed, purpose, host)))


def uniform_u64(seed: int, purpose: str, first: int, count: int) -> Draws:
    """Draws of a purpose that belongs to no host: those of host 0."""
    return draws_of_host(seed, purpose, host=0, first=first, count=count)


def below(drawn: int, bound: int) -> int:
    """A draw scaled to 0..``bound`` - 1."""
    assert bound > 0, "nothing lies below 0"
    return drawn * bound >> 64


def all_below(drawn: Draws, bound: int) -> Draws:
    """``below`` of many draws."""
    assert 0 < bound <= BELOW_MAX, f"{bound} lies outside 1..2^63"
    half, lower = np.uint64(32), np.uint64(0xFFFF_FFFF)
    high, low = drawn >> half, drawn & lower
    bound_high, bound_low = np.uint64(bound >> 32), np.uint64(bound & 0xFFFF_FFFF)
    middle = high * bound_low + (low * bound_low >> half)  # the 128-bit product in halves; none of them overflows
    other = low * bound_high + (middle & lower)
    scaled: Draws = high * bound_high + (middle >> half) + (other >> half)
    return scaled


class Stream:
    """The draws of one host for one purpose, taken in order."""

    __slots__ = ("_host_key", "k")

    def __init__(self, seed: int, purpose: str, host: int) -> None:
        self._host_key = _host_key(seed, purpose, host)
        self.k = 0  # the next draw

    def draw(self) -> int:
        """The next 64 bits."""
        self.k += 1
        return _mixed(self._host_key + self.k * _STEP & _MASK)

    def below(self, bound: int) -> int:
        """0..``bound`` - 1."""
        return below(self.draw(), bound)

    def between(self, first: int, last: int) -> int:
        """``first``..``last``, both included."""
        return first + self.below(last - first + 1)

    def chance(self, numerator: int, denominator: int) -> bool:
        """True in ``numerator`` of ``denominator`` cases."""
        return self.below(denominator) < numerator

    def one_of(self, choices: Sequence[T]) -> T:
        """One of several values."""
        return choices[self.below(len(choices))]

    def octets(self, size: int) -> bytes:
        """``size`` random bytes."""
        words = (self.draw().to_bytes(8, "little") for _ in range(-(-size // 8)))
        return b"".join(words)[:size]
