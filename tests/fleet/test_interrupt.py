"""A run that is stopped takes no further commands, and what it took is in the log with all its events."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from fleet.integrity import check
from fleet.log.files import FileLog
from fleet.run import Run
from nodes.events import COMMAND, HOST_TOPICS
from tests.runs import ROOT, SMALL, STORM, Cut, carried_out, is_beginning, manifest_of, plan_of, records, storm

BATCHES = 4  # of 200 commands, that the small storm has
LARGE = ["--hosts", "200", "--faults", "40000"]  # more than a signal needs to come


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return records(storm(tmp_path_factory.mktemp("interrupt") / "whole")[1])


class Beginning(Cut):
    """The first batches of a plan, as if it had no more."""

    def __init__(self, plan, size, count):
        super().__init__(plan, size)
        self._count = count

    def batches(self):
        return (batch for batch, _ in zip(super().batches(), range(self._count), strict=False))


def stopped_after(folder, count, *, order=None):
    """The small storm, stopped when so many batches were taken."""
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(folder, manifest_of(plan, **SMALL))
    told = []

    def report(progress):
        told.append(progress)
        if len(told) == count:
            run.stop()

    run = Run(log, Cut(plan, 200), order=order, report=report)
    if not count:
        run.stop()
    return carried_out(run, log), log


def only(folder, count):
    """The small storm with no more commands than that."""
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(folder, manifest_of(plan, **SMALL))
    return carried_out(Run(log, Beginning(plan, 200, count)), log), log


@pytest.mark.parametrize("count", range(BATCHES))
def test_what_was_taken_is_there_with_exactly_its_events(tmp_path, count, whole):
    run, log = stopped_after(tmp_path / "stopped", count)
    expected = only(tmp_path / "only", count)[1]

    assert records(log) == records(expected)
    assert is_beginning(records(log), whole)
    assert run.summary().interrupted
    assert log.summary() == run.summary()
    assert check(log).problems == []


def test_the_order_of_shards_does_not_matter_to_a_run_that_is_stopped(tmp_path):
    runs = [stopped_after(tmp_path / str(n), 2, order=order) for n, order in enumerate([None, range(11, -1, -1)])]

    assert records(runs[0][1]) == records(runs[1][1])


def test_a_stop_behind_the_last_command_stops_nothing(tmp_path, whole):
    run, log = stopped_after(tmp_path / "run", BATCHES)

    assert len(list(plan_of(STORM, **SMALL).batches(200))) == BATCHES
    assert not run.summary().interrupted
    assert records(log) == whole


def test_a_run_that_is_stopped_at_once_is_empty(tmp_path):
    run, log = stopped_after(tmp_path / "run", 0)

    assert (run.summary().commands, run.summary().faults) == (0, 0)
    assert all(part == [] for part in records(log).values())


def signalled(folder, number):
    """``rasfleet run`` on a terminal of its own, sent a signal once it says that commands were taken."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet", "run", "storm", *LARGE, "--json", "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    seen = b""
    while not re.search(rb"[1-9][0-9]*/[0-9]", seen):
        seen += os.read(ours, 4096)
    process.send_signal(number)
    seen += read_to_the_end(ours)
    told = process.stdout.read()
    process.stdout.close()
    return process.wait(), told, seen


def read_to_the_end(descriptor):
    seen = b""
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # how a terminal says that its other end is closed
            part = b""
        if not part:
            os.close(descriptor)
            return seen
        seen += part


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_order(tmp_path, number):
    code, told, seen = signalled(tmp_path / "run", number)
    log = FileLog.open(tmp_path / "run")
    summary = log.summary()

    assert code == 130
    assert b"interrupted; what was taken so far is in" in seen
    assert summary.interrupted
    assert 0 < summary.faults < 40_000
    assert json.loads(told)["digest"] == summary.digest
    assert check(log).problems == []


def test_a_kill_leaves_at_most_a_torn_end(tmp_path):
    code, _, _ = signalled(tmp_path / "run", signal.SIGKILL)
    log = FileLog.open(tmp_path / "run")
    report = check(log)

    assert code == -signal.SIGKILL
    assert log.summary() is None
    assert report.whole
    assert report.records[COMMAND] > 0
    assert set(report.records) == {COMMAND, *HOST_TOPICS}
