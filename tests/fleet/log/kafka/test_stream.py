"""Whatever becomes of a batch, what was given to a partition stands there once and in order."""

import asyncio
import itertools

import pytest
from aiokafka.errors import (
    KafkaTimeoutError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
)

from fleet.log.kafka import connection, producer
from fleet.log.kafka.connection import reached
from fleet.log.kafka.names import topic_of
from fleet.log.kafka.producer import Producer
from fleet.log.kafka.stream import Stream, by_bytes
from fleet.log.kafka.topics import Place
from fleet.log.protocol import Checkpoint, Contradiction, CorruptLog, LogError
from nodes.events import COMMAND, HOST_TOPICS, SYNDROME
from tests.fleet.log.contract import entries, event, events, read, record

OUTCOMES = ["stored", "lost", "unknown", "nowhere", "silent", "refused"]  # of a batch that was sent
PAIRS = list(itertools.product(OUTCOMES, OUTCOMES))


@pytest.fixture
def outcomes(monkeypatch):
    """What becomes of the next batches, one after another; then all are stored."""
    given = []
    real = producer._sent

    async def sent(of, batch, place):
        outcome = given.pop(0) if given else "stored"
        if outcome == "lost":
            raise LeaderNotAvailableError
        if outcome == "refused":
            raise OutOfOrderSequenceNumber
        offset = await real(of, batch, place)
        if outcome == "unknown":
            raise KafkaTimeoutError
        if outcome == "silent":
            await asyncio.Event().wait()
        return -1 if outcome == "nowhere" else offset

    monkeypatch.setattr(producer, "_sent", sent)
    monkeypatch.setattr(producer, "BATCH_BYTES", 300)  # a few records each
    return given


@pytest.fixture
def hasty(monkeypatch):
    """Sends have half a second."""
    monkeypatch.setattr(Producer.__init__, "__kwdefaults__", {"send_s": 0.5, "records_max": producer.RECORDS_MAX})


async def test_events_stand_there_once_and_in_order(hasty, outcomes, log, again):
    writer = log.writer(0)
    for turn, script in enumerate(PAIRS):
        outcomes += script
        await writer.commit({SYNDROME: events(8 * turn, 8 * turn + 8)})

    standing = [entry.value for part in again().parts(SYNDROME, 0, 0) for entry in part]
    assert standing == [event(n).value for n in range(8 * len(PAIRS))]
    assert outcomes == []


async def test_commands_stand_there_once_and_in_order(hasty, outcomes, log, again):
    for turn, script in enumerate(PAIRS):
        outcomes += script
        commands = [record(n) for n in range(8 * turn, 8 * turn + 8)]
        assert await log.append_commands(1, commands) == 8 * turn + 8

    assert read(again(), COMMAND, 1) == entries(COMMAND, 1, [record(n) for n in range(8 * len(PAIRS))])
    assert outcomes == []


async def test_partitions_that_share_a_producer_lose_nothing_when_one_of_them_has_trouble(
    hasty, outcomes, log, again
):
    outcomes += ["silent", "stored", "lost", "unknown"]
    commands = [record(n) for n in range(10)]
    await asyncio.gather(*(log.append_commands(partition, commands) for partition in range(3)))

    for partition in range(3):
        assert read(again(), COMMAND, partition) == entries(COMMAND, partition, commands)


@pytest.mark.parametrize("script", [["stored", "unknown"], ["nowhere"] * 4, ["silent", "lost"]], ids="-".join)
async def test_a_checkpoint_is_found_whatever_became_of_its_batches(hasty, outcomes, log, again, script):
    writer = log.writer(0)
    await writer.commit({SYNDROME: events(3)})
    outcomes += script
    await writer.commit({}, Checkpoint(b"state" * 100, {"h": bytes(1000)}))
    standing = again().writer(0).take_over()

    assert standing.checkpoint == Checkpoint(b"state" * 100, {"h": bytes(1000)})
    assert [list(standing.behind[topic]) for topic in HOST_TOPICS] == [[], [], []]


async def test_a_producer_is_made_anew_after_any_failure_and_only_then(outcomes, log):
    writer = log.writer(0)
    for first in range(0, 12, 4):
        await writer.commit({SYNDROME: events(first, first + 4)})
    assert writer._producer.made == 1

    outcomes += ["lost"]
    await writer.commit({SYNDROME: events(12, 16)})
    assert writer._producer.made == 2


async def test_a_producer_is_made_anew_before_its_sequence_ends(log, again, monkeypatch):
    limits = {"send_s": producer.SEND_S, "records_max": 10}
    monkeypatch.setattr(Producer.__init__, "__kwdefaults__", limits)
    writer = log.writer(0)
    for first in range(0, 40, 4):
        await writer.commit({SYNDROME: events(first, first + 4)})

    assert writer._producer.made == 4
    assert read(again(), SYNDROME) == entries(SYNDROME, 0, events(40))


