"""Programs of others on a run's topics: they read what we say, and what they send is taken as if it were ours."""

import asyncio
import json
import re
import secrets

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft7Validator
from msgpack.fallback import Packer, Unpacker

from fleet.engine.run import Run
from fleet.integrity_there import check_there
from fleet.log.files import FileLog
from fleet.log.kafka.names import CHECKPOINT, RUNS, topic_of
from fleet.log.protocol import Written
from fleet.partition import partition_of
from nodes.events import COMMAND, CPER, DEAD_LETTER, OUTCOME, SYNDROME, Why
from tests.cli import rasfleet
from tests.kafka.kcat import consumed, produced
from tests.pin_schema import ASYNCAPI
from tests.runs import SMALL, STORM, carried_out, manifest_of, plan_of, records
from tests.runs import rasfleet as process

TEXT = STORM.replace("partitions = 12", "partitions = 3")
HOSTS = [f"host-{number:04d}" for number in (1, 3, 4)]
ORIGIN = (1 << 32) + 7


def sent():
    """A fault for each of some hosts, made without this program, and what is none."""

    def fault(host, number):
        return Packer().pack([2, 0, host, number, 0, ORIGIN, 0, 0x8000_0000])

    faults = [(host, fault(host, number)) for number, host in enumerate(HOSTS, 1)]
    return [*faults, (HOSTS[0], b"no command"), (HOSTS[1], fault("nobody", 9))]


@pytest.fixture(scope="module")
def taken(there, tmp_path_factory):
    """A run that took what kcat sent: its name."""
    name = f"outside-{secrets.token_hex(6)}"
    plan, log = there.begun(name, TEXT, **SMALL)
    for host, value in sent():
        produced(there.servers, f"{name}.{COMMAND}", host, value, tmp_path_factory.mktemp("sent"))
    carried_out(Run(log, plan), log)
    return name


def test_what_kcat_sends_is_taken_and_gives_the_bytes_that_files_give(there, taken, tmp_path):
    plan = plan_of(TEXT, **SMALL)
    files = FileLog.create(tmp_path / "files", manifest_of(plan, TEXT, **SMALL))
    for host, value in sent():
        asyncio.run(files.append_commands(partition_of(host, 3), [Written(0, host.encode(), value)]))
    run = carried_out(Run(files, plan), files)
    summary, found = there.held(taken)

    assert summary == run.summary()
    assert summary.faults == SMALL["faults"] + len(HOSTS)
    assert {place: part for place, part in found.items() if place[0] != COMMAND} == {
        place: part for place, part in records(files).items() if place[0] != COMMAND
    }
    log = there.open(taken)
    assert check_there(log).whole
    asyncio.run(log.close())


@pytest.fixture(scope="module")
def worked_on(there, scenario):
    """A run that a worker process carried out: its name."""
    name = f"outside-{secrets.token_hex(6)}"
    size = [f"--{option}={value}" for option, value in SMALL.items()]
    done = process("run", scenario, *size, "--workers", 1, "--kafka", there.servers, "--name", name)
    assert done.returncode == 0, done.stderr
    return name


def kept(topic):
    """What the document says of a topic: its messages with the patterns of their keys and what checks values."""
    told = yaml.safe_load(ASYNCAPI.read_text())
    (channel,) = (of for of in told["channels"].values() if of["address"] == topic_of("{run}", topic))
    messages = {name: told["components"]["messages"][name] for name in channel["messages"]}
    return {
        name: (of["bindings"]["kafka"]["key"]["pattern"], Draft7Validator(of["payload"] | told))
        for name, of in messages.items()
    }


def named(messages, key):
    (found,) = (name for name, (pattern, _) in messages.items() if re.search(pattern, key))
    return found


def test_what_is_said_of_a_run_is_what_the_document_says(there, worked_on):
    said, messages, found = consumed(there.servers, RUNS), kept(RUNS), set()
    for each in said:
        if each.key.startswith(worked_on.encode()) and each.value:
            name = named(messages, each.key.decode())
            found.add(name)
            assert [fault.message for fault in messages[name][1].iter_errors(json.loads(each.value))] == [], name

    assert found == messages.keys()


def test_the_parts_of_checkpoints_have_the_keys_of_the_document(there, worked_on):
    messages = kept(CHECKPOINT)
    found = {
        named(messages, each.key.decode()) for each in consumed(there.servers, topic_of(worked_on, CHECKPOINT))
    }

    assert found == messages.keys()


