"""Events as CloudEvents: what the package of that name reads of them, and that a copy has nothing to hide."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from fleet.codec import TOPICS, decode_any
from fleet.contract.cloudevents import Described
from nodes import events as e
from nodes.events import COMMAND, CPER, HOST_TOPICS
from nodes.events import commands as c
from tests.cli import rasfleet
from tests.facts import KINDS, facts, fields_of
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
        f"ce_{name}"
        for name in ("specversion", "id", "source", "type", "time", "subject", "dataschema", "partitionkey")
    }
    assert names == required | {"content-type", "ce_runid", "ce_host", "ce_sequence", "ce_vtime"}


def made(kind, **fields):
    """An event or a command of a kind, 0 in every field that is not named."""
    zero = {int: 0, str: "", bytes: b""}
    own = {of.name: zero[of.type] for of in fields_of(kind)[4:] if of.required}
    return kind(**{"n": 0, "host": "h", "sequence": 1, "time_ns": 0} | own | fields)


def subject_of(event):
    return DESCRIBED.attributes(event.topic, 0, event).get("subject")


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (made(e.ErrorRecorded, ras_node=3), "dimm3"),
        (made(e.InterruptRaised, ras_node=0x105), "core5/cache"),
        (made(e.RecordCleared, ras_node=0x902), None),  # of no kind that there is
        (made(e.SErrorTaken, pe=7, guest=2), "core7"),
        (made(e.MemoryRead, guest=2), "guest2"),
        (made(e.VirtualSErrorPended, guest=2), "guest2"),
        (made(e.VirtualSErrorTaken, guest=2), "guest2/kernel"),
        (made(e.GuestStarted, guest=2), "guest2/firmware"),
        (made(e.StatusBlockWritten, written_by=e.Level.EL3, source_id=4), "source4"),
        (made(e.OsNotified, notified_by=e.Level.VMM, source_id=1, guest=3), "guest3/source1"),
        (made(e.NotificationRefused, source_id=1), "source1"),
        (
            made(e.RecordLost, lost_by=e.Level.GUEST_KERNEL, source_id=-1, guest=1),
            "guest1/kernel",
        ),  # of any source
        (made(e.PageOfflined, by=e.Level.HYPERVISOR), "kernel"),
        (made(e.PageOfflined, by=e.Level.HYPERVISOR, guest=1), "guest1"),
        (made(e.SignalSent, sent_by=e.Level.GUEST_KERNEL, guest=1), "guest1/kernel"),
        (made(e.KernelPanicked, by=e.Level.HYPERVISOR), "kernel"),
        (made(e.KernelPanicked, by=99), None),
        (made(e.PcieRecoveryQueued, by=e.Level.HYPERVISOR, device=0x1_0208), "pcie0001:02:01.0"),
        (made(e.PcieRecoveryQueued, by=e.Level.GUEST_KERNEL, device=8, guest=1), "guest1/pcie0000:00:01.0"),
        (made(e.FirmwareStopped), "firmware"),
        (made(e.BootErrorFound), "firmware"),
        (made(c.InjectFault), None),
        (made(c.InjectFault, guest=1, pe=4), "guest1"),
        (made(c.PendSError, guest=1, pe=4), "core4"),
        (made(c.PresentBlock, source_id=2, guest=1), "source2"),
        (made(c.WriteErrorRegister, ras_node=0x300), "socket0/interconnect"),
        (made(c.InjectGuestError, guest=1), "guest1"),
        (made(c.RunBarrier, pe=4), "core4"),
    ],
    ids=lambda of: type(of).__name__ if isinstance(of, e.Event) else str(of),
)
def test_a_subject_is_the_component_that_an_event_names(event, subject):
    assert subject_of(event) == subject


def test_only_what_names_no_component_has_no_subject():
    whole = {e.ClockAdvanced, e.CommandRefused, e.HostReset, e.WatchdogExpired, c.ResetHost, c.ChangePolicy}
    addresses = {e.PoisonStored, e.PoisonRemoved, e.MemoryRead, c.InjectFault, c.ReadMemory, c.ScrubMemory}
    by_hypervisor = {"cleared_by", "written_by", "notified_by", "read_by", "logged_by", "lost_by", "sent_by", "by"}
    found = set()
    for kind in KINDS:
        levels = {name: e.Level.HYPERVISOR for name in kind.__struct_fields__ if name in by_hypervisor}
        found |= set() if subject_of(made(kind, **levels)) else {kind}

    assert found == whole | addresses


@given(st.sampled_from(KINDS).flatmap(facts))
def test_any_event_has_a_subject_that_a_header_can_hold(event):
    assert (subject_of(event) or "none").isascii()


def test_subjects_are_components(over):
    found = {event.get_subject() for event in map(binary, entries(over))}

    assert {"dimm0", "core0/cache", "socket0/interconnect", "guest0", "guest0/kernel", "source0", None} <= found


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
