"""A producer that can be trusted: idempotent, acknowledged by all, and made anew after every failure.

aiokafka's own producer sends an idempotent batch for ever, so every send has a deadline here; when it is over,
what became of the batch is unknown. A batch that was refused leaves a hole in the partition's sequence, and a
broker takes nothing behind a hole: so after any failure the producer is thrown away, with its sender and its
connections, and whoever used it looks at what stands in the log.

Sources: aiokafka issues 1017, 1101; its sender and accumulator.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from fleet.log.kafka.acls import TOPIC, forbidden
from fleet.log.kafka.connection import TROUBLE, Brokers, Outage, check_there, discard, said, why
from fleet.log.kafka.refused import FORBIDDEN
from fleet.log.kafka.topics import Place
from fleet.log.protocol import LogError, Record

BATCH_BYTES: Final = 256 * 1024  # of a record batch; a larger record has one for itself
SEND_S: Final = 15.0  # until the outcome of a send is unknown
QUIET_S: Final = 3.0  # until people are told that a send waits
START_S: Final = 8.0  # for a producer to begin
PAUSE_S: Final = 0.1  # between two tries to begin
PAUSE_MAX_S: Final = 2.0  # they grow to this while no broker answers
RECORDS_MAX: Final = 1 << 30  # of one producer to one partition; its sequence ends at 2**31
Headers = list[tuple[str, bytes]]
HeadersOf = Callable[[Record], Headers]
_NONE: Final[Headers] = []


def without(_: Record) -> Headers:
    """No record has headers."""
    return _NONE


class Unknown(Exception):
    """Nobody knows whether a batch was written.

    ``refused``: a broker said that it would not have it; ``forbidden``: from this user.
    """

    def __init__(self, fault: BaseException) -> None:
        super().__init__(said(fault))
        self.refused = isinstance(fault, BrokerResponseError) and not fault.retriable
        self.forbidden = isinstance(fault, FORBIDDEN)


class Producer:
    """Sends batches, one after another to each partition. Lives in one loop."""

    def __init__(
        self,
        brokers: Brokers,
        outage: Outage,
        *,
        send_s: float = SEND_S,
        records_max: int = RECORDS_MAX,
    ) -> None:
        self._brokers = brokers
        self._outage = outage
        self._send_s = send_s
        self._records_max = records_max
        self._sent: Counter[Place] = Counter()  # records, of the present producer
        self._present: AIOKafkaProducer | None = None
        self._gone: asyncio.Future[Any] | None = None  # done when the present one is thrown away
        self._beginning = asyncio.Lock()
        self.made = 0  # producers

    async def send(
        self, place: Place, records: Sequence[Record], headers_of: HeadersOf = without
    ) -> tuple[int, int]:
        """Send as many records as a batch takes: how many, and the offset of the first. Raises Unknown, LogError.

        An offset below 0: they are stored, nobody knows where.
        """
        producer = await self._ready(place)
        if self._sent[place] > self._records_max:
            await self._throw_away(producer)
            producer = await self._ready(place)
        batch, count = filled(producer, records, headers_of)
        self._sent[place] += count
        return count, await self._delivered(producer, batch, place)

    async def check_there(self, place: Place) -> None:
        """Raises LogError where the topic was removed, which clients wait for."""
        await check_there(self._brokers, place.name)

    async def _delivered(self, producer: AIOKafkaProducer, batch: BatchBuilder, place: Place) -> int:
        sending: asyncio.Future[Any] = asyncio.ensure_future(_sent(producer, batch, place))
        try:
            if not await self._over(sending, min(QUIET_S, self._send_s)):
                self._outage.lasts("a send waits for its answer")
                await self._over(sending, self._send_s - QUIET_S)
            if not sending.done():
                raise TimeoutError
            offset: int = sending.result()
        except TROUBLE as fault:
            await self._throw_away(producer)
            raise Unknown(fault) from None
        except asyncio.CancelledError as fault:
            await self._throw_away(producer)
            if sending.cancelled():  # its own, not ours
                raise Unknown(fault) from None
            raise
        else:
            self._outage.is_over()
            return offset
        finally:
            sending.cancel()

    async def _over(self, sending: "asyncio.Future[Any]", wait_s: float) -> bool:
        """Whether a send was answered, or its producer thrown away, within some time."""
        assert self._gone is not None, "the producer is there"
        waited_for = (sending, self._gone)
        done, _ = await asyncio.wait(waited_for, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def _ready(self, place: Place) -> AIOKafkaProducer:
        """The present producer, or a new one as soon as a broker answers. Raises LogError."""
        async with self._beginning:
            pause_s = PAUSE_S
            while (fault := await self._begin()) is not None:
                if isinstance(fault, FORBIDDEN):
                    raise LogError(forbidden(place.run, "Write", TOPIC, place.name))
                if isinstance(fault, BrokerResponseError) and not fault.retriable:
                    raise LogError(f"{self._brokers.servers}: no producer is let in ({said(fault)})")
                if pause_s == PAUSE_MAX_S:
                    self._outage.lasts(await why(self._brokers, fault) or said(fault))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            self._outage.is_over()
            assert self._present is not None, "it has begun"
            return self._present

    async def _begin(self) -> Exception | None:
        """What kept a producer from beginning, unless there is one."""
        if self._present is not None:
            return None
        producer = AIOKafkaProducer(
            **self._brokers.client(),
            enable_idempotence=True,
            acks="all",
            compression_type=None if self._brokers.compression == "none" else self._brokers.compression,
            max_batch_size=BATCH_BYTES,
            max_request_size=1 << 20,
            linger_ms=0,  # batches come closed, there is nothing to wait for
        )
        try:
            async with asyncio.timeout(START_S):
                await producer.start()
        except TROUBLE as fault:
            await discard(producer)
            return fault
        except BaseException:
            await discard(producer)
            raise
        self._present, self._gone = producer, asyncio.get_running_loop().create_future()
        self._sent.clear()
        self.made += 1
        return None

    async def _throw_away(self, producer: AIOKafkaProducer) -> None:
        """Be done with a producer, unless another task was first. Who else waits for it, waits no longer."""
        if self._present is not producer:
            return
        assert self._gone is not None, "it was made with the producer"
        self._present = None
        self._gone.set_result(None)
        await discard(producer)

    async def close(self) -> None:
        """Be done with it; nothing is under way."""
        if self._present is not None:
            await self._throw_away(self._present)


def filled(producer: Any, records: Sequence[Record], headers_of: HeadersOf = without) -> tuple[BatchBuilder, int]:
    """A batch of the first records, closed so that nothing else gets into it; and how many they are.

    The builder's timestamps are milliseconds, whatever its documentation says.
    """
    batch: BatchBuilder = producer.create_batch()
    append = batch.append
    count = 0
    for record in records:
        timestamp_ms, key, value = record
        if append(timestamp=timestamp_ms, key=key, value=value, headers=headers_of(record)) is None:
            break
        count += 1
    batch.close()
    assert count, "a batch takes at least one record"
    return batch, count


async def _sent(producer: AIOKafkaProducer, batch: BatchBuilder, place: Place) -> int:
    try:
        acknowledged = await producer.send_batch(batch, place.name, partition=place.partition)
        offset: int = (await acknowledged).offset
    except AssertionError as fault:  # its word for a partition that is not there
        raise KafkaError(str(fault)) from None
    return offset