async def test_what_a_broker_refuses_for_good_is_an_error(log, monkeypatch):
    async def sent(*_):
        raise MessageSizeTooLargeError

    monkeypatch.setattr(producer, "_sent", sent)
    writer = log.writer(0)

    with pytest.raises(LogError, match=r"syndrome.v1, partition 0: refused \(MessageSizeTooLargeError 10\)"):
        await writer.commit({SYNDROME: events(1)})
    with pytest.raises(LogError, match="failed before"):
        await writer.commit({SYNDROME: events(1)})


async def test_a_commit_that_is_cancelled_while_nobody_answers_ends_all_the_same(hasty, outcomes, log, again):
    outcomes += ["silent"] * 2
    writer = log.writer(0)
    await writer.commit({})
    committing = asyncio.ensure_future(writer.commit({SYNDROME: events(2)}))
    await asyncio.sleep(0.2)
    committing.cancel()
    await asyncio.wait({committing})

    assert committing.cancelled()
    assert read(again(), SYNDROME) == entries(SYNDROME, 0, events(2))


async def test_one_who_was_taken_for_dead_can_only_write_what_stands_there(hasty, outcomes, log, again):
    dead, heir = log.writer(0), again().writer(0)
    await dead.commit({SYNDROME: events(4)})
    await heir.commit({SYNDROME: events(4, 9)})
    outcomes += ["unknown", "lost"]
    await dead.commit({SYNDROME: events(4, 8)})
    await dead.commit({SYNDROME: events(8, 11)})
    await heir.commit({SYNDROME: events(9, 12)})

    assert read(again(), SYNDROME) == entries(SYNDROME, 0, events(12))
    assert heir.others > 0


async def test_one_who_writes_something_else_is_found_out(hasty, outcomes, log, again):
    dead, heir = log.writer(0), again().writer(0)
    await dead.commit({SYNDROME: events(4)})
    await heir.commit({SYNDROME: [event(4, 77)]})
    outcomes += ["lost"]

    with pytest.raises(Contradiction, match="position 4: somebody else wrote another event there"):
        await dead.commit({SYNDROME: [event(4)]})


@pytest.fixture
def beside(log):
    """Writes an event's record where another program's writer stands."""

    async def written(record):
        place = Place(log.run, SYNDROME, 0)
        stream = Stream(log._commands, lambda at: log.reader(SYNDROME, 0, at), place, same=by_bytes)
        await log.loop.wait(stream.append([record]))

    return written


async def test_what_another_one_writes_between_our_events_is_held_against_them(log, beside):
    writer = log.writer(0)
    await writer.commit({SYNDROME: events(3)})
    for n in (1, 3, 7):
        await beside(event(n))
    for first in (3, 6):
        await writer.commit({SYNDROME: events(first, first + 3)})

    assert writer.others == 3


@pytest.mark.parametrize(("n", "commits"), [(3, 0), (5, 0), (6, 1), (8, 1)])
async def test_another_event_at_a_place_that_is_taken_ends_the_writing(log, beside, n, commits):
    writer = log.writer(0)
    await writer.commit({SYNDROME: events(3)})
    await beside(event(n, 77))
    for turn in range(commits):
        await writer.commit({SYNDROME: events(3 + 3 * turn, 6 + 3 * turn)})

    with pytest.raises(Contradiction, match=f"position {n}: somebody else wrote another event there"):
        await writer.commit({SYNDROME: events(3 + 3 * commits, 6 + 3 * commits)})


async def test_a_partition_that_got_shorter_is_an_error_with_its_place(log):
    writer = log.writer(0)
    await writer.commit({SYNDROME: events(3)})
    writer._streams[SYNDROME].behind = 9

    with pytest.raises(CorruptLog, match=f"{SYNDROME}, partition 0: at offset 3: it ended at 9 before"):
        await writer.commit({SYNDROME: events(3, 4)})


async def test_a_topic_that_was_removed_is_named(hasty, log, monkeypatch):
    writer = log.writer(0)
    await writer.commit({SYNDROME: events(3)})
    admin = await reached(log._brokers)
    await admin.delete_topics([topic_of(log.run, SYNDROME)])
    await admin.close()
    monkeypatch.setattr(connection, "GONE_S", 0.1)

    with pytest.raises(LogError, match=f"topic {log.run}.{SYNDROME}: it is not there any more"):
        await writer.commit({SYNDROME: events(3, 4)})
