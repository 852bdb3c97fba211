"""The topics of a run: made with their settings, never shared, never of another size."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from fleet.log.kafka.connection import Brokers, parted, reached
from fleet.log.kafka.kept import delete
from fleet.log.kafka.log import OF_A_RUN, KafkaLog
from fleet.log.kafka.manifests import Runs
from fleet.log.kafka.names import CHECKPOINT, RUNS, topic_of
from fleet.log.kafka.topics import SETTINGS, Topics, copies
from fleet.log.protocol import LogError
from nodes.events import COMMAND, SYNDROME
from tests.fleet.log.contract import manifest_of


async def asked(brokers, ask):
    """What a connection for looking after topics answers."""
    admin = await reached(brokers)
    try:
        return await ask(admin)
    finally:
        await parted(admin.close())


async def settings_of(brokers, name):
    """A topic's settings, as the broker has them."""
    (answer,) = await asked(
        brokers, lambda admin: admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    )
    ((_, _, _, _, settings),) = answer.resources
    return {setting[0]: setting[1] for setting in settings}


@pytest.mark.parametrize("topic", [*OF_A_RUN, RUNS])
async def test_a_topic_has_its_settings(log, brokers, topic):
    found = await settings_of(brokers, topic_of(log.run, topic))

    assert {name: found[name] for name in SETTINGS[topic]} == SETTINGS[topic]
    assert found["retention.ms"] == "-1"
    assert found["cleanup.policy"] == ("compact" if topic in (CHECKPOINT, RUNS) else "delete")
    assert found["min.insync.replicas"] == "1"


async def test_a_topic_has_the_partitions_of_the_manifest(log, brokers):
    described = await asked(
        brokers, lambda admin: admin.describe_topics([topic_of(log.run, topic) for topic in OF_A_RUN])
    )
    counts = {topic["topic"].removeprefix(f"{log.run}."): len(topic["partitions"]) for topic in described}

    assert counts == dict.fromkeys(OF_A_RUN, 3)


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 1)), (2, (2, 1)), (3, (3, 2)), (9, (3, 2))])
def test_a_topic_outlives_the_loss_of_a_broker_where_there_are_enough(count, expected):
    assert copies(count) == expected


def test_another_count_of_partitions_is_refused(log, brokers):
    asked_for = manifest_of(4)

    async def ensured(admin):
        await Topics(admin).ensure(log.run, OF_A_RUN, asked_for.partitions)

    with pytest.raises(LogError, match=r"ras.command.v1: 3 partitions, the run's manifest says 4"):
        log.loop.call(asked(brokers, ensured))


def test_a_run_never_takes_topics_that_are_there(brokers, fresh):
    async def made(admin):
        await Topics(admin).ensure(fresh, [COMMAND], 3)

    asyncio.run(asked(brokers, made))

    with pytest.raises(LogError, match=rf"topic {fresh}.{COMMAND} is there already"):
        KafkaLog.create(brokers, fresh, manifest_of())


def test_of_programs_that_begin_a_run_at_once_one_has_it_and_its_manifest_stays(brokers, fresh):
    def begun(seed):
        try:
            log = KafkaLog.create(brokers, fresh, msgspec.structs.replace(manifest_of(), seed=seed))
        except LogError as fault:
            return str(fault)
        asyncio.run(log.close())
        return seed

    with ThreadPoolExecutor(4) as threads:
        came = list(threads.map(begun, range(4)))
    (seed,) = (one for one in came if isinstance(one, int))
    opened = KafkaLog.open(brokers, fresh)
    asyncio.run(opened.close())

    assert opened.manifest.seed == seed
    assert all(f"run {fresh}: " in one and "choose another name" in one for one in came if one != seed)


async def test_a_topic_that_would_lose_records_is_said(log, brokers, opened):
    name = topic_of(log.run, SYNDROME)
    changed = ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "1000"})
    told = []
    await asked(brokers, lambda admin: admin.alter_configs([changed]))
    await asyncio.to_thread(lambda: opened(KafkaLog.open(brokers, log.run, say=told.append)))

    assert told == [f"topic {name} has retention.ms=1000, a run's has -1: brokers remove records"]


def test_a_start_that_was_cut_off_leaves_a_name_that_can_be_freed(brokers, fresh):
    async def claimed(admin):
        await Topics(admin).claim(fresh, 3)

    asyncio.run(asked(brokers, claimed))
    with pytest.raises(LogError, match=f"no run has it.*rasfleet topics {fresh} --delete"):
        KafkaLog.create(brokers, fresh, manifest_of())
    removed = delete(brokers, fresh)

    assert removed == (1, 0)
    asyncio.run(KafkaLog.create(brokers, fresh, manifest_of()).close())


def test_a_run_that_cannot_be_described_leaves_nothing(brokers, fresh, monkeypatch):
    async def refused(*_):
        raise LogError("nobody may")

    with monkeypatch.context() as patch:
        patch.setattr(Runs, "put", refused)
        with pytest.raises(LogError, match="nobody may"):
            KafkaLog.create(brokers, fresh, manifest_of())

    asyncio.run(KafkaLog.create(brokers, fresh, manifest_of()).close())


async def test_topics_that_were_not_made_before_the_program_died_are_made_when_the_run_is_opened(
    log, again, brokers
):
    name = topic_of(log.run, SYNDROME)

    async def removed(admin):
        await admin.delete_topics([name])

    await asked(brokers, removed)
    opened = again()

    assert list(opened.read(SYNDROME, 0)) == []


async def test_records_stamped_at_any_time_are_taken_and_kept(log, again):
    stamps = [0, 1, 1 << 45, 1_767_225_600_000, 1 << 50]
    await log.append_commands(0, [(stamp, b"k", b"v") for stamp in stamps])

    assert [entry.timestamp_ms for entry in again().read(COMMAND, 0)] == stamps


def test_brokers_are_several_servers():
    assert Brokers("a:1,b:2").client()["bootstrap_servers"] == ["a:1", "b:2"]
