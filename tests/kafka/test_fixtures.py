"""The brokers that the tests use are real, keep what they acknowledged, and are gone with the tests."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError

from deploy.kafka.cluster import Cluster
from deploy.kafka.security import MECHANISMS
from tests.kafka.brokers import create_topic

ROOT = Path(__file__).resolve().parents[2]
SAFE = {"acks": "all", "enable_idempotence": True}


async def written(topic, values, stamp=None, **client):
    """Write to partition 0 and wait until all is acknowledged."""
    producer = AIOKafkaProducer(**SAFE, **client)
    try:
        await producer.start()
        for value in values:
            await producer.send_and_wait(topic, value, partition=0, timestamp_ms=stamp)
    finally:
        await producer.stop()


async def held(topic, **client):
    """What partition 0 holds."""
    consumer = AIOKafkaConsumer(auto_offset_reset="none", **client)
    try:
        await consumer.start()
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek(place, 0)
        end = (await consumer.end_offsets([place]))[place]
        return [(await consumer.getone()).value for _ in range(end)]
    finally:
        await consumer.stop()


async def begins(topic, **client):
    """The first offset that partition 0 still holds."""
    consumer = AIOKafkaConsumer(auto_offset_reset="none", **client)
    try:
        await consumer.start()
        (offset,) = (await consumer.beginning_offsets([TopicPartition(topic, 0)])).values()
        return offset
    finally:
        await consumer.stop()


async def test_what_is_written_is_read(kafka, fresh):
    await create_topic(fresh, bootstrap_servers=kafka)
    await written(fresh, [b"a", b"b"], bootstrap_servers=kafka)

    assert await held(fresh, bootstrap_servers=kafka) == [b"a", b"b"]


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
async def test_compressed_batches_are_read(kafka, fresh, codec):
    await create_topic(fresh, bootstrap_servers=kafka)
    await written(fresh, [b"a" * 1000], bootstrap_servers=kafka, compression_type=codec)

    assert await held(fresh, bootstrap_servers=kafka) == [b"a" * 1000]


async def test_the_broker_takes_what_is_stamped_in_a_far_future(kafka, fresh):
    await create_topic(fresh, bootstrap_servers=kafka)
    await written(fresh, [b"a"], 4_102_444_800_000, bootstrap_servers=kafka)

    assert await held(fresh, bootstrap_servers=kafka) == [b"a"]


async def test_the_broker_keeps_what_is_stamped_long_ago(kafka, fresh):
    await create_topic(fresh, bootstrap_servers=kafka)
    await create_topic(f"{fresh}.brief", settings={"retention.ms": "1000"}, bootstrap_servers=kafka)
    for topic in (fresh, f"{fresh}.brief"):
        await written(topic, [b"a"], 0, bootstrap_servers=kafka)
    while await begins(f"{fresh}.brief", bootstrap_servers=kafka) == 0:  # noqa: ASYNC110 (the broker tells nobody)
        await asyncio.sleep(0.2)

    assert await held(fresh, bootstrap_servers=kafka) == [b"a"]


async def test_a_killed_broker_has_its_data_when_it_is_back(broker, fresh):
    await create_topic(fresh, bootstrap_servers=broker.bootstrap)
    await written(fresh, [b"a"], bootstrap_servers=broker.bootstrap)
    broker.kill(1)
    assert not broker.pid(1)
    broker.restart(1)
    await written(fresh, [b"b"], bootstrap_servers=broker.bootstrap)

    assert await held(fresh, bootstrap_servers=broker.bootstrap) == [b"a", b"b"]


async def test_a_partition_outlives_its_leader(three, fresh):
    await create_topic(fresh, bootstrap_servers=three.bootstrap)
    producer = AIOKafkaProducer(**SAFE, bootstrap_servers=three.bootstrap)
    await producer.start()
    await producer.send_and_wait(fresh, b"a", partition=0)
    leader = producer.client.cluster.leader_for_partition(TopicPartition(fresh, 0))
    three.kill(leader)
    await producer.send_and_wait(fresh, b"b", partition=0)
    await producer.stop()

    assert await held(fresh, bootstrap_servers=three.bootstrap) == [b"a", b"b"]
    three.restart(leader)
    assert all(node.pid for node in three.report())


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_user_logs_in_and_may_do_nothing_until_told(secured, fresh, mechanism):
    login = secured.login("worker", mechanism)
    await create_topic(fresh, **secured.login("admin"))
    with pytest.raises(
        (ClusterAuthorizationFailedError, TopicAuthorizationFailedError)
    ):  # the first: no topic at all
        await written(fresh, [b"a"], **login)
    await secured.allow("worker", "write describe", "topic", fresh)
    await written(fresh, [b"a"], **login)

    assert await held(fresh, **secured.login("admin")) == [b"a"]
    with pytest.raises(TopicAuthorizationFailedError):
        await held(fresh, **login)


async def hung_up():
    """A connection over TLS that was refused is closed: the client does not wait for that."""
    for transport in list(asyncio.get_running_loop()._transports.values()):
        transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sasl_mechanism": "PLAIN", "sasl_plain_password": "wrong"},
        {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_password": "wrong"},
        {"sasl_mechanism": "PLAIN", "sasl_plain_username": "stranger"},
        {"security_protocol": "PLAINTEXT"},
    ],
    ids=str,
)
async def test_a_wrong_login_is_refused(secured, wrong):
    producer = AIOKafkaProducer(**secured.login("worker") | wrong)
    try:
        with pytest.raises(KafkaConnectionError):
            await producer.start()
    finally:
        await producer.stop()
        await hung_up()


async def test_the_port_of_the_controller_wants_the_key_of_a_node(secured):
    address = f"127.0.0.1:{secured.cluster.layout.controllers[0]}"
    login = secured.login("admin", bootstrap_servers=address, security_protocol="SSL")
    producer = AIOKafkaProducer(**login)
    try:
        with pytest.raises(KafkaConnectionError):
            await producer.start()
    finally:
        await producer.stop()
        await hung_up()


SESSION = """
import os
import pytest
from pathlib import Path

