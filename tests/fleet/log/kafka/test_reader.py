"""Reading from brokers: whatever happens to a consumer, every record is handed out once and in order."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, codec
from aiokafka.errors import (
    KafkaConnectionError,
    MessageSizeTooLargeError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)

from fleet.log.kafka import connection, reader
from fleet.log.kafka.connection import Brokers, reached
from fleet.log.kafka.log import KafkaLog
from fleet.log.kafka.names import topic_of
from fleet.log.kafka.reader import STALL_S, Reader
from fleet.log.kafka.topics import Place
from fleet.log.protocol import LOST, CorruptLog, LogError, Unreachable
from nodes.events import COMMAND, SYNDROME
from tests.fleet.log.contract import entries, event, events, manifest_of, read, record

COMMANDS = [record(n) for n in range(9)]


async def written_in_batches(log, partition=0, size=3):
    for first in range(0, len(COMMANDS), size):
        await log.append_commands(partition, COMMANDS[first : first + size])


def values(log, stall_s=STALL_S, **given):
    """All commands, as a reader hands them out."""

    async def all_of():
        reader = Reader(log._brokers, Place(log.run, COMMAND, 0), 0, **given)
        reader.stall_s = stall_s
        try:
            return [entry.value for entry in await reader.all_to(9)], reader.made
        finally:
            await reader.close()

    return log.loop.call(all_of())


@pytest.mark.parametrize("fault", [KafkaConnectionError, RequestTimedOutError, OSError, TimeoutError])
async def test_what_a_consumer_had_in_hand_when_it_failed_is_read_again(log, monkeypatch, fault):
    await written_in_batches(log)
    real, calls = AIOKafkaConsumer.getmany, []

    async def failing(*given, **more):
        calls.append(1)
        found = await real(*given, **{**more, "max_records": 2})
        if len(calls) in (2, 3):
            raise fault
        return found

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", failing)
    found, made = await asyncio.to_thread(values, log)

    assert found == [command.value for command in COMMANDS]
    assert made == 3


async def test_a_consumer_that_stops_without_a_word_is_made_anew(log, monkeypatch):
    await written_in_batches(log)
    real, calls = AIOKafkaConsumer.getmany, []

    async def silent(*given, **more):
        found = {} if 0 < len(calls) < 4 else await real(*given, **{**more, "max_records": 4})
        if found or calls:
            calls.append(1)
        return found

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", silent)
    found, made = await asyncio.to_thread(lambda: values(log, stall_s=0.0))

    assert found == [command.value for command in COMMANDS]
    assert made > 1


async def test_one_who_may_not_read_is_told_so_at_once(log, monkeypatch):
    async def forbidden(*_, **__):
        raise TopicAuthorizationFailedError

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", forbidden)
    await written_in_batches(log)

    with pytest.raises(LogError, match="Read is not allowed to this user"):
        await asyncio.to_thread(values, log)


async def test_one_who_reads_to_an_end_gives_up_some_time(log, monkeypatch):
    async def gone(*_, **__):
        raise KafkaConnectionError

    await written_in_batches(log)
    monkeypatch.setattr(AIOKafkaConsumer, "getmany", gone)

    with pytest.raises(Unreachable, match="no broker answers"):
        await asyncio.to_thread(lambda: values(log, patience_s=0.0))


async def test_an_offset_that_is_not_there_is_corrupt(log):
    await written_in_batches(log)

    async def beyond():
        reader = log.reader(COMMAND, 0, 50)
        try:
            for _ in range(3):
                await reader.next(1.0)
        finally:
            await reader.close()

    with pytest.raises(CorruptLog, match="at offset 50: not there"):
        await log.loop.wait(beyond())


def flip(cluster, log, topic, value):
    """One bit of a value, in the broker's file."""
    (path,) = Path(cluster.folder).glob(f"data-1/{log.run}.{topic}-0/*.log")
    stored = bytearray(path.read_bytes())
    at = stored.index(value)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([stored[at] ^ 1]))


@pytest.fixture
def own(broker, fresh, opened):
    """A run on a broker whose files may be changed."""
    return opened(KafkaLog.create(Brokers(broker.bootstrap), fresh, manifest_of()))


async def test_commands_that_are_corrupt_are_lost_for_whoever_reads_them(broker, own):
    await written_in_batches(own)
    flip(broker, own, COMMAND, COMMANDS[4].value)
    feed = own.feed(0, 1)
    feed.finish(9)
    found = {}
    while (part := await feed.next()).values:
        found |= dict(enumerate(part.values, part.offset))
    whole = {n: LOST if 3 <= n < 6 else command.value for n, command in enumerate(COMMANDS)}

    assert found == {n: value for n, value in whole.items() if n}
    assert {entry.offset: entry.value for entry in read(own, COMMAND)} == whole
    assert {entry.offset: entry.value for entry in own.commands_backwards(0)} == whole


