"""Events as CloudEvents: what the package of that name reads of them, and that a copy has nothing to hide."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from fleet.codec import TOPICS, decode_any
from fleet.contract.cloudevents import Described
from nodes.events import COMMAND, CPER, HOST_TOPICS
from tests.cli import rasfleet
from tests.runs import storm

EPOCH_NS = 1_767_225_600_000_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
DESCRIBED = Described("storm-1", EPOCH_NS)


@pytest.fixture(scope="module")
def over(tmp_path_factory):
    return storm(tmp_path_factory.mktemp("cloud") / "storm-1")[1]


def entries(log):
    return [e for topic in TOPICS for partition in range(12) for e in log.read(topic, partition)]


def binary(entry):
    """A record as it stands on Kafka, read by the package."""
    headers = dict(DESCRIBED.headers(entry.topic, entry.partition)(entry[3:]))
    return from_binary(KafkaMessage(headers=headers, key=entry.key or None, value=entry.value), JSONFormat())


def test_the_package_reads_what_each_event_is_and_when_and_where(over):
    for entry in entries(over):
        event = decode_any(entry.topic, entry.value)
        found = binary(entry)
        assert found.get_data() == entry.value
        assert found.get_type() == f"io.rasfleet.{entry.topic.split('.')[1]}.{type(event).__name__}.v1"
        assert found.get_source() == "/runs/storm-1" + (f"/hosts/{event.host}" if event.host else "")
        assert abs(found.get_time() - START - timedelta(microseconds=event.time_ns / 1000)) < timedelta(
            microseconds=2
        )
        assert found.get_datacontenttype() == "application/vnd.msgpack"
        assert found.get_dataschema() == "urn:rasfleet:" + ("command" if entry.topic == COMMAND else "event")
        if event.host:
            assert found.get_extension("partitionkey") == found.get_extension("host") == event.host
            assert int(found.get_extension("sequence")) == event.sequence
        assert (found.get_extension("runid"), int(found.get_extension("vtime"))) == ("storm-1", event.time_ns)


def test_an_id_is_said_once_and_is_that_of_the_position(over):
    ids = [binary(entry).get_id() for entry in entries(over)]
    (cper, *_) = over.read(CPER, 3)

    assert len(set(ids)) == len(ids)
    assert binary(cper).get_id() == "3-ras.cper.v1-0"


def test_the_headers_have_the_names_of_the_kafka_binding(over):
    entry = next(entry for entry in entries(over) if entry.topic == CPER and entry.key)
    names = dict(DESCRIBED.headers(CPER, entry.partition)(entry[3:])).keys()

    required = {
        f"ce_{name}" for name in ("specversion", "id", "source", "type", "time", "dataschema", "partitionkey")
    }
    assert names == required | {"content-type", "ce_runid", "ce_host", "ce_sequence", "ce_vtime"}


def test_subjects_are_components(over):
    found = {event.get_subject() for event in map(binary, entries(over))}

    assert {"dimm0", "core0/cache", "socket0/interconnect", "guest0", None} <= found


def test_what_is_no_event_has_no_headers():
    assert DESCRIBED.headers(COMMAND, 0)((0, b"", b"nonsense")) == []


def test_a_file_has_an_event_a_line_with_what_tail_says_as_its_data(over, tmp_path):
    done = rasfleet("log", "copy", over.folder, tmp_path / "events.json", "--cloudevents", "--json")
    found = [JSONFormat().read(None, line) for line in (tmp_path / "events.json").read_bytes().splitlines()]
    told = rasfleet("tail", over.folder, "--json").lines

    assert (done.code, sum(done.lines[0]["records"].values())) == (0, len(told))
    assert {event.get_id() for event in found} == {f"{t['partition']}-{t['topic']}-{t['n']}" for t in told}
    by_id = {f"{t['partition']}-{t['topic']}-{t['n']}": t for t in told}
    assert all(event.get_data() == by_id[event.get_id()] for event in found)
    assert {event.get_datacontenttype() for event in found} == {"application/json"}


def test_a_file_is_never_written_over_and_holds_no_command(over, tmp_path):
    path = tmp_path / "events.json"
    rasfleet("log", "copy", over.folder, path, "--cloudevents")
    before = path.read_bytes()
    again = rasfleet("log", "copy", over.folder, path, "--cloudevents")

    assert (again.code, again.err.count("\n"), path.read_bytes()) == (2, 1, before)
    assert {json.loads(line)["data"]["topic"] for line in before.splitlines()} == set(HOST_TOPICS)
