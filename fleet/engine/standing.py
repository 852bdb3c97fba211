"""Resume is to run again and to skip: events that stand in the log already are compared and not written again.

Source: the design's section 4, "Resume".
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

import msgspec

from fleet.codec import decode_event
from fleet.log.protocol import Checkpoint, Contradiction, Entry, EventWriter, Record
from fleet.service.waits import Waits

FIELDS_MAX = 4  # of a difference that are told


class Skipping:
    """A writer of a partition that was written to before (fleet.log.protocol.EventWriter, taken over)."""

    def __init__(self, writer: EventWriter, behind: Mapping[str, Iterator[Entry]]) -> None:
        self._writer = writer
        self._behind: dict[str, Iterator[Entry]] = {}  # topic -> what stands there and has not come again
        for topic, entries in behind.items():
            self._keep(topic, entries)
        self.skipped_of: Counter[str] = Counter()  # events, by topic
        self.waits = Waits()

    def _keep(self, topic: str, entries: Iterator[Entry]) -> None:
        head = next(entries, None)
        if head is None:
            self._behind.pop(topic, None)
        else:
            self._behind[topic] = chain((head,), entries)

    @property
    def skipped(self) -> int:
        """Events that stood there already."""
        return self.skipped_of.total()

    async def commit(self, batches: Mapping[str, Sequence[Record]], checkpoint: Checkpoint | None = None) -> None:
        """Write what is new. While events stand there that have not come again, no checkpoint would cover them."""
        if self._behind:
            batches = {topic: self._new(topic, records) for topic, records in batches.items()}
        time_s = asyncio.get_running_loop().time
        began_s = time_s()
        await self._writer.commit(batches, None if self._behind else checkpoint)
        self.waits.add(time_s() - began_s)

    def _new(self, topic: str, records: Sequence[Record]) -> Sequence[Record]:
        """The records behind those that stand there. Raises Contradiction."""
        standing = self._behind.get(topic)
        if standing is None:
            return records
        at = 0
        for at, entry in enumerate(islice(standing, len(records)), 1):
            if entry[3:] != records[at - 1]:
                raise Contradiction(_told(entry, records[at - 1]))
        self.skipped_of[topic] += at
        self._keep(topic, standing)
        return records[at:]

    def check_end(self) -> None:
        """Everything has come again: nothing more may stand there. Raises Contradiction."""
        for entry in (entry for standing in self._behind.values() for entry in standing):
            raise Contradiction(_told(entry, None))

    async def close(self) -> None:
        """Nothing more will be written."""
        await self._writer.close()


def _told(entry: Entry, again: Record | None) -> str:
    """The place of a difference and its fields, in one line."""
    place = f"{entry.topic}, partition {entry.partition}, offset {entry.offset}"
    if again is None:
        return f"{place}: stands in the log and does not come again; the log was not written by this program"
    stands, comes = (msgspec.structs.asdict(decode_event(value)) for value in (entry.value, again[2]))
    fields = [name for name in {**stands, **comes} if stands.get(name) != comes.get(name)]
    said = ", ".join(
        f"{name} {comes.get(name)!r}, there stands {stands.get(name)!r}" for name in fields[:FIELDS_MAX]
    )
    return f"{place}: what comes again is not what stands in the log: {said or 'another key, time or type'}"