async def test_commands_that_are_corrupt_at_the_end_do_not_hold_up_those_that_come(broker, own):
    await written_in_batches(own)
    flip(broker, own, COMMAND, COMMANDS[7].value)
    feed = own.feed(0, 0)
    before = (await feed.next()).values
    lost = [(await feed.next()).values for _ in range(3)]
    waiting = asyncio.ensure_future(feed.next())
    await own.append_commands(0, [record(9)])

    assert before == [command.value for command in COMMANDS[:6]]
    assert lost == [[LOST]] * 3
    assert (await waiting).values == [record(9).value]
    feed.close()


async def test_events_that_are_corrupt_end_the_reading(broker, own):
    writer = own.writer(0)
    await writer.commit({SYNDROME: events(3)})
    await writer.commit({SYNDROME: events(3, 6)})
    flip(broker, own, SYNDROME, event(4).value)
    found = []

    with pytest.raises(CorruptLog, match=r"at offset 3: .*CRC"):
        found.extend(entry.offset for entry in own.read(SYNDROME, 0))
    assert found == [0, 1, 2]


async def test_where_somebody_else_wrote_in_a_transaction_the_hole_is_passed_over(log, again):
    await log.append_commands(0, [record(0), record(1)])
    await log.loop.wait(in_a_transaction(log, record(2)))
    feed = log.feed(0, 0)
    whole = [await asyncio.wait_for(asyncio.to_thread(read, again(), COMMAND), 30)]
    offset = await log.append_commands(0, [record(3)])
    feed.finish(offset)
    found = []
    while (part := await feed.next()).values:
        found.append((part.offset, len(part.values)))

    assert whole == [entries(COMMAND, 0, [record(n) for n in range(3)])]
    assert (offset, sum(found, ())[-2:]) == (5, (4, 1))
    assert [entry.offset for entry in again().commands_backwards(0)] == [4, 2, 1, 0]


async def in_a_transaction(log, command, partition=0):
    """One command as another program may write it: the end of a transaction takes an offset, too."""
    producer = AIOKafkaProducer(**log._brokers.client(), transactional_id=log.run)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(
            f"{log.run}.{COMMAND}",
            command.value,
            command.key,
            partition=partition,
            timestamp_ms=command.timestamp_ms,
        )
    await producer.stop()


async def sent(log, value, kind):
    """A value in a batch of its own, as another program sends it."""
    size = 2 * len(value) + 1000
    producer = AIOKafkaProducer(
        bootstrap_servers=log.servers, compression_type=kind, max_request_size=size, max_batch_size=size
    )
    await producer.start()
    try:
        await producer.send_and_wait(f"{log.run}.{COMMAND}", value, partition=0)
    finally:
        await producer.stop()


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
async def test_what_would_unpack_to_more_than_a_batch_may_have_is_not_taken(log, kind):
    with pytest.raises(MessageSizeTooLargeError):
        await log.loop.wait(sent(log, bytes(2 << 20), kind))


async def test_commands_lie_unpacked_whatever_they_were_sent_as(log, monkeypatch):
    await log.loop.wait(sent(log, bytes(60_000), "lz4"))
    monkeypatch.setattr(codec, "cramjam", None)

    assert [len(entry.value) for entry in read(log, COMMAND)] == [60_000]


async def test_who_cannot_unpack_is_told_what_is_missing(broker, monkeypatch):
    packed = KafkaLog.create(Brokers(broker.bootstrap, "lz4"), "packed", manifest_of(1))
    await packed.writer(0).commit({SYNDROME: events(100)})
    monkeypatch.setattr(codec, "cramjam", None)

    with pytest.raises(LogError, match=r"offset 0: .*pip install 'aiokafka\[lz4,zstd\]'"):
        await asyncio.to_thread(lambda: list(packed.read(SYNDROME, 0)))
    await packed.close()


async def test_one_who_rests_asks_for_nothing_between_two_looks_and_misses_nothing(log):
    async def looked(found):
        reader = Reader(log._brokers, Place(log.run, COMMAND, 0), 0, rests=True)
        for command in COMMANDS[:3]:
            await log._append_commands(0, [command])
            found += await reader.all_to(await reader.end())
            assert reader._consumer.paused() == reader._consumer.assignment() != set()
        await reader.close()
        return found

    found = await log.loop.wait(looked([]))

    assert [entry.value for entry in found] == [command.value for command in COMMANDS[:3]]


async def test_a_topic_that_was_removed_is_named_by_who_waits_for_its_records(log, monkeypatch):
    admin = await reached(log._brokers)
    await admin.delete_topics([topic_of(log.run, SYNDROME)])
    await admin.close()
    monkeypatch.setattr(reader, "GONE_S", 0.0)
    monkeypatch.setattr(connection, "GONE_S", 0.1)
    monkeypatch.setattr(reader, "ANSWER_S", 1.0)

    with pytest.raises(LogError, match=f"topic {log.run}.{SYNDROME}: it is not there any more"):
        await log.loop.wait(log.end_of(SYNDROME, 0))
