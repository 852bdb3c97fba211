"""Anything may stand among the commands: the run goes on, and says in a dead letter what was not done, and why."""

import asyncio
import json

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.codec import EVENT_SIZE_MAX, decode_event, encode
from fleet.copying import copy
from fleet.engine.again import run_again
from fleet.engine.run import Run
from fleet.engine.shard import Shard
from fleet.integrity import check
from fleet.log.files import FileLog
from fleet.log.protocol import LOST, Written
from fleet.partition import partition_of
from nodes.events import COMMAND, DEAD_LETTER, HOST_TOPICS, ClockAdvanced, HostReset, Why
from nodes.events.commands import InjectFault, ReadMemory
from nodes.events.letters import KEY_SIZE_MAX, VALUE_SIZE_MAX
from tests.cli import rasfleet
from tests.memory_log import MemoryLog
from tests.runs import SMALL, Cut, carried_out, manifest_of, plan_of, records, storm

HOST = "host-0003"
PARTITION = partition_of(HOST, 12)
ELSEWHERE = next(f"host-{n:04d}" for n in range(1, 9) if partition_of(f"host-{n:04d}", 12) != PARTITION)
FAR_NS = 10**18
OUTSIDE = 7 << 32  # an origin of nobody here


def fault(number, host=HOST, time_ns=0, origin=OUTSIDE, fault=0, n=0):
    return encode(InjectFault(n, host, number, time_ns, origin, fault, 0x8000_0000))


NONSENSE = [
    (b"", Why.UNDECODABLE),
    (b"GET / HTTP/1.1", Why.UNDECODABLE),
    (msgpack.packb({"fault": "memory-ce"}), Why.UNDECODABLE),
    (encode(HostReset(0, HOST, 1, 0, "no command")), Why.UNDECODABLE),
    (b"\xdd\xff\xff\xff\xff", Why.UNDECODABLE),
    (b"\x91" * 2000, Why.UNDECODABLE),
    (LOST, Why.CORRUPT),
    (bytes(EVENT_SIZE_MAX + 1), Why.OVERSIZED),
    (msgpack.packb([99, 0, HOST, 1, 0, 5]), Why.UNKNOWN_TAG),
    (fault(1, "nobody"), Why.UNKNOWN_HOST),
    (fault(2, "host-" + "9" * 5000), Why.UNKNOWN_HOST),
    (fault(3, ELSEWHERE), Why.OTHER_PARTITION),
    (fault(4, fault=10_000), Why.OUT_OF_RANGE),
    (encode(ReadMemory(0, HOST, 5, 0, OUTSIDE, -1)), Why.OUT_OF_RANGE),
    (encode(ClockAdvanced(10**9, "", 0, FAR_NS)), Why.OUT_OF_PLAN),
    (fault(10**9, origin=0, n=10**9), Why.OUT_OF_PLAN),
    (fault(6, time_ns=FAR_NS), Why.FAR_AHEAD),
    (encode(ClockAdvanced(10**9, "", 0, (1 << 64) - 1)), Why.OUT_OF_RANGE),
    (fault(7, time_ns=1 << 63), Why.OUT_OF_RANGE),
]
STRANGE = [Written(123, b"key \xff", value) for value, _ in NONSENSE]


def begun(kind=None, *given):
    """The plan of the small storm, and a new log for it."""
    plan = plan_of(**SMALL)
    manifest = manifest_of(plan, **SMALL)
    return plan, (FileLog.create(*given, manifest) if kind is None else kind(manifest))


def sent(log, written=STRANGE, partition=PARTITION):
    asyncio.run(log.append_commands(partition, written))


