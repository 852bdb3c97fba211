"""One partition of one topic, written by one task: what it was given stands there once and in order.

When nobody knows what became of a batch, the partition is read behind the last offset that was acknowledged.
What stands there of the records is passed over, and the rest is sent again. The records say themselves which they
are: events by their position, commands by all their bytes, which their origin and number are among, or the
clock's time.

Source: the design's section 4, "Resume".
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from fleet.log.kafka.acls import TOPIC, forbidden
from fleet.log.kafka.producer import HeadersOf, Producer, Unknown, without
from fleet.log.kafka.reader import Reader
from fleet.log.kafka.topics import Place
from fleet.log.protocol import CorruptLog, Entry, LogError, Record

REFUSALS_MAX: Final = 5  # of the same records in a row, by a broker that answers; then it is an error
PAUSE_S: Final = 0.1  # after a refusal, and as much more after each further one

Same = Callable[[Entry, Record], bool]  # is what stands there this record? Raises Contradiction


def by_bytes(entry: Entry, record: Record) -> bool:
    """The record itself."""
    return entry[3:] == record


class Stream:
    """Appends to a partition. ``behind``: from this offset on, its records may stand that nobody has confirmed."""

    def __init__(
        self,
        producer: Producer,
        reader: Callable[[int], Reader],
        place: Place,
        *,
        same: Same,
        headers_of: HeadersOf = without,
    ) -> None:
        self._producer = producer
        self._headers_of = headers_of
        self._reader = reader  # of this partition, from an offset on
        self._place = place
        self._same = same
        self._turn = asyncio.Lock()
        self._unsure = False  # something was sent and not confirmed
        self.behind = -1
        self.others = 0  # records of somebody else that stand between ours
        self.between: list[tuple[int, int]] = []  # where: from which offset on, and up to which

    async def append(self, records: Sequence[Record]) -> int:
        """Append records; returns the offset behind them when they are durable. Raises LogError."""
        async with self._turn:
            if self.behind < 0:
                self.behind = await self._end()
            at = refusals = 0
            while at < len(records):
                if self._unsure:
                    await self._producer.check_there(self._place)
                    at += await self._standing(records[at:])
                    continue
                self._unsure = True
                try:
                    count, offset = await self._producer.send(
                        self._place, records[at:] if at else records, self._headers_of
                    )
                except Unknown as unknown:
                    if unknown.forbidden:
                        raise LogError(forbidden(self._place.run, "Write", TOPIC, self._place.name)) from None
                    refusals = refusals + 1 if unknown.refused else 0
                    if refusals >= REFUSALS_MAX:
                        raise LogError(f"{self._place}: refused ({unknown})") from None
                    await asyncio.sleep(PAUSE_S * refusals)
                    continue
                if offset < 0:
                    continue  # stored, nobody knows where: it is looked for
                self._confirm(offset, count)
                at += count
            return self.behind if records else await self._end()

    def _confirm(self, offset: int, count: int) -> None:
        if offset < self.behind:
            reason = f"it ended at {self.behind} before, the broker lost records; resume the run"
            raise CorruptLog(str(self._place), offset, reason, unit="offset")
        self._pass(offset)
        self.behind = offset + count
        self._unsure = False

    def _pass(self, offset: int) -> None:
        """What stands up to this offset is somebody else's."""
        if offset > self.behind and self._same is not by_bytes:  # others' commands are as good as ours
            self.others += offset - self.behind
            self.between.append((self.behind, offset))

    async def _end(self) -> int:
        reader = self._reader(0)
        try:
            return await reader.end()
        finally:
            await reader.close()

    async def _standing(self, records: Sequence[Record]) -> int:
        """How many of the records stand there already."""
        reader = self._reader(self.behind)
        found = 0
        try:
            end = await reader.end()
            while found < len(records) and (part := await reader.upto(end)):
                for entry in part:
                    if found < len(records) and self._same(entry, records[found]):
                        found += 1
                        self._pass(entry.offset)
                        self.behind = entry.offset + 1
        finally:
            await reader.close()
        self._unsure = False
        return found
