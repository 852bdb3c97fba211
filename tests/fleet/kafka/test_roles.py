"""Roles on brokers that authorise: each can do its work, with the ACLs that the program prints, and no other's."""

import asyncio
import json
import os
import secrets
import subprocess
import time
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from deploy.kafka.__main__ import ROLES as USERS
from deploy.kafka.security import token
from fleet.engine.run import Run
from fleet.log.files import FileLog
from fleet.log.kafka import reader
from fleet.log.kafka.acls import ROLES, forbidden
from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import OF_A_RUN, KafkaLog
from fleet.log.kafka.names import CHECKPOINT, RUNS, group_of, topic_of
from fleet.log.kafka.security import security_of
from fleet.log.kafka.topics import Place
from fleet.log.protocol import LogError
from nodes.events import COMMAND, DEAD_LETTER, HOST_TOPICS
from tests import cli
from tests.kafka import brokers
from tests.runs import ROOT, STORM, carried_out, manifest_of, plan_of, rasfleet

EVENTS = set(HOST_TOPICS)
READS = {
    "simulator": {RUNS, COMMAND},
    "worker": {RUNS, COMMAND, CHECKPOINT, DEAD_LETTER} | EVENTS,
    "consumer": {RUNS} | EVENTS,
    "scorer": {RUNS, COMMAND, DEAD_LETTER} | EVENTS,
}
WRITES = {
    "simulator": {RUNS, COMMAND},
    "worker": {RUNS, CHECKPOINT, DEAD_LETTER} | EVENTS,
    "consumer": set(),
    "scorer": set(),
}
FEW_HOSTS = {"hosts": 4, "faults": 100}
SIZE = [f"--{name}={value}" for name, value in FEW_HOSTS.items()]
NO_LOGIN = dict.fromkeys(("ca", "mechanism", "user", "password"), "")  # what is in the file counts


TEXT = STORM.replace("partitions = 12", "partitions = 2")
FEW = manifest_of(plan_of(TEXT, **FEW_HOSTS), TEXT, **FEW_HOSTS)


def printed(run):
    """The ACLs of a run, as the program prints them."""
    return cli.rasfleet("topics", run, "--acls").out.splitlines()


@pytest.fixture(scope="module")
def run(secured):
    """A run that its simulator made, and nobody works on."""
    name = f"roles-{secrets.token_hex(6)}"
    asyncio.run(secured.grant(printed(name)))
    security = security_of(secured.cluster.bootstrap, secured.environment("simulator"), say=print).client
    log = KafkaLog.create(Brokers(secured.cluster.bootstrap, security=security), name, FEW)
    asyncio.run(log.close())
    return name


@pytest.fixture
def act(secured, run, monkeypatch):
    """Runs a command as a role."""

    def acting(role, *words):
        for name, value in secured.environment(role).items():
            monkeypatch.setenv(name, value)
        return cli.rasfleet(*(str(word).format(run=run) for word in words))

    return acting


def test_the_roles_are_the_users_of_a_secured_broker():
    assert ROLES == USERS == brokers.ROLES


def on_files(folder):
    """The digest of the same run on files."""
    log = FileLog.create(folder, FEW)
    return carried_out(Run(log, plan_of(TEXT, **FEW_HOSTS)), log).summary().digest


@pytest.fixture(scope="module")
def over(secured, tmp_path_factory):
    """A run that its simulator began and a worker with a token came to the end of."""
    name, folder = f"over-{secrets.token_hex(6)}", tmp_path_factory.mktemp("over")
    asyncio.run(secured.grant(printed(name)))
    servers, scenario = secured.cluster.bootstrap, folder / "storm.toml"
    scenario.write_text(TEXT)
    tokens, config = folder / "token", folder / "kafka.toml"
    tokens.write_text(token("worker", now_s=int(time.time())))
    config.write_text(f"ca = '{secured.trusted}'\nmechanism = 'OAUTHBEARER'\ntoken_file = '{tokens}'\n")
    worked = {"RASFLEET_KAFKA": servers, "RASFLEET_CONFIG": str(config)}
    words = [scenario, *SIZE, "--kafka", servers, "--name", name, "--no-workers"]
    begun = rasfleet("run", *words, **secured.environment("simulator"))
    done = rasfleet("worker", "--run", name, **secured.environment("worker", **NO_LOGIN) | worked)
    assert (begun.returncode, done.returncode) == (0, 0), begun.stderr + done.stderr
    return name


def test_a_run_of_a_simulator_and_a_worker_has_the_digest_of_files(over, act, tmp_path):
    found = act("scorer", "info", over, "--json")

    assert json.loads(found.out)["digest"] == on_files(tmp_path / "files")


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("consumer", ["runs"]),
        ("scorer", ["runs"]),
        ("simulator", ["topics", "{run}"]),
        ("simulator", ["inject", "{run}", "memory-uer", "--host=host-0003"]),
    ],
    ids=str,
)
def test_a_role_can_do_its_work(act, role, words):
    done = act(role, *words)

    assert (done.code, bool(done.out)) == (0, True), done.err


