"""The events of one partition on Kafka: four topics, and the topic of checkpoints, which have no common commit.

A commit is acknowledged when all its topics are, and until then each of them may hold a beginning of it. So
whoever takes over finds, behind the last checkpoint, topics that end at different places: each is compared and
skipped by itself. The checkpoint is written once its events are acknowledged.

Nobody is kept from writing here: that one shard has a partition is its group's affair. One that was taken for
dead can only write what stands there already, and readers take every position once.

Source: the design's section 4, "Resume" and "Event".
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from fleet.codec import decode_event
from fleet.log.kafka.checkpoints import Checkpoints
from fleet.log.kafka.names import CHECKPOINT
from fleet.log.kafka.positions import Sieve, Strangers, by_position, position_of
from fleet.log.kafka.producer import Headers, HeadersOf, Producer, without
from fleet.log.kafka.reader import Reader
from fleet.log.kafka.stream import Same, Stream, by_bytes
from fleet.log.kafka.topics import Place
from fleet.log.protocol import Checkpoint, Entry, LogError, Record, Standing, Unusable, usable
from nodes.events import DEAD_LETTER, SHARD_TOPICS, CommandRefused, Why

if TYPE_CHECKING:
    from fleet.log.kafka.log import KafkaLog


def own_headers(topic: str, _: int) -> HeadersOf:
    """What the records of a partition of a topic have for headers, unless somebody wants others."""
    return letter_headers if topic == DEAD_LETTER else without


def letter_headers(record: Record) -> Headers:
    """What a dead letter's headers say, for those who do not look into values. Names: ``conventions``, 4."""
    letter = decode_event(record[2])
    assert isinstance(letter, CommandRefused), "nothing else is written there"
    said = {
        "reason": Why(letter.reason).name.lower(),
        "topic": letter.from_topic,
        "partition": letter.from_partition,
        "offset": letter.from_offset,
    }
    return [(f"dlq_{name}", str(value).encode()) for name, value in said.items()]


class KafkaWriter:
    """Writes the events of one partition (fleet.log.protocol.EventWriter). After a failure it writes no more."""

    def __init__(self, log: "KafkaLog", partition: int, producer: Producer) -> None:
        self._log = log
        self._partition = partition
        self._producer = producer
        self._streams = {topic: self._stream(topic, by_position) for topic in SHARD_TOPICS}
        self._sieves = {topic: Sieve(0, log.run) for topic in SHARD_TOPICS}  # the next position of each
        self._strangers = {topic: Strangers() for topic in SHARD_TOPICS}
        self._checkpoints = Checkpoints(partition, self._stream(CHECKPOINT, by_bytes), self._at(CHECKPOINT))
        self._taken_over = False
        self._failed = False
        self._closed = False

    def _stream(self, topic: str, same: Same) -> Stream:
        headers_of = self._log.headers_of(topic, self._partition)
        return Stream(self._producer, self._at(topic), self._place(topic), same=same, headers_of=headers_of)

    def _place(self, topic: str) -> Place:
        return Place(self._log.run, topic, self._partition)

    def _at(self, topic: str) -> Callable[[int], Reader]:
        return lambda position: self._log.reader(topic, self._partition, position)

    @property
    def others(self) -> int:
        """Records that somebody else wrote between ours: of one who was taken for dead, or took us for it."""
        return sum(stream.others for stream in self._streams.values())

    def take_over(self, unusable: Unusable = usable) -> Standing:
        """Find the last checkpoint, and what stands behind it. Raises LogError."""
        assert not self._taken_over, "a partition is taken over once"
        return self._log.loop.call(self._take_over(unusable))

    async def _take_over(self, unusable: Unusable) -> Standing:
        found = await asyncio.gather(*(self._log.end_of(topic, self._partition) for topic in SHARD_TOPICS))
        ends = dict(zip(SHARD_TOPICS, found, strict=True))
        head, checkpoint, wrong = await self._checkpoints.last(ends, unusable)
        behind = {}
        for topic, end in ends.items():
            self._streams[topic].behind = end
            start, position = (0, 0) if head is None else (head.offsets[topic], head.positions[topic])
            self._sieves[topic] = Sieve(position, self._log.run)
            behind[topic] = self._entries(topic, start, end)
        self._taken_over = True
        return Standing(checkpoint, behind, wrong)

    def _entries(self, topic: str, start: int, end: int) -> Iterator[Entry]:
        """What stands behind the checkpoint. When it has been read, the next position is known."""
        sieve = self._sieves[topic]
        for part in self._log.parts(topic, self._partition, start, end):
            yield from sieve.sift(part)

    async def commit(self, batches: Mapping[str, Sequence[Record]], checkpoint: Checkpoint | None = None) -> None:
        """Append records to topics; returns when all of them are durable. Raises LogError."""
        if self._failed:
            raise LogError(f"partition {self._partition}: writing failed before, so nothing more is written")
        if not any(batches.values()) and checkpoint is None and self._taken_over:
            return
        self._failed = True  # unless what follows comes to its end
        if not self._taken_over:
            await asyncio.to_thread(self._pass_over)
        await self._log.loop.wait(self._commit(batches, checkpoint))
        self._failed = False

    async def _commit(self, batches: Mapping[str, Sequence[Record]], checkpoint: Checkpoint | None) -> None:
        appending = [self._append(topic, records) for topic, records in batches.items() if records]
        for came in await asyncio.gather(*appending, return_exceptions=True):
            if came is not None:
                raise came
        if checkpoint is not None:
            offsets = {topic: stream.behind for topic, stream in self._streams.items()}
            positions = {topic: sieve.next for topic, sieve in self._sieves.items()}
            await self._checkpoints.put(checkpoint, offsets, positions)

    async def _append(self, topic: str, records: Sequence[Record]) -> None:
        sieve = self._sieves[topic]
        assert position_of(records[0][2]) == sieve.next, "events follow those that stand there"
        assert position_of(records[-1][2]) == sieve.next + len(records) - 1, "and one another"
        await self._streams[topic].append(records)
        sieve.next += len(records)
        self._strangers[topic].check(records)
        while self._streams[topic].between:
            await self._look_between(topic, *self._streams[topic].between.pop(0), records)

    async def _look_between(self, topic: str, start: int, end: int, records: Sequence[Record]) -> None:
        """What somebody else wrote between our own records. Raises Contradiction, CorruptLog."""
        reader = self._log.reader(topic, self._partition, start)
        try:
            while part := await reader.upto(end):
                self._strangers[topic].saw(part, records)
        finally:
            await reader.close()

    def _pass_over(self) -> None:
        """Take over without comparing what stands there."""
        for entries in self.take_over().behind.values():
            for _ in entries:
                pass

    async def close(self) -> None:
        """Nothing more will be written."""
        if not self._closed:
            await self._log.loop.wait(self.release())

    async def release(self) -> None:
        """The same, in the loop of the log."""
        self._closed = True
        await self._producer.close()
