"""One partition of one topic, read from an offset on, whatever happens to the brokers.

The offset behind what was handed out is kept here, and after any exception reading goes on there: what a consumer
had in hand when it failed is read again. A consumer that stops without a word is noticed, since records stand
behind it, and made anew. A batch that fails its checksum is read up to and tried again. Then it ends the reading,
or, as whoever reads decides, each of its offsets is handed out as a record whose bytes are lost: so that everyone
who reads it gets the same.

Sources: aiokafka issues 1037, 1154 (silent stop), its fetcher (a corrupt batch is met again for ever, and hides
the records in front of it from ``getmany``).
"""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    BrokerResponseError,
    CorruptRecordException,
    KafkaConnectionError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)
from aiokafka.protocol.fetch import FetchRequest

from fleet.log.kafka.acls import TOPIC, forbidden
from fleet.log.kafka.connection import GONE_S, TROUBLE, Brokers, check_there, let_go, said
from fleet.log.kafka.refused import FORBIDDEN, FORBIDDEN_CODES
from fleet.log.kafka.topics import Place
from fleet.log.protocol import LOST, CorruptLog, Entry, LogError, Unreachable

POLL_MS_MAX: Final = 1000  # of one look for records
START_S: Final = 8.0  # for a consumer to begin
ANSWER_S: Final = 10.0  # for anything else that is asked of a broker
STALL_S: Final = 30.0  # records stand there and none comes: the consumer is made anew
PAUSE_S: Final = 0.5  # after trouble
TRIES_MAX: Final = 3  # at one offset, until what stands there is called corrupt
RECORDS_MAX: Final = 4096  # handed out at once
FETCH_BYTES: Final = 1 << 20  # at once; what others write lies unpacked (topics), our own batches are small
PATIENCE_S: Final = 300.0  # without an answer, until one who reads to an end gives up
_UNPACKS: Final = "its records are compressed, and cramjam is missing: pip install 'aiokafka[lz4,zstd]'"