async def sent_in_transactions(there, name, host):
    """Two faults that count, and one in a transaction that is given up; each end of one takes an offset, too."""
    producer = AIOKafkaProducer(bootstrap_servers=there.servers, transactional_id=name)
    await producer.start()
    for number, ends in enumerate((producer.commit_transaction, producer.abort_transaction) * 2, 1):
        await producer.begin_transaction()
        value = Packer().pack([2, 0, host, number, 0, ORIGIN, 0, 0x8000_0000])
        await producer.send_and_wait(f"{name}.{COMMAND}", value, host.encode(), partition_of(host, 3))
        await ends()
    await producer.stop()


def test_offsets_that_transactions_take_are_nothing_wrong_in_a_log(there, fresh):
    plan, log = there.begun(fresh, TEXT, **SMALL)
    carried_out(Run(log, plan), log)
    asyncio.run(sent_in_transactions(there, fresh, HOSTS[0]))
    waiting = rasfleet("log", "verify", fresh, "--kafka", there.servers)
    resumed = rasfleet("resume", fresh, "--kafka", there.servers, "--json")
    checked = [rasfleet(*words, fresh, "--kafka", there.servers) for words in (["log", "verify"], ["verify"])]

    assert (waiting.code, "4 commands, for rasfleet resume" in waiting.out) == (0, True), waiting.out
    assert resumed.code == 0, resumed.err
    assert [done.code for done in checked] == [0, 0], checked


def test_a_letter_has_its_reason_and_its_place_in_headers(there, taken):
    found = consumed(there.servers, f"{taken}.{DEAD_LETTER}")

    assert sorted(message.headers["dlq_reason"] for message in found) == ["undecodable", "unknown_host"]
    commands = {(of.partition, of.offset): of.value for of in consumed(there.servers, f"{taken}.{COMMAND}")}
    for message in found:
        letter = Unpacker()
        letter.feed(message.value)
        _, _, _, _, _, reason, topic, partition, offset, _, value, size = letter.unpack()
        said = {"dlq_topic": topic, "dlq_partition": str(partition), "dlq_offset": str(offset)}
        assert message.headers == said | {"dlq_reason": Why(reason).name.lower()}
        assert value == commands[partition, offset]
        assert size == len(value)


def test_kcat_and_another_decoder_find_what_tail_says(there, taken):
    document = yaml.safe_load(ASYNCAPI.read_text())["components"]
    events = [name for name, of in document["messages"].items() if of["contentType"] == "application/vnd.msgpack"]
    kinds = {document["schemas"][name]["items"][0]["const"]: document["schemas"][name] for name in events}
    told = {
        (line["topic"], line["partition"], line["n"]): line
        for line in rasfleet("tail", taken, "--kafka", there.servers, "--json").lines
    }
    seen = 0
    for topic in (SYNDROME, CPER, OUTCOME):
        for message in consumed(there.servers, f"{taken}.{topic}"):
            unpacker = Unpacker()
            unpacker.feed(message.value)
            tag, *fields = unpacker.unpack()
            names = [item["title"] for item in kinds[tag]["items"][1:]]
            found = dict(zip(names, fields, strict=True))
            line = told[topic, message.partition, found["n"]]
            assert (kinds[tag]["title"], message.key.decode()) == (line["event"], line["host"])
            assert all(same(value, line[name]) for name, value in found.items())
            seen += 1

    assert seen == len(told) > 1000


def same(value, said):
    """Whether a field is what is printed of it; words that stand for numbers are looked at elsewhere."""
    if isinstance(value, bytes):
        return value.hex() == said
    if said is None:
        return value == -1
    if isinstance(value, int) and isinstance(said, str):
        return not said.startswith("0x") or int(said, 16) == value
    return value == said


def test_every_key_of_librdkafka_is_in_the_partition_of_ours(there, taken):
    messages = consumed(there.servers, f"{taken}.{COMMAND}")

    assert {of.partition for of in messages} == {0, 1, 2}
    assert all(of.partition == partition_of(of.key.decode(), 3) for of in messages if of.key)


def test_a_copy_as_cloudevents_is_a_whole_run_whose_headers_say_what_it_holds(there, taken, fresh):
    done = rasfleet("log", "copy", f"kafka:{taken}", f"kafka:{fresh}", "--cloudevents", "--kafka", there.servers)
    read = consumed(there.servers, f"{fresh}.{SYNDROME}")
    events = [
        from_binary(
            KafkaMessage({name: said.encode() for name, said in of.headers.items()}, of.key or None, of.value),
            JSONFormat(),
        )
        for of in read
    ]

    assert done.code == 0, done.err
    assert there.held(fresh) == there.held(taken)
    assert {event.get_extension("runid") for event in events} == {taken}
    assert len({event.get_id() for event in events}) == len(events) > 1000
    assert {event.get_data() for event in events} == {
        of.value for of in consumed(there.servers, f"{taken}.{SYNDROME}")
    }