@pytest.mark.parametrize("test", range(4))
def test_it_asks(kafka, test, tmp_path_factory):
    (Path({asked!r}) / f"{{os.getpid()}}-{{test}}").write_text(kafka)
    {last}
"""


def session(folder, *words, last="pass"):
    """Tests in a process of their own that ask for the broker, and where they say which one they got."""
    asked = folder / "asked"
    asked.mkdir()
    (folder / "test_it.py").write_text(SESSION.format(asked=str(asked), last=last))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.kafka.fixtures", "--rootdir", str(folder)]
    command += [f"--basetemp={folder}/temp", *words, str(folder / "test_it.py")]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "RASFLEET_"))}
    return asked, subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def dead(folder):
    """Whether all nodes of the session's broker go away."""
    (cluster,) = (Cluster(place.parent) for place in folder.rglob("cluster.json"))
    end = time.monotonic() + 60
    while cluster.pid(1) and time.monotonic() < end:
        time.sleep(0.1)
    return not cluster.pid(1)


@pytest.mark.usefixtures("java")
def test_workers_share_one_broker_which_ends_with_them(tmp_path):
    asked, tests = session(tmp_path, "-n", "2")
    said, _ = tests.communicate()

    assert tests.returncode == 0, said
    assert len({path.name.split("-")[0] for path in asked.iterdir()}) == 2, "both workers had tests"
    assert len({path.read_text() for path in asked.iterdir()}) == 1
    assert dead(tmp_path)


@pytest.mark.usefixtures("java")
def test_a_broker_ends_with_tests_that_are_killed(tmp_path):
    asked, tests = session(tmp_path, last="import time; time.sleep(600)")
    while not list(asked.iterdir()):
        assert tests.poll() is None, tests.communicate()[0]
        time.sleep(0.1)
    tests.send_signal(signal.SIGKILL)
    tests.communicate()

    assert dead(tmp_path)