@pytest.mark.parametrize(
    ("role", "words", "what"),
    [
        ("consumer", ["tail", "{run}", "--topic=command"], ("Read", "topic", COMMAND)),
        ("consumer", ["topics", "{run}"], ("DescribeConfigs", "topic", None)),
        ("scorer", ["inject", "{run}", "memory-uer", "--host=host-0003"], ("Write", "topic", COMMAND)),
        ("simulator", ["topics", "{run}", "--delete", "--yes"], ("Delete", "topic", None)),
        ("worker", ["inject", "{run}", "memory-uer", "--host=host-0003"], ("Write", "topic", COMMAND)),
    ],
    ids=str,
)
def test_a_role_cannot_do_what_is_another_ones_and_hears_what_it_lacks(act, run, role, words, what):
    done = act(role, *words)
    operation, kind, topic = what
    lines = [
        f"rasfleet: {forbidden(run, operation, kind, topic_of(run, name))}\n"
        for name in ([topic] if topic else OF_A_RUN)
    ]

    assert done.code == 2
    assert done.err in lines


def test_a_role_hears_what_it_lacks_though_the_topic_is_empty(act, run):
    done = act("consumer", "tail", "{run}", "--topic=dead-letter")
    events = act("consumer", "tail", "{run}")

    assert (done.code, done.err) == (
        2,
        f"rasfleet: {forbidden(run, 'Read', 'topic', topic_of(run, DEAD_LETTER))}\n",
    )
    assert events.code == 0, events.err


def test_a_worker_hears_that_it_may_not_remove_the_group_it_joins(act, over):
    done = act("worker", "topics", over, "--delete", "--yes")

    assert done.code == 2
    assert done.err == f"rasfleet: {forbidden(over, 'Delete', 'group', group_of(over))}\n"


@pytest.mark.parametrize(
    ("role", "words"),
    [("consumer", ["worker", "--run"]), ("simulator", ["resume", "--workers=1"])],  # a worker of a supervisor
    ids=str,
)
def test_only_a_worker_joins_the_workers(secured, run, role, words):
    done = rasfleet(*words, run, **secured.environment(role))

    assert done.returncode == 2
    assert done.stderr == f"rasfleet: {forbidden(run, 'Read', 'group', group_of(run))}\n"


async def test_brokers_let_a_role_read_and_write_its_topics_and_no_others(secured, run):
    places = {TopicPartition(topic_of(run, topic), 0): topic for topic in (RUNS, *OF_A_RUN)}
    assert await writable(secured, "admin", places) == set(places)
    for role in ROLES:
        read, written = await readable(secured, role, places), await writable(secured, role, places)

        assert {places[place] for place in read} == READS[role], role
        assert {places[place] for place in written} == WRITES[role], role


async def readable(secured, role, places):
    """Of these places those that a user may read. Each has a record."""
    found = set()
    consumer = AIOKafkaConsumer(**secured.login(role), auto_offset_reset="none")
    await consumer.start()
    try:
        for place in places:
            consumer.assign([place])
            consumer.seek(place, 0)
            with suppress(TopicAuthorizationFailedError):
                await consumer.getone(place)
                found.add(place)
    finally:
        await consumer.stop()
    return found


async def writable(secured, role, places):
    """Of these places those that a user may write. What is written means nothing to anybody."""
    found = set()
    producer = AIOKafkaProducer(**secured.login(role), acks="all")
    await producer.start()
    try:
        for place in places:
            with suppress(TopicAuthorizationFailedError):
                await producer.send_and_wait(place.topic, b"", b"nobody/nothing", partition=0)
                found.add(place)
    finally:
        await producer.stop()
    return found


async def test_a_topic_that_is_not_shown_is_not_waited_for(secured, run, fresh, monkeypatch):
    monkeypatch.setattr(reader, "ANSWER_S", 1.0)
    security = security_of(secured.cluster.bootstrap, secured.environment("consumer"), say=print).client
    there = reader.Reader(Brokers(secured.cluster.bootstrap, security=security), Place(fresh, COMMAND, 0), 0)

    with pytest.raises(LogError, match="Read is not allowed to this user"):
        await there.end()
    await there.close()


def test_the_acls_are_what_the_tool_of_kafka_takes(secured, run):
    admin = ["--bootstrap-server", secured.cluster.bootstrap, "--command-config", secured.cluster.keys.admin]
    path = f"{ROOT}/deploy/kafka/bin:{os.environ['PATH']}"
    line = printed(run)[1]  # of prefixed topics
    done = subprocess.run(
        ["sh", "-s", "--", *admin],
        check=False,
        input=line,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"name={run}., patternType=PREFIXED" in done.stdout


@pytest.mark.parametrize(
    ("role", "group", "may"),
    [
        ("worker", "rasfleet-{run}", True),
        ("consumer", "rasfleet-{run}", False),
        ("scorer", "rasfleet-{run}", False),
        ("consumer", "consumer.of-mine", True),
        ("scorer", "scorer.of-mine", True),
        ("scorer", "consumer.of-mine", False),
    ],
    ids=str,
)
async def test_a_role_has_its_own_groups(secured, run, role, group, may):
    place = TopicPartition(topic_of(run, HOST_TOPICS[0]), 0)
    consumer = AIOKafkaConsumer(**secured.login(role), group_id=group.format(run=run), enable_auto_commit=False)
    consumer.assign([place])
    came = False
    with suppress(GroupAuthorizationFailedError):
        await consumer.start()
        await consumer.commit({place: 0})
        came = True
    await consumer.stop()

    assert came == may
