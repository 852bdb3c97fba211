"""A shard: events leave it encoded, numbered and in commits; the commands come to it when they are durable."""

import asyncio
import os

import pytest

from fleet.codec import EVENT_SIZE_MAX, decode_event, encode
from fleet.engine.outlet import ShardOutlet
from fleet.engine.run import Run
from fleet.engine.shard import Shard, first_of
from fleet.log.files import FileLog
from fleet.log.protocol import LogError, Standing, Written
from fleet.scenario.plan import roster_of
from nodes.events import (
    COMMAND,
    CPER,
    HOST_TOPICS,
    OUTCOME,
    SYNDROME,
    ClockAdvanced,
    HostReset,
    Level,
    OsNotified,
    PoisonStored,
    StatusBlockWritten,
)
from tests.memory_log import MemoryLog
from tests.runs import SMALL, STORM, carried_out, manifest_of, plan_of, records, storm

EPOCH_NS = 1_767_225_600_000_000_000


class Kept:
    """A writer that keeps commits in memory."""

    def __init__(self):
        self.commits = []
        self.closed = False

    def take_over(self, unusable=None):
        return Standing(None, {})

    async def commit(self, batches, checkpoint=None):
        self.commits.append({topic: list(records) for topic, records in batches.items()})

    async def close(self):
        self.closed = True


@pytest.fixture
def writer():
    return Kept()


