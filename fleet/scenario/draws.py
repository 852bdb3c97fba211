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
_DEVICES: Final = (
    0xD1B5_4A32_D192_ED03  # sets the keys of devices apart from draws of hosts; any odd number would do
)
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


def keys_of_hosts(seed: int, purpose: str, hosts: Draws) -> Draws:
    """What ``draws_of_keys`` takes for the draws of these hosts, in any order."""
    return _all_mixed((hosts + np.uint64(1)) * np.uint64(_STEP) + np.uint64(key_of(seed, purpose)))


def keys_of_devices(keys: Draws, devices: Draws) -> Draws:
    """The keys of one device of each host: its draws are others than the host's own."""
    return _all_mixed(keys ^ (np.uint64(_DEVICES) + (devices + np.uint64(1)) * np.uint64(_STEP)))


def draws_of_keys(keys: Draws, k: "Draws | int") -> Draws:
    """Draw ``k`` of each key, equal to ``draw`` for hosts."""
    if isinstance(k, int):
        return _all_mixed(keys + np.uint64((k + 1) * _STEP & _MASK))
    return _all_mixed(keys + (k + np.uint64(1)) * np.uint64(_STEP))


def draws_of_numbers(seed: int, purpose: str, numbers: Draws) -> Draws:
    """Draws of a purpose that belongs to no host, in any order; ``uniform_u64`` has them in theirs."""
    return _all_mixed((numbers + np.uint64(1)) * np.uint64(_STEP) + np.uint64(_host_key(seed, purpose, 0)))


def below(drawn: int, bound: int) -> int:
    """A draw scaled to 0..``bound`` - 1."""
    assert bound > 0, "nothing lies below 0"
    return drawn * bound >> 64


def all_below(drawn: Draws, bound: int) -> Draws:
    """``below`` of many draws."""
    assert 0 < bound <= BELOW_MAX, f"{bound} lies outside 1..2^63"
    return high_words(drawn, np.uint64(bound))


def high_words(one: Draws, other: "Draws | np.uint64") -> Draws:
    """The upper 64 bits of each product, in halves of 32 bits; none of them overflows."""
    half, lower = np.uint64(32), np.uint64(0xFFFF_FFFF)
    high, low = one >> half, one & lower
    other_high, other_low = other >> half, other & lower
    middle = high * other_low + (low * other_low >> half)
    crossed = low * other_high + (middle & lower)
    product: Draws = high * other_high + (middle >> half) + (crossed >> half)
    return product


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
