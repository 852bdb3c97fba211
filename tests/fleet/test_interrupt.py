"""A run that is stopped takes no further commands; what it took is in the log, the rest comes when it goes on."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys

import pytest

from fleet.engine.run import Run
from fleet.integrity import check
from fleet.log.files import FileLog
from nodes.events import COMMAND, HOST_TOPICS
from tests.runs import ROOT, SMALL, STORM, Cut, carried_out, is_beginning, manifest_of, plan_of, records, storm
from tests.torture import gone

LARGE = ["--hosts", "200", "--faults", "40000"]  # more than a signal needs to come


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return records(storm(tmp_path_factory.mktemp("interrupt") / "whole")[1])


def stopped_at(folder, commands):
    """The small storm, stopped when so many commands were handled."""
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(folder, manifest_of(plan, **SMALL))

    def report(progress):
        if progress.commands >= commands:
            run.stop()

    run = Run(log, Cut(plan, 50), report=report)
    if not commands:
        run.stop()
    return carried_out(run, log), log


@pytest.mark.parametrize("commands", [0, 1, 100, 500, 1200])
def test_what_was_taken_is_a_beginning_and_going_on_gives_the_rest(tmp_path, commands, whole):
    run, log = stopped_at(tmp_path / "run", commands)
    stopped = records(log)
    again = carried_out(Run(log, plan_of(STORM, **SMALL)), log)

    assert run.summary().interrupted
    assert commands <= run.summary().commands < 1544
    assert is_beginning(stopped, whole)
    assert not again.summary().interrupted
    assert records(log) == whole
    assert check(log).problems == []


def test_a_run_that_is_stopped_holds_every_event_of_what_it_handled(tmp_path, whole):
    run, log = stopped_at(tmp_path / "run", 600)
    for partition, shard in run.shards.items():
        handled = shard.offset
        later = next(iter(list(log.read(COMMAND, partition))[handled:]), None)
        assert sum(output.n for output in shard.outlet.outputs.values()) == sum(
            len(list(log.read(topic, partition))) for topic in HOST_TOPICS
        ), later


def test_a_run_that_is_stopped_has_no_summary(tmp_path):
    _, log = stopped_at(tmp_path / "run", 100)

    assert log.summary() is None
    assert check(log).whole


def signalled(folder, number):
    """``rasfleet run`` on a terminal of its own, sent a signal once it says that commands were taken."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet", "run", "storm", *LARGE, "--json", "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "NO_COLOR": ""},
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


def resumed(folder):
    return subprocess.run(
        [sys.executable, "-m", "fleet", "resume", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The digest of the large storm that nobody disturbed."""
    folder = tmp_path_factory.mktemp("large") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "run", "storm", *LARGE, "--json", "--out", str(folder)],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_order_and_it_can_go_on(tmp_path, number, large):
    code, told, seen = signalled(tmp_path / "run", number)
    stopped = json.loads(told)
    again = json.loads(resumed(tmp_path / "run").stdout)

    assert code == (0 if number == signal.SIGTERM else 130)
    assert b"interrupted; rasfleet resume" in seen
    assert stopped["interrupted"]
    assert 0 < stopped["faults"] <= 40_000
    assert {**again, "seconds": 0, "out": ""} == {**large, "seconds": 0, "out": "", "repeat": again["repeat"]}


def heeds_sigint():
    """A shell lets what it starts in the background ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def importing(*words, given=None):
    """``rasfleet import`` in a process of its own; nobody reads more than this asks for."""
    return subprocess.Popen(
        [sys.executable, "-m", "fleet", "import", *words],
        stdin=given,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        preexec_fn=heeds_sigint,  # noqa: PLW1509 (nothing here has threads)
    )


def ended(process, number):
    """How it ends. Python may miss a signal between two reads of a pipe until the next one comes."""
    for _ in range(6):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            break
    code = process.poll()
    process.kill()  # else what is left of it fails other tests too
    process.wait()
    process.stdout.close()
    return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_import_while_it_reads(tmp_path, number):
    reader, writer = os.pipe()
    process = importing("-", "--out", str(tmp_path / "run"), given=reader)
    os.close(reader)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:  # until it reads: more than a pipe holds was taken then
            os.write(writer, bytes(4096))
    while not select.select([], [writer], [], 1)[1]:
        assert process.poll() is None

    assert ended(process, number) == 130
    os.close(writer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_import_while_it_reports(tmp_path, number):
    recording = tmp_path / "x.log"
    recording.write_text("[    1.000000] Internal error: synchronous external abort: 96000210 [#1] SMP\n" * 400)
    process = importing(str(recording), "--json", "--out", str(tmp_path / "run"))
    assert process.stdout.read(1) == b"{"

    assert ended(process, number) == 130


def test_a_kill_leaves_at_most_a_torn_end_and_nobody_behind(tmp_path, large):
    code, _, _ = signalled(tmp_path / "run", signal.SIGKILL)
    alone = gone(tmp_path / "run")
    log = FileLog.open(tmp_path / "run")
    report = check(log)

    assert code == -signal.SIGKILL
    assert alone
    assert log.summary() is None
    assert report.whole
    assert report.records[COMMAND] > 0
    assert json.loads(resumed(tmp_path / "run").stdout)["digest"] == large["digest"]
