"""The log on Kafka: the contract of every log on a real broker, and what a run is there."""

import asyncio
import itertools

import msgspec
import pytest
from aiokafka import codec
from hypothesis import given, settings

from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import KafkaLog
from fleet.log.kafka.names import RUNS
from fleet.log.protocol import CorruptLog, LogError
from fleet.manifest import Summary
from nodes.events import COMMAND, SYNDROME
from tests.fleet.log.contract import (
    MANY_LOGS,
    LogContract,
    commits,
    committed,
    entries,
    event,
    events,
    manifest_of,
    read,
    record,
)

SUMMARY = Summary("ab" * 32, 1, 2, {SYNDROME: 3}, {"el3": {"HostReset": 4}}, {"injected": 1}, {COMMAND: [2, 0, 0]})


class TestKafkaLog(LogContract):
    @pytest.fixture
    def make(self, brokers, fresh, opened):
        numbers = itertools.count()

        def made(partitions):
            run = f"{fresh}-{next(numbers)}"
            log = opened(KafkaLog.create(brokers, run, manifest_of(partitions)))
            return log, lambda: opened(KafkaLog.open(brokers, run))

        return made

    @settings(max_examples=6, suppress_health_check=MANY_LOGS)  # each costs a run with its topics
    @given(commits=commits)
    def test_any_commits_are_read_as_they_were_made(self, make, commits):
        found, whole = committed(make, commits)

        assert found == whole


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
async def test_batches_can_be_compressed(kafka, fresh, opened, again, compression):
    log = opened(KafkaLog.create(Brokers(kafka, compression), fresh, manifest_of()))
    await log.append_commands(0, [record(n) for n in range(3)])
    await log.writer(0).commit({SYNDROME: events(500)})

    assert read(again(), COMMAND) == entries(COMMAND, 0, [record(n) for n in range(3)])
    assert read(again(), SYNDROME) == entries(SYNDROME, 0, events(500))


def test_what_is_said_of_runs_is_read_by_those_who_cannot_unpack_the_events_of_one(
    kafka, fresh, opened, monkeypatch
):
    begun = opened(KafkaLog.create(Brokers(kafka, "lz4"), fresh, manifest_of()))
    begun.say_end(list(range(1000)))
    monkeypatch.setattr(codec, "cramjam", None)

    assert opened(KafkaLog.open(Brokers(kafka), fresh)).end() == list(range(1000))


def test_a_compression_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr("fleet.log.kafka.connection.find_spec", lambda name: None)

    with pytest.raises(LogError, match=r"lz4 needs cramjam: pip install 'aiokafka\[lz4,zstd\]'"):
        Brokers("localhost:9092", "lz4")
    assert Brokers("localhost:9092").compression == "none"


def test_a_compression_that_nobody_knows_is_refused():
    with pytest.raises(LogError, match="gzip: one of none, lz4, zstd"):
        Brokers("localhost:9092", "gzip")


def test_what_brokers_are_given_to_log_in_is_not_shown():
    assert "secret" not in repr(Brokers("localhost:9092", security={"sasl_plain_password": "secret"}))


def test_a_client_without_its_c_extensions_says_so(brokers, fresh, opened, monkeypatch):
    monkeypatch.setattr("fleet.log.kafka.log.is_slow", lambda: True)
    told = []
    opened(KafkaLog.create(brokers, fresh, manifest_of(), say=told.append))

    assert told == [
        "aiokafka has no C extensions here and is about 20 times slower: install a wheel of it, or a C compiler"
    ]


def test_a_run_has_its_manifest(log, again):
    assert again().manifest == log.manifest == manifest_of()


def test_a_run_is_never_made_twice(log, brokers):
    with pytest.raises(LogError, match="choose another name"):
        KafkaLog.create(brokers, log.run, manifest_of())


def test_where_there_is_no_run_there_is_nothing_to_open(brokers, fresh):
    with pytest.raises(LogError, match=f"run {fresh}: there is none of this name"):
        KafkaLog.open(brokers, fresh)


@pytest.mark.parametrize("name", ["", "Storm", "a.b", "a_b", "-a", "a" * 101, "ä", "a\n", "ras"])
def test_a_name_that_topics_cannot_have_is_refused(brokers, name):
    with pytest.raises(LogError, match="run name"):
        KafkaLog.create(brokers, name, manifest_of())


async def stored(log, key, value):
    """Something else under a key of the topic of all runs."""
    await log.loop.wait(_put(log, key, value))


async def _put(log, key, value):
    stream = log._stream(RUNS, 0)
    await stream.append([(0, key.encode(), value)])