async def test_an_event_is_written_with_its_place_its_key_and_its_time(writer):
    outlet = ShardOutlet(writer, EPOCH_NS)
    outlet.publish(PoisonStored, "host-0003", 7, 2_500_000, (0x80000000,))
    await outlet.commit()

    event = PoisonStored(0, "host-0003", 7, 2_500_000, 0x80000000)
    assert writer.commits == [{SYNDROME: [Written(EPOCH_NS // 10**6 + 2, b"host-0003", encode(event))]}]


async def test_each_topic_counts_its_own_events(writer):
    outlet = ShardOutlet(writer, EPOCH_NS)
    for number in range(3):
        outlet.publish(PoisonStored, "h", 2 * number, 0, (0,))
        outlet.publish(StatusBlockWritten, "h", 2 * number + 1, 0, (1, 0, 0, b"block"))
        await outlet.commit()

    for topic in (SYNDROME, CPER):
        assert [decode_event(commit[topic][0][2]).n for commit in writer.commits] == [0, 1, 2]
    assert outlet.outputs[SYNDROME].n == 3
    assert outlet.outputs[OUTCOME].n == 0


async def test_the_clock_goes_into_every_topic(writer):
    outlet = ShardOutlet(writer, EPOCH_NS)
    outlet.watermark(60)
    await outlet.commit()

    (commit,) = writer.commits
    assert list(commit) == list(HOST_TOPICS)
    assert {decode_event(record[2]) for (record,) in commit.values()} == {ClockAdvanced(0, "", 0, 60)}


async def test_flushing_writes_when_enough_has_come_together(writer):
    outlet = ShardOutlet(writer, EPOCH_NS, commit_bytes=100)
    for number in range(30):
        outlet.publish(StatusBlockWritten, "h", number, 0, (1, 0, 0, bytes(10)))
        await outlet.flush()

    sizes = [sum(len(record[2]) for record in commit[CPER]) for commit in writer.commits]
    assert len(sizes) >= 5
    assert all(100 <= size < 130 for size in sizes), "an event takes less than 30 bytes"


async def test_nothing_published_is_nothing_to_write(writer):
    outlet = ShardOutlet(writer, EPOCH_NS, commit_bytes=1)
    await outlet.flush()
    await outlet.commit()

    assert [commit for commit in writer.commits if commit] == []


async def test_outcomes_are_counted_by_kind_and_level(writer):
    outlet = ShardOutlet(writer, EPOCH_NS)
    outlet.publish(OsNotified, "h", 1, 0, (int(Level.EL3), 0, 0, 0))
    outlet.publish(OsNotified, "h", 2, 0, (int(Level.VMM), 0, 0, 0))
    outlet.publish(OsNotified, "h", 3, 0, (int(Level.VMM), 0, 0, 0))
    outlet.publish(HostReset, "h", 4, 0, ("panic", 0))
    outlet.publish(PoisonStored, "h", 5, 0, (0,))
    await outlet.commit()

    assert outlet.outcomes == {(OsNotified, 1): 1, (OsNotified, 3): 2, (HostReset, Level.EL3): 1}


async def test_an_event_beyond_the_limit_is_our_own_fault(writer):
    outlet = ShardOutlet(writer, EPOCH_NS)
    outlet.publish(StatusBlockWritten, "h", 1, 0, (1, 0, 0, bytes(EVENT_SIZE_MAX)))

    with pytest.raises(AssertionError, match="an event beyond 65536 bytes"):
        await outlet.commit()


async def test_no_shard_sees_a_command_before_it_is_durable(tmp_path, monkeypatch):
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(tmp_path / "run", manifest_of(plan, **SMALL))
    run = Run(log, plan)
    seen = []

    def synchronised(descriptor):
        seen.append(sum(shard.offset for shard in run.shards.values()))
        real(descriptor)

    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", synchronised)
    appended = log.append_commands
    log.append_commands = lambda partition, commands: _checked(appended(partition, commands), run, partition)
    await run.run()
    await log.close()

    assert len(seen) > 12


async def _checked(appending, run, partition):
    before = run.shards[partition].offset
    offset = await appending
    assert run.shards[partition].offset <= offset
    assert before <= run.writer.offsets[partition]
    return offset


class Failing(Kept):
    async def commit(self, batches, checkpoint=None):
        raise LogError("the disk is full")


@pytest.mark.parametrize("failing", [[11], range(12)])
def test_a_shard_that_cannot_write_ends_the_run_and_closes_every_writer(tmp_path, failing):
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(tmp_path / "run", manifest_of(plan, **SMALL))
    writers = {partition: Failing() if partition in failing else Kept() for partition in range(12)}
    log.writer = writers.__getitem__

    with pytest.raises(LogError, match="the disk is full"):
        carried_out(Run(log, plan), log)
    assert all(writer.closed for writer in writers.values())


def test_shards_are_made_in_the_order_that_was_asked_for(tmp_path):
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(tmp_path / "run", manifest_of(plan, **SMALL))
    order = [3, 1, 2, 0, *range(11, 3, -1)]

    assert list(Run(log, plan, order=order).shards) == order


@pytest.mark.parametrize("active_max", [1, 2])
def test_a_storm_comes_to_the_same_whatever_is_put_away(tmp_path, active_max):
    options = {"hosts": 60, "faults": 1500}
    plan = plan_of(STORM, **options)
    free, _ = storm(tmp_path / "free", **options)
    log = FileLog.create(tmp_path / "bound", manifest_of(plan, **options))
    bound = Run(log, plan)
    for shard in bound.shards.values():
        shard.hosts._active_max = shard.hosts._sweep_at = active_max
    carried_out(bound, log)

    assert bound.summary() == free.summary()
    assert sum(len(shard.hosts._away) for shard in bound.shards.values()) >= 30


def test_of_several_errors_of_a_log_the_first_one_is_said_and_of_a_defect_all():
    first, defect = LogError("first"), AssertionError("ours")
    errors = ExceptionGroup("of tasks", [ExceptionGroup("of others", [first]), LogError("second")])
    mixed = ExceptionGroup("of tasks", [first, defect])

    assert first_of(errors) is first
    assert first_of(mixed) is mixed


@pytest.mark.parametrize("changed", ["nodes.actor.SNAPSHOT_FORMAT", "fleet.engine.shard.STATE_FORMAT"])
def test_where_another_program_wrote_the_checkpoints_everything_comes_again_and_is_compared(
    tmp_path, monkeypatch, changed
):
    _, whole = storm(tmp_path / "whole")
    plan = plan_of(**SMALL)
    log = FileLog.create(tmp_path / "run", manifest_of(plan, **SMALL))
    with monkeypatch.context() as patch:
        patch.setattr(changed, 99)
        run = Run(log, plan, report=lambda at: run.stop() if at.commands > 400 else None)
        carried_out(run, log)
    resumed = carried_out(Run(log, plan_of(**SMALL)), log)

    assert records(log) == records(whole)
    assert sum(shard.summary().skipped for shard in resumed.shards.values()) > 400


@pytest.mark.parametrize(("said", "held"), [(-3, 0), (0, 0), (-3, -3)])
def test_an_end_that_was_said_in_front_of_what_was_handled_is_one_as_long_as_that_is_there(said, held):
    plan = plan_of(**SMALL)
    log = MemoryLog(manifest_of(plan, **SMALL))
    carried_out(Run(log, plan), log)
    roster, epoch_ns = roster_of(log.manifest)
    end = len(log.stored(COMMAND, 3))
    shard = Shard(3, roster, log, epoch_ns)
    del log.stored(COMMAND, 3)[end + held :]

    if held:
        with pytest.raises(LogError, match=f"{end} commands were handled, the log holds {end + held}"):
            shard.finish(end + said)
    else:
        shard.finish(end + said)
        asyncio.run(shard.run())
        assert shard.commands == end
