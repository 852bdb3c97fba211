"""What brokers keep of runs: one that cannot be read is said, and hides none; each can be removed."""

import json

import msgspec
import pytest

from fleet.log.kafka.kept import Kept, Removed, Unread, delete, runs
from fleet.log.kafka.log import OF_A_RUN, asked
from fleet.log.kafka.loop import Loop
from fleet.log.kafka.names import ANY_BYTES
from fleet.log.protocol import LogError
from tests.cli import rasfleet
from tests.fleet.log.contract import manifest_of

MANIFEST = msgspec.json.encode(manifest_of())
BROKEN = {  # what stands in the manifest's place -> why it cannot be read
    b"x": "JSON is malformed",
    b'{"format":99}': "format 99, this program reads 1",
    b'{"format":1}': "missing required field",
    b"[]": "Expected `object`",
}


@pytest.fixture
def said(brokers, log):
    """Says something in the topic of all runs; it is taken back when the test is over."""
    keys = []

    def put(key, value):
        loop = Loop()
        loop.call(asked(brokers, print, lambda told: told._stream.append([(0, key, value)])))
        loop.stop()
        keys.append(key)

    yield put
    for key in tuple(keys):
        put(key, b"")


def listed(brokers, name):
    (found,) = [run for run in runs(brokers) if run.run == name]
    return found


@pytest.mark.parametrize(("value", "why"), BROKEN.items(), ids=str)
def test_a_run_that_cannot_be_read_says_why_and_hides_no_other(brokers, log, said, value, why):
    said(f"{log.run}x".encode(), value)

    assert isinstance(listed(brokers, log.run), Kept)
    found = listed(brokers, f"{log.run}x")
    assert isinstance(found, Unread)
    assert why in found.why


def test_a_run_whose_summary_cannot_be_read_is_one(brokers, log, said):
    said(f"{log.run}/summary".encode(), b"{}")

    assert isinstance(listed(brokers, log.run), Unread)


@pytest.mark.parametrize("name", [b"", b"\xff\xfe", b"\x1b[31m", b"UPPER", "\u202e".encode()])
@pytest.mark.parametrize("value", [b"x", MANIFEST])
def test_whatever_somebody_says_of_a_name_that_no_run_has_can_be_taken_away(brokers, log, said, name, value):
    key = name + log.run.upper().encode() if name else name
    text = key.decode(errors=ANY_BYTES)
    said(key, value)
    before = listed(brokers, text)

    assert before == Unread(text, "no run has such a name")
    assert delete(brokers, text) == Removed(0, 1)
    assert text not in {run.run for run in runs(brokers)}


def test_a_run_is_removed_with_all_that_is_said_of_it_and_no_other_one_is(brokers, log, said):
    said(f"{log.run}/end".encode(), b"[1, 2, 3]")
    said(f"{log.run}x/end".encode(), b"[1]")

    assert delete(brokers, log.run) == Removed(len(OF_A_RUN), 2)
    assert delete(brokers, f"{log.run}x") == Removed(0, 1)


def test_what_is_not_there_cannot_be_removed(brokers, log):
    for name in (f"{log.run}x", f"{log.run}/end", "\udcff"):
        with pytest.raises(LogError, match=r"there is none|no name"):
            delete(brokers, name)


def test_people_and_programs_are_told_of_runs_that_cannot_be_read(kafka, log, said):
    said(b"\xff" + log.run.encode(), b"x")
    said(f"{log.run}x".encode(), b'{"format":1,"\\u001b[31m":1}')
    lines = rasfleet("runs", "--kafka", kafka)
    told = {run["run"]: run for run in json.loads(rasfleet("runs", "--kafka", kafka, "--json").out)}
    removed = [
        rasfleet("topics", name, "--delete", "--yes", "--kafka", kafka) for name in (f"{log.run}x", log.run)
    ]

    assert lines.code == 0
    assert f"rasfleet topics $'\\xff{log.run}' --delete removes it" in lines.out
    assert "\x1b" not in lines.out
    assert told[f"\\xff{log.run}"]["error"] == "no run has such a name"
    assert "scenario" in told[log.run]
    assert "error" in told[f"{log.run}x"]
    assert [done.err for done in removed] == [
        f"run {log.run}x: removed 1 record of ras.runs\n",
        f"run {log.run}: removed {len(OF_A_RUN)} topics and 1 record of ras.runs\n",
    ]