async def test_another_format_is_refused_by_its_number(log, again):
    changed = msgspec.json.decode(msgspec.json.encode(log.manifest)) | {"format": 2, "shards": "whatever"}
    await stored(log, log.run, msgspec.json.encode(changed))

    with pytest.raises(CorruptLog, match="format 2, this program reads 1"):
        again()


@pytest.mark.parametrize("value", [b"{", b"[1]", b'{"format": 1}', b'{"format": "\xff"}', b"[" * 9999])
async def test_a_manifest_that_is_none_is_corrupt(log, again, value):
    await stored(log, log.run, value)

    with pytest.raises(CorruptLog, match=f"key {log.run}"):
        again()


def test_a_run_says_how_it_ended(log, again):
    assert again().summary() is None
    log.finish(SUMMARY)
    assert again().summary() == SUMMARY
    log.unfinish()
    assert again().summary() is None


def test_a_run_says_where_its_commands_end(log, again):
    assert again().end() is None
    log.say_end([3, 0, 7])
    assert again().end() == [3, 0, 7]


def test_a_run_says_what_each_shard_came_to(log, again):
    log.say_shard(2, SUMMARY)

    assert again().shard(2, Summary) == SUMMARY
    assert again().shard(1, Summary) is None


def test_a_log_that_was_closed_can_still_say_how_it_ended(log, again):
    asyncio.run(log.close())
    log.finish(SUMMARY)

    assert again().summary() == SUMMARY
    assert log.loop._thread is None


async def test_a_position_that_is_missing_is_corrupt(log, again):
    await log.loop.wait(log._stream(SYNDROME, 0).append([event(0), event(1), event(3)]))

    with pytest.raises(CorruptLog, match=r"at offset 2: position 2 is missing, 3 stands there"):
        read(again(), SYNDROME)


async def test_an_event_that_stands_there_again_is_read_once(log, again):
    await log.loop.wait(log._stream(SYNDROME, 0).append([event(n) for n in (0, 1, 0, 1, 2, 1, 3, 2)]))

    assert read(again(), SYNDROME) == entries(SYNDROME, 0, events(4))
    for start in range(5):
        assert list(again().read(SYNDROME, 0, start=start)) == entries(SYNDROME, 0, events(4))[start:]


NO_EVENT = (0, b"host-0001", b"\x80")


async def with_no_event(log):
    """Between two events stands what is none."""
    await log.loop.wait(log._stream(SYNDROME, 0).append([event(0), NO_EVENT, event(1)]))


async def test_what_is_no_event_ends_the_reading_with_its_place_and_what_can_be_done(log, again):
    await with_no_event(log)
    readings = [
        lambda: read(again(), SYNDROME),
        lambda: list(again().writer(0).take_over().behind[SYNDROME]),
    ]

    for reading in readings:
        with pytest.raises(CorruptLog) as fault:
            reading()
        assert str(fault.value) == (
            f"{log.run}.{SYNDROME}, partition 0: at offset 1: no event (no array with a position), something else "
            "than rasfleet wrote it; rasfleet log copy passes over it"
        )


async def test_who_wants_to_hear_of_what_is_no_event_reads_on_behind_it(log, again):
    await with_no_event(log)
    told = []
    reader = again()
    reader.passed = told.append

    assert read(reader, SYNDROME) == entries(SYNDROME, 0, events(2))
    assert len(told) == 1
    assert told[0].startswith(f"{log.run}.{SYNDROME}, partition 0: at offset 1: ")


async def test_who_looks_for_what_it_sent_finds_it_behind_what_is_no_event(log, again):
    writer, other = log.writer(0), again()
    await writer.commit({SYNDROME: [event(0)]})
    await other.loop.wait(other._stream(SYNDROME, 0).append([NO_EVENT, event(1)]))
    writer._streams[SYNDROME]._unsure = True
    await writer.commit({SYNDROME: events(1, 3)})

    assert [entry.value for part in log.parts(SYNDROME, 0, 0) for entry in part] == [
        event(0).value, NO_EVENT[2], event(1).value, event(2).value
    ]  # fmt: skip


async def test_whoever_wrote_the_plan_ends_once_somebody_else_does(log, again):
    log.lock()
    await log.append_commands(0, [record(0)])
    other = again()
    other.lock()

    with pytest.raises(LogError, match=f"run {log.run}: another program carries it out by now"):
        await log.append_commands(0, [record(1)])
    assert await other.append_commands(0, [record(1)]) == 2


async def test_commands_can_be_sent_to_a_run_whose_plan_somebody_writes(log, again):
    log.lock()
    await again().append_commands(0, [record(0)])
    log.lock()

    assert await log.append_commands(0, [record(1)]) == 2