def letters(log, partition=PARTITION):
    return [decode_event(entry.value) for entry in log.read(DEAD_LETTER, partition)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return records(storm(tmp_path_factory.mktemp("plain") / "run")[1])


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """The small storm with nonsense in front: over."""
    plan, log = begun(None, tmp_path_factory.mktemp("strange") / "run")
    sent(log)
    return carried_out(Run(log, plan), log).summary(), log


def test_every_letter_says_why_and_where(strange):
    found = letters(strange[1])

    assert [(letter.n, Why(letter.reason)) for letter in found] == [
        (n, why) for n, (_, why) in enumerate(NONSENSE)
    ]
    assert {(letter.from_topic, letter.from_partition) for letter in found} == {(COMMAND, PARTITION)}
    assert [letter.from_offset for letter in found] == list(range(len(NONSENSE)))
    assert {letter.key for letter in found} == {b"key \xff"}
    for letter, (value, why) in zip(found, NONSENSE, strict=True):
        whole = b"" if why is Why.CORRUPT else value
        assert (letter.value, letter.value_size) == (whole[:VALUE_SIZE_MAX], len(whole))


def test_the_events_are_those_of_a_run_without_it(strange, plain):
    found = records(strange[1])

    assert {place: part for place, part in found.items() if place[0] in HOST_TOPICS} == {
        place: part for place, part in plain.items() if place[0] in HOST_TOPICS
    }


def test_the_summary_counts_letters_by_reason_and_the_digest_covers_them(strange):
    summary, log = strange
    counts = {why.name.lower(): sum(of is why for _, of in NONSENSE) for why in sorted({of for _, of in NONSENSE})}

    assert summary.dead_letters == counts
    assert summary.counts[DEAD_LETTER][PARTITION] == sum(counts.values()) == len(NONSENSE)
    assert check(log).digest == summary.digest
    assert rasfleet("info", log.folder, "--json").lines[0]["dead_letters"] == counts


def test_the_log_is_whole_and_the_run_comes_again_with_its_letters(strange):
    _, log = strange
    again = run_again(log)

    assert check(log).problems == []
    assert (again.difference_count, again.missing, again.digest) == (0, 0, strange[0].digest)


def test_tail_shows_what_cannot_be_read_and_the_letters(strange):
    done = rasfleet("tail", strange[1].folder, "--json", "--topic", "command", "--topic", "dead-letter")
    found = [line for line in done.lines if line["event"] == "CommandRefused"]

    assert done.code == 0
    assert [line["reason"] for line in found] == [why.name.lower() for _, why in NONSENSE]
    assert sum(line["event"] == "UnknownEvent" for line in done.lines) == 9
    followed = rasfleet("tail", strange[1].folder, "--follow", "--topic", "dead-letter").out
    assert followed.count("CommandRefused") == len(NONSENSE)


def test_a_copy_has_the_letters_too(strange, tmp_path):
    _, log = strange
    target = FileLog.create(tmp_path / "copy", log.manifest)
    copy(log, target)

    assert records(target) == records(log)
    assert run_again(target).difference_count == 0


@pytest.mark.parametrize("commands", [0, 5, 17, 18, 300])
@pytest.mark.parametrize("checkpoints", [False, True])
def test_a_run_that_was_stopped_and_goes_on_writes_every_letter_once(tmp_path, strange, commands, checkpoints):
    plan, log = begun(None, tmp_path / "run")
    sent(log)

    def report(progress):
        if progress.commands >= commands:
            run.stop()

    run = Run(log, Cut(plan, 10), report=report)
    for shard in run.shards.values():
        shard.outlet.commit_bytes = 1
        shard.outlet._due = shard.outlet.checkpoint_bytes = 1 if checkpoints else 10**9
    carried_out(run, log)
    resumed = carried_out(Run(log, plan_of(**SMALL)), log)

    assert records(log) == records(strange[1])
    assert resumed.summary().dead_letters == strange[0].dead_letters


def test_a_run_whose_events_were_lost_behind_a_checkpoint_writes_the_same_again(strange):
    plan, log = begun(MemoryLog)
    sent(log)
    stopped = Run(log, plan)
    for shard in stopped.shards.values():
        shard.outlet.checkpoint_of = None  # all of it comes again
    carried_out(stopped, log)
    resumed = carried_out(Run(log, plan_of(**SMALL)), log)

    assert records(log) == records(strange[1])
    assert resumed.shards[PARTITION]._writer.skipped > len(NONSENSE)


@settings(max_examples=12)
@given(st.lists(st.tuples(st.integers(0, 11), st.binary(max_size=60)), max_size=12))
def test_whatever_is_sent_no_shard_stops(plain, nonsense):
    plan, log = begun(MemoryLog)
    for partition, value in nonsense:
        sent(log, [Written(0, b"", value)], partition)
    summary = carried_out(Run(log, plan), log).summary()

    assert sum(summary.dead_letters.values()) == len(nonsense)
    assert all(records(log)[topic, p] == plain[topic, p] for topic in HOST_TOPICS for p in range(12))


def test_what_is_sent_twice_is_done_once_and_is_no_letter():
    plan, log = begun(MemoryLog)
    sent(log, [Written(0, HOST.encode(), fault(1))] * 3)
    summary = carried_out(Run(log, plan), log).summary()

    assert (summary.faults, summary.dead_letters) == (SMALL["faults"] + 1, {})


def test_the_plan_is_found_again_whatever_stands_between_and_behind_it(tmp_path, plain):
    plan, log = begun(None, tmp_path / "run")
    stopped = Run(log, Cut(plan, 10), report=lambda progress: progress.commands < 300 or stopped.stop())
    carried_out(stopped, log)
    for partition in range(12):
        sent(log, STRANGE if partition == PARTITION else STRANGE[:9] + STRANGE[14:16], partition)
    carried_out(Run(log, plan_of(**SMALL)), log)

    assert all(records(log)[topic, p] == plain[topic, p] for topic in HOST_TOPICS for p in range(12))
    assert (check(log).problems, run_again(log).difference_count) == ([], 0)


def test_a_key_is_cut_to_its_bound():
    plan, log = begun(MemoryLog)
    sent(log, [Written(0, bytes(KEY_SIZE_MAX + 1), b"")])
    carried_out(Run(log, plan), log)

    assert len(letters(log)[0].key) == KEY_SIZE_MAX


def test_the_end_of_a_run_tells_its_letters(tmp_path):
    _, log = begun(None, tmp_path / "run")
    sent(log)
    asyncio.run(log.close())
    done = rasfleet("resume", log.folder, "--workers", 2)
    told = json.loads(rasfleet("resume", log.folder, "--json").out)

    assert (done.code, "dead letters" in done.out) == (0, True)
    assert sum(told["dead_letters"].values()) == len(NONSENSE)


def test_of_large_commands_a_shard_holds_no_more_than_its_bound(monkeypatch, tmp_path):
    monkeypatch.setattr("fleet.engine.shard.TAKEN_BYTES_MAX", 200_000)
    seen = []
    real = Shard._take

    async def watched(shard):
        task = asyncio.ensure_future(real(shard))
        while not task.done():
            seen.append(shard._taken_bytes)
            await asyncio.sleep(0)
        await task

    monkeypatch.setattr(Shard, "_take", watched)
    plan, log = begun(None, tmp_path / "run")
    for number in range(1, 101):
        sent(log, [Written(0, b"", bytes(90_000 + number))])
    run = Run(log, plan)
    for shard in run.shards.values():
        shard.actors._batch_max = shard.outlet.commit_bytes = 1  # what it does is slow
    summary = carried_out(run, log).summary()

    assert summary.dead_letters == {"oversized": 100}
    assert 0 < max(seen) < 3_000_000, "the bound, and what a feed hands out at once"
