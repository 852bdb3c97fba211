"""Which partition a host belongs to: Java's murmur2 of the key, as Kafka's default partitioner does it.

Source: Apache Kafka clients, org.apache.kafka.common.utils.Utils.murmur2() and toPositive().
"""

from typing import Final

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
