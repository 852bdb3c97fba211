"""Which partition a host belongs to: Java's murmur2 of the key, as Kafka's default partitioner does it.

Source: Apache Kafka clients, org.apache.kafka.common.utils.Utils.murmur2() and toPositive().
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SEED: Final = 0x9747_B28C
_MULTIPLY: Final = 0x5BD1_E995
_SHIFT: Final = 24
_MASK: Final = 0xFFFF_FFFF
PARTITIONS_MAX: Final = 256  # of a scenario; each keeps two files open, of the 1,024 that a process may have


def murmur2(key: bytes) -> int:
    """The 32-bit hash of a key, unsigned."""
    length = len(key)
    word = (_SEED ^ length) & _MASK
    whole = length & ~3
    for at in range(0, whole, 4):
        part = int.from_bytes(key[at : at + 4], "little") * _MULTIPLY & _MASK
        part = (part ^ part >> _SHIFT) * _MULTIPLY & _MASK
        word = word * _MULTIPLY & _MASK ^ part
    if length > whole:
        word = (word ^ int.from_bytes(key[whole:], "little")) * _MULTIPLY & _MASK
    word = (word ^ word >> 13) * _MULTIPLY & _MASK
    return word ^ word >> 15


def partition_of(host: str, partitions: int) -> int:
    """The partition of a host's name."""
    return (murmur2(host.encode()) & 0x7FFF_FFFF) % partitions


def partitions_of(hosts: Sequence[str], partitions: int) -> list[int]:
    """``partition_of`` for many names at once."""
    if not hosts:
        return []
    keys = [host.encode() for host in hosts]
    sizes = np.asarray([len(key) for key in keys], dtype=np.int64)
    found = np.empty(len(keys), dtype=np.int64)
    for size in np.unique(sizes).tolist():
        alike = np.flatnonzero(sizes == size)
        padded = b"".join([keys[index].ljust(-(-size // 4) * 4, b"\0") for index in alike.tolist()])
        words = np.frombuffer(padded, dtype="<u4").reshape(alike.size, -1)
        found[alike] = (_all_murmur2(words, size) & np.uint32(0x7FFF_FFFF)) % np.uint32(partitions)
    return found.tolist()


def _all_murmur2(words: NDArray[np.uint32], size: int) -> NDArray[np.uint32]:
    """``murmur2`` of keys of one size, a row of words each, the last one padded with zeros."""
    multiply = np.uint32(_MULTIPLY)
    hashed = np.full(words.shape[0], (_SEED ^ size) & _MASK, dtype=np.uint32)
    for column in range(size // 4):
        part = words[:, column] * multiply
        hashed = hashed * multiply ^ (part ^ part >> np.uint32(_SHIFT)) * multiply
    if size % 4:
        hashed = (hashed ^ words[:, -1]) * multiply
    hashed = (hashed ^ hashed >> np.uint32(13)) * multiply
    return hashed ^ hashed >> np.uint32(15)