class Reader:
    """Reads on from ``position``. Lives in one loop.

    ``patience_s``: without an answer; None: for ever. ``passes``: over what is corrupt. ``rests``: between two
    looks no broker is asked for records, which would hold up for half a second whatever else is asked of it.
    """

    def __init__(
        self,
        brokers: Brokers,
        place: Place,
        position: int,
        *,
        patience_s: float | None = PATIENCE_S,
        passes: bool = False,
        rests: bool = False,
    ) -> None:
        self._brokers = brokers
        self._said = str(place)
        self._run = place.run
        self._topic = place.topic
        self._place = TopicPartition(place.name, place.partition)
        self._patience_s = patience_s
        self._passes = passes
        self._rests = rests
        self.stall_s = STALL_S
        self._consumer: AIOKafkaConsumer | None = None
        self._tries = 0  # that found the present offset corrupt
        self._is_passing = False  # over a stretch that is corrupt
        self._heard_s = 0.0  # the loop's time of the last answer
        self._came_s = 0.0  # and of the last record
        self.position = position  # offset behind what was handed out
        self.made = 0  # consumers

    async def end(self) -> int:
        """The offset behind the last record that stands there now. Raises LogError."""
        while True:
            try:
                consumer = await self._ready()
                async with asyncio.timeout(ANSWER_S):
                    ends: dict[TopicPartition, int] = await consumer.end_offsets([self._place])
            except TROUBLE as fault:
                await self._trouble(fault)
            else:
                self._heard_s = _now()
                return ends[self._place]

    async def check_allowed(self) -> None:
        """Raises LogError where this user may not read: who reads what is empty asks brokers for nothing."""
        await self.end()
        consumer = await self._ready()
        leader = consumer._client.cluster.leader_for_partition(self._place)  # noqa: SLF001 (it asks only for what is there)
        if leader in (None, -1):
            return  # who reads waits for one
        wanted = [(self._place.topic, [(self._place.partition, self.position, 1)])]
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await consumer._client.send(leader, FetchRequest(0, 0, 1, 0, wanted))  # noqa: SLF001
        except TROUBLE:
            return  # who reads meets it, too
        if any(part[1] in FORBIDDEN_CODES for _, parts in answer.topics for part in parts):
            raise LogError(forbidden(self._run, "Read", TOPIC, self._place.topic))

    def go(self, position: int) -> None:
        """Read on from another offset."""
        self.position = position
        if self._consumer is not None:
            self._consumer.seek(self._place, position)

    async def next(self, wait_s: float) -> list[Entry]:
        """Further records; none when none came for so long, or when there was trouble. Raises LogError."""
        if self._is_passing:
            self._is_passing = self.position < await self.end()
            if self._is_passing:
                return await self._step()
        try:
            consumer = await self._ready()
            found = await self._polled(consumer, wait_s)
        except CorruptRecordException:
            await self._let_go()
            return await self._step()
        except TROUBLE as fault:
            await self._trouble(fault)
            return []
        return self._handed_out(found)

    async def upto(self, end: int) -> list[Entry]:
        """Further records in front of an offset; none: that was all. Raises LogError."""
        while self.position < end:
            found = [entry for entry in await self.next(1.0) if entry.offset < end]
            if found:
                return found
        return []

    async def all_to(self, end: int) -> list[Entry]:
        """All records in front of an offset."""
        found: list[Entry] = []
        while part := await self.upto(end):
            found += part
        return found

    async def _polled(self, consumer: AIOKafkaConsumer, wait_s: float) -> list[Any]:
        wait_ms = min(int(wait_s * 1000), POLL_MS_MAX)
        if self._rests:
            consumer.resume(self._place)
        async with asyncio.timeout(wait_s + ANSWER_S):
            found = await consumer.getmany(self._place, timeout_ms=wait_ms, max_records=RECORDS_MAX)
            if self._rests:
                consumer.pause(self._place)
            records: list[Any] = found.get(self._place, [])
            if records:
                self._heard_s = self._came_s = _now()
            else:
                self.position = max(self.position, await consumer.position(self._place))  # a hole in the offsets
                await self._look_for_silence(consumer)
        return records

    async def _look_for_silence(self, consumer: AIOKafkaConsumer) -> None:
        """Raises when records stand there and none has come for too long."""
        if _now() - self._came_s < self.stall_s:
            return
        ends = await consumer.end_offsets([self._place])
        self._heard_s = self._came_s = _now()
        if ends[self._place] > self.position:
            raise KafkaConnectionError("records stand there and none comes")

    def _handed_out(self, found: list[Any]) -> list[Entry]:
        if not found:
            return []
        self._tries = 0
        self._is_passing = False
        self.position = found[-1].offset + 1
        return [
            Entry(self._topic, self._place.partition, of.offset, of.timestamp, of.key or b"", of.value or b"")
            for of in found
        ]

    async def _step(self) -> list[Entry]:
        """Behind a batch that is corrupt ``getmany`` gives nothing: read up to it, then pass over it."""
        found: list[Any] = []
        try:
            consumer = await self._ready()
            async with asyncio.timeout(ANSWER_S):
                while len(found) < RECORDS_MAX:
                    found.append(await consumer.getone(self._place))
        except CorruptRecordException as fault:
            if not found:
                return await self._corrupt(str(fault))
            await self._let_go()
        except TROUBLE as fault:
            await self._trouble(fault)
        return self._handed_out(found)

    async def _corrupt(self, reason: str) -> list[Entry]:
        """What stands at the present offset is broken."""
        self._tries += 1
        if self._tries < TRIES_MAX and not self._is_passing:
            await self._let_go()
            return []
        if not self._passes:
            raise CorruptLog(self._said, self.position, reason, unit="offset")
        self._is_passing = True
        lost = Entry(self._topic, self._place.partition, self.position, 0, b"", LOST)
        self.go(self.position + 1)
        return [lost]

    async def _ready(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._brokers.client(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_uncommitted",  # our topics hold no transactions, and nobody's may hide them
                check_crcs=True,
                fetch_max_bytes=FETCH_BYTES,
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_wait_ms=POLL_MS_MAX // 2,
            )
            try:
                async with asyncio.timeout(START_S):
                    await consumer.start()
            except BaseException:
                await let_go(consumer)
                raise
            consumer.assign([self._place])
            consumer.seek(self._place, self.position)
            if self._rests:
                consumer.pause(self._place)
            self._consumer = consumer
            self._came_s = _now()
            self._heard_s = self._heard_s or _now()
            self.made += 1
        return self._consumer

    async def _let_go(self) -> None:
        """The next consumer begins at the position: what this one had in hand is read again."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await let_go(consumer)

    async def _trouble(self, fault: Exception) -> None:
        hidden = self._consumer is not None and _is_hidden(self._consumer, self._place.topic)
        unknown = self._consumer is not None and _is_unknown(self._consumer, self._place.topic)
        await self._let_go()
        if isinstance(fault, OffsetOutOfRangeError | NoOffsetForPartitionError):
            raise CorruptLog(
                self._said, self.position, "not there, the broker lost or removed records", unit="offset"
            )
        if isinstance(fault, FORBIDDEN) or hidden:
            raise LogError(forbidden(self._run, "Read", TOPIC, self._place.topic))
        if isinstance(fault, UnsupportedCodecError):
            raise LogError(f"{self._said}, offset {self.position}: {_UNPACKS}")
        if isinstance(fault, BrokerResponseError) and not fault.retriable:
            raise LogError(f"{self._said}: cannot be read ({said(fault)})")
        self._heard_s = self._heard_s or _now()
        if unknown and _now() - self._heard_s > GONE_S:
            await check_there(self._brokers, self._place.topic)
        if self._patience_s is not None and _now() - self._heard_s > self._patience_s:
            raise Unreachable(f"{self._brokers.servers}: no broker answers ({said(fault)})")
        await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        """Be done with it."""
        await self._let_go()


def _is_hidden(consumer: AIOKafkaConsumer, topic: str) -> bool:
    """Whether brokers do not show a topic to this user: the client then waits for it in vain."""
    return topic in consumer._client.cluster.unauthorized_topics  # noqa: SLF001 (it tells nobody)


def _is_unknown(consumer: AIOKafkaConsumer, topic: str) -> bool:
    """Whether no broker has told of a topic: it was removed, or nobody has answered yet."""
    return not consumer._client.cluster.partitions_for_topic(topic)  # noqa: SLF001


def _now() -> float:
    return asyncio.get_running_loop().time()
