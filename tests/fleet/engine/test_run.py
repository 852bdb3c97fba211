"""A run: the same records whatever it is cut into, in whatever order its shards work."""

import asyncio
from pathlib import Path

import pytest

from fleet.codec import TOPICS, decode_command, decode_event
from fleet.digest import digest_of, run_digest
from fleet.engine.run import Progress, Run
from fleet.integrity import check
from fleet.log.files import FileLog
from nodes.actor import Actors
from nodes.events import COMMAND, DEAD_LETTER, HOST_TOPICS, ClockAdvanced
from nodes.events.commands import FAULT_COMMANDS
from tests.runs import SMALL, STORM, Cut, carried_out, manifest_of, plan_of, rasfleet, records, storm

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The small storm with its records."""
    run, log = storm(tmp_path_factory.mktemp("run") / "storm")
    return run.summary(), records(log), log


def again(folder, *, batch=None, order=None, commit_bytes=None, mailbox=None, handled=None):
    """The small storm once more, cut in other ways."""
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(folder, manifest_of(plan, **SMALL))
    run = Run(log, plan if batch is None else Cut(plan, batch), order=order)
    for shard in run.shards.values():
        if commit_bytes is not None:
            shard.outlet.commit_bytes = commit_bytes
        if mailbox is not None:
            shard.actors = Actors(shard.hosts, shard.outlet, mailbox_max=mailbox, batch_max=handled)
    return carried_out(run, log), log


CUTS = {
    "as it is": {},
    "a command at a time": {"batch": 1},
    "batches of 77": {"batch": 77},
    "one batch": {"batch": 1 << 30},
    "shards backwards": {"order": list(range(11, -1, -1))},
    "shards in any order": {"order": [7, 2, 11, 0, 5, 9, 1, 10, 3, 8, 6, 4], "batch": 300},
    "a commit for every flush": {"commit_bytes": 1},
    "one commit": {"commit_bytes": 1 << 30},
    "a mailbox of 1": {"mailbox": 1, "handled": 1, "batch": 50},
    "a mailbox of 64": {"mailbox": 64, "handled": 7},
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_the_records_are_the_same_however_the_run_is_cut(tmp_path, cut, whole):
    run, log = again(tmp_path / "run", **cut)

    assert records(log) == whole[1]
    assert run.summary() == whole[0]


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_records_do_not_depend_on_pythons_hashes(tmp_path, seed, whole):
    words = [word for name, value in SMALL.items() for word in (f"--{name}", value)]
    done = rasfleet("run", "storm", *words, "--out", tmp_path / "run", PYTHONHASHSEED=seed)
    log = FileLog.open(tmp_path / "run")

    assert done.returncode == 0, done.stderr
    assert whole[0].digest in done.stdout
    assert records(log) == whole[1]
    assert log.summary() == whole[0]


def test_the_digest_is_that_of_the_records(whole):
    summary, stored, _ = whole
    parts = {place: digest_of(value for _, _, value in part) for place, part in stored.items()}

    assert summary.digest == run_digest(parts)


def test_the_summary_counts_what_is_there(whole):
    summary, stored, _ = whole
    counts = {topic: sum(len(part) for (of, _), part in stored.items() if of == topic) for topic in TOPICS}
    commands = [decode_command(value) for (of, _), part in stored.items() if of == COMMAND for *_, value in part]

    assert summary.events == {topic: counts[topic] for topic in HOST_TOPICS}
    assert summary.commands == counts[COMMAND] == len(commands)
    assert summary.faults == sum(isinstance(command, FAULT_COMMANDS) for command in commands) == SMALL["faults"]
    assert not summary.interrupted


def test_the_outcomes_are_those_of_the_topic(whole):
    summary, stored, _ = whole
    outcomes = [
        decode_event(value) for (of, _), part in stored.items() if of == HOST_TOPICS[2] for *_, value in part
    ]
    counted = sum(count for level in summary.outcomes.values() for count in level.values())

    assert counted == sum(not isinstance(event, ClockAdvanced) for event in outcomes)
    assert summary.outcomes["el3"]["HostReset"] == sum(type(event).__name__ == "HostReset" for event in outcomes)


def test_every_error_is_accounted_for(whole):
    ledger = whole[0].ledger
    ended = {name: count for name, count in ledger["ended"].items() if name != "lost"}

    assert ledger["injected"] == SMALL["faults"]
    assert sum(ledger["open"].values()) + sum(ended.values()) + sum(ledger["ended"]["lost"].values()) == 800


def test_the_log_is_whole(whole):
    assert check(whole[2]).problems == []


def test_the_clock_is_in_every_topic_and_nothing_that_follows_is_earlier(whole):
    marks = set()
    for (topic, partition), part in whole[1].items():
        if topic == DEAD_LETTER:
            assert part == []
            continue
        events = [(decode_command if topic == COMMAND else decode_event)(value) for *_, value in part]
        clocks = [event.time_ns for event in events if isinstance(event, ClockAdvanced)]
        marks.add(tuple(clocks))
        clock_ns = 0
        for event in events:
            assert event.time_ns >= clock_ns, (topic, partition, event)
            clock_ns = event.time_ns if isinstance(event, ClockAdvanced) else clock_ns
        assert isinstance(events[-1], ClockAdvanced)

    assert len(marks) == 1
    assert len(marks.pop()) == 62


def test_keys_and_times_follow_from_the_values(whole):
    epoch_ms = 1_767_225_600_000
    for (topic, _), part in whole[1].items():
        for key, timestamp_ms, value in part:
            event = (decode_command if topic == COMMAND else decode_event)(value)
            assert key == event.host.encode()
            assert timestamp_ms == epoch_ms + event.time_ns // 1_000_000


def test_progress_is_told_behind_each_batch(tmp_path):
    told = []
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(tmp_path / "run", manifest_of(plan, **SMALL))
    run = carried_out(Run(log, Cut(plan, 200), report=told.append), log)

    assert told[-1] == Progress(run.summary().commands, plan.end_ns)
    assert told == sorted(told)
    assert len(told) >= 4


def test_two_runs_can_share_a_process(tmp_path, whole):
    plan = plan_of(STORM, **SMALL)
    logs = [FileLog.create(tmp_path / name, manifest_of(plan, **SMALL)) for name in "ab"]
    runs = [Run(log, plan_of(STORM, **SMALL)) for log in logs]

    async def both():
        await asyncio.gather(*(run.run() for run in runs), return_exceptions=False)
        await asyncio.gather(*(log.close() for log in logs))

    asyncio.run(both())

    assert [records(log) for log in logs] == [whole[1], whole[1]]


def test_a_run_leaves_no_file_open(tmp_path):
    before = len(list(OPEN_FILES.iterdir()))
    storm(tmp_path / "run")

    assert len(list(OPEN_FILES.iterdir())) == before
