"""The position ``n`` of an event in its partition, as its value says: the second element of a MessagePack array.

It decides what a record is, not its offset: a producer that tried again, or one that others took for dead, may
have written an event more than once. A reader takes every position once, in order, with one number of state.

Sources: the design's section 4, "Event"; MessagePack specification.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from fleet.log.kafka.topics import Place
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
    try:
        position = position_of(entry.value)
    except ValueError:
        return False  # no event: somebody else wrote it
    if position != position_of(record[2]):
        return False
    if entry[3:] != record:
        raise Contradiction(
            f"{entry.topic}, partition {entry.partition}, position {position_of(record[2])}: somebody else wrote "
            "another event there; the log is written by two programs that differ"
        )
    return True


class Sieve:
    """Lets every position through once, from ``next`` on. An entry's offset becomes its position.

    ``run``: whose events they are. ``passed``: told of a record that is no event; without it such a one ends the
    reading.
    """

    def __init__(self, position: int, run: str = "", *, passed: Callable[[str], None] | None = None) -> None:
        self.next = position
        self._run = run
        self._passed = passed

    def sift(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Those that were not there yet. Raises CorruptLog where one is missing, or is no event."""
        for entry in entries:
            n = self._position(entry)
            if n == self.next:
                self.next = n + 1
                yield entry._replace(offset=n)
            elif n > self.next:
                raise self._corrupt(entry, f"position {self.next} is missing, {n} stands there")

    def _position(self, entry: Entry) -> int:
        """What an event says; below all positions where it is passed over."""
        try:
            return position_of(entry.value)
        except ValueError as fault:
            found = f"no event ({fault}), something else than rasfleet wrote it"
            if self._passed is None:
                raise self._corrupt(entry, f"{found}; rasfleet log copy passes over it") from None
            self._passed(str(self._corrupt(entry, f"{found}; passed over")))
            return -1

    def _corrupt(self, entry: Entry, reason: str) -> CorruptLog:
        return CorruptLog(str(Place(self._run, entry.topic, entry.partition)), entry.offset, reason, unit="offset")


class Strangers:
    """What somebody else wrote between the records of a partition: the very same, now or later.

    One who was taken for dead may be ahead of us; what it wrote is held against what comes, up to a bound.
    """

    def __init__(self) -> None:
        self._ahead: dict[int, Entry] = {}  # by position

    def saw(self, entries: Iterable[Entry], records: Sequence[Record]) -> None:
        """What stands between records that were just written. Raises Contradiction."""
        first = position_of(records[0][2])
        for entry in entries:
            try:
                n = position_of(entry.value)
            except ValueError:
                continue  # no event: whoever reads is told
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
