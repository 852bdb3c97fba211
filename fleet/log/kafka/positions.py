"""The position ``n`` of an event in its partition, as its value says: the second element of a MessagePack array.

It decides what a record is, not its offset: a producer that tried again, or one that others took for dead, may
have written an event more than once. A reader takes every position once, in order, with one number of state.

Sources: the design's section 4, "Event"; MessagePack specification.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fleet.log.protocol import Contradiction, CorruptLog, Entry, Record

_ARRAY_HEAD: Final = {0xDC: 3, 0xDD: 5} | dict.fromkeys(range(0x90, 0xA0), 1)  # first octet -> octets of the head
_UINT: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}  # first octet -> octets behind it
AHEAD_MAX: Final = 65_536  # events of somebody else that are kept until ours come
_FIX_MAX: Final = 0x7F  # an octet up to this is the number itself


def position_of(value: bytes) -> int:
    """The second element. Raises ValueError."""
    try:
        at = _ARRAY_HEAD[value[0]]
        octet = value[at]
        at += 1 if octet <= _FIX_MAX else 1 + _UINT[octet]
        octet = value[at]
        if octet <= _FIX_MAX:
            return octet
        size = _UINT[octet]
        digits = value[at + 1 : at + 1 + size]
    except (KeyError, IndexError):
        raise ValueError("no array with a position") from None
    if len(digits) != size:
        raise ValueError("a position that is cut off")
    return int.from_bytes(digits, "big")


def by_position(entry: Entry, record: Record) -> bool:
    """Whether what stands there is at the record's position. Raises Contradiction when it is another one."""
    if _position(entry) != position_of(record[2]):
        return False
    if entry[3:] != record:
        raise Contradiction(
            f"{entry.topic}, partition {entry.partition}, position {position_of(record[2])}: somebody else wrote "
            "another event there; the log is written by two programs that differ"
        )
    return True


class Sieve:
    """Lets every position through once, from ``next`` on. An entry's offset becomes its position."""

    def __init__(self, position: int) -> None:
        self.next = position

    def sift(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Those that were not there yet. Raises CorruptLog where one is missing."""
        for entry in entries:
            n = _position(entry)
            if n == self.next:
                self.next = n + 1
                yield entry._replace(offset=n)
            elif n > self.next:
                raise CorruptLog(
                    f"{entry.topic}, partition {entry.partition}",
                    entry.offset,
                    f"position {self.next} is missing, {n} stands there",
                    unit="offset",
                )


class Strangers:
    """What somebody else wrote between the records of a partition: the very same, now or later.

    One who was taken for dead may be ahead of us; what it wrote is held against what comes, up to a bound.
    """

    def __init__(self) -> None:
        self._ahead: dict[int, Entry] = {}  # by position

    def saw(self, entries: Iterable[Entry], records: Sequence[Record]) -> None:
        """What stands between records that were just written. Raises Contradiction, CorruptLog."""
        first = position_of(records[0][2])
        for entry in entries:
            n = _position(entry)
            if first <= n < first + len(records):
                by_position(entry, records[n - first])
            elif n > first and len(self._ahead) < AHEAD_MAX:
                self._ahead.setdefault(n, entry)

    def check(self, records: Sequence[Record]) -> None:
        """Records that were just written, against what was seen before. Raises Contradiction."""
        if self._ahead:
            first = position_of(records[0][2])
            for n in [n for n in self._ahead if n < first + len(records)]:
                by_position(self._ahead.pop(n), records[n - first])


def _position(entry: Entry) -> int:
    try:
        return position_of(entry.value)
    except ValueError as fault:
        place = f"{entry.topic}, partition {entry.partition}"
        raise CorruptLog(place, entry.offset, str(fault), unit="offset") from None
