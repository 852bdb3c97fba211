"""A pace delays commands and changes nothing else. The time of these tests is made up."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.codec import decode_command, encode
from fleet.engine.pace import LATE_S, SPEED_MAX, TICK_S, NoSpeed, Pace, speed_of
from fleet.engine.run import Run
from fleet.engine.writer import CommandWriter
from fleet.log.protocol import Written
from nodes.actor import IDLE_S
from nodes.events import COMMAND
from nodes.events import commands as c
from tests.clock import leaping
from tests.memory_log import MemoryLog
from tests.runs import SMALL, STORM, manifest_of, plan_of, records

NS = 1_000_000_000
TOTAL = plan_of(STORM, **SMALL).commands_written()
PARTITION = 4  # of host-0003


class Noted(MemoryLog):
    """A log in memory that notes when what was written."""

    poll_s = 0.01

    def __init__(self, loop, other=None):
        super().__init__(manifest_of(plan_of(STORM, **SMALL), **SMALL), other)
        self.loop = loop
        self.commands = []  # real time, virtual time
        self.commits = []  # real time, partition
        self.slow_s = 0.0  # that an append takes

    async def append_commands(self, partition, commands):
        self.commands += [(self.loop.time(), decode_command(command.value).time_ns / NS) for command in commands]
        self.loop.spend(self.slow_s)
        return await super().append_commands(partition, commands)

    def writer(self, partition):
        writer = super().writer(partition)
        commit = writer.commit

        async def noted(batches, checkpoint=None):
            self.commits += [(self.loop.time(), partition)] if any(batches.values()) else []
            await commit(batches, checkpoint)

        writer.commit = noted
        return writer


def written(log, speed, stop_s=None):
    """The plan's commands, written to a log at a speed. What was said."""
    said = []

    async def work(loop):
        pace = Pace(speed, said.append)
        writer = CommandWriter(log(loop), plan_of(STORM, **SMALL), pace)
        if stop_s is not None:
            loop.call_later(stop_s, writer.stop)
        await writer.run()

    leaping(work)
    return said


def kept(made):
    """A maker of logs that keeps the one it made."""
    logs = []

    def log(loop):
        logs.append(made(loop))
        return logs[0]

    return logs, log


@pytest.mark.parametrize("speed", [1.0, 60.0, 600.0])
def test_no_command_comes_early_and_none_later_than_a_tick(speed):
    logs, log = kept(Noted)
    written(log, speed)

    late_s = [real_s - virtual_s / speed for real_s, virtual_s in logs[0].commands]
    assert len(late_s) == TOTAL
    assert min(late_s) > -1e-6
    assert max(late_s) < TICK_S + 1e-6


@given(st.lists(st.integers(0, 10**13), max_size=20), st.floats(1e-3, 1e6))
def test_ticks_hold_every_command_once_in_order(times, speed):
    commands = {
        partition: [c.ResetHost(n, "h", n, time_ns, 0) for n, time_ns in enumerate(sorted(times))]
        for partition in range(3)
    }
    ticks = list(Pace(speed, print).ticks(commands))

    together = {p: [command for _, part in ticks for command in part.get(p, ())] for p in commands}
    assert together == commands
    assert [time_ns for time_ns, _ in ticks] == sorted({time_ns for time_ns, _ in ticks})
    assert all(command.time_ns <= time_ns for time_ns, part in ticks for of in part.values() for command in of)


def test_a_paced_run_holds_the_bytes_of_one_that_is_not():
    paced = carried_out(60.0)
    other = MemoryLog(paced.manifest)
    asyncio.run(Run(other, plan_of(STORM, **SMALL)).run())

    assert records(paced) == records(other)


def carried_out(speed, meanwhile=None):
    """The small storm in one process at a speed, beside what ``meanwhile`` does. Its log."""
    logs, log = kept(Noted)

    async def work(loop):
        run = Run(log(loop), plan_of(STORM, **SMALL), pace=Pace(speed, print))
        beside = asyncio.ensure_future(meanwhile(logs[0], run)) if meanwhile else None
        await run.run()
        if beside is not None:
            await beside

    leaping(work)
    return logs[0]


def test_events_are_written_soon_after_their_commands():
    log = carried_out(60.0)
    soon_s = log.poll_s + IDLE_S + 1e-6
    written_s = sorted({real_s for real_s, _ in log.commands})
    assert len(log.commits) > 300, "more than once for each partition"
    assert all(any(0 <= at - real_s <= soon_s for real_s in written_s) for at, _ in log.commits)
    assert all(any(0 <= at - real_s <= soon_s for at, _ in log.commits) for real_s in written_s)


def test_a_fault_that_is_sent_to_a_paced_run_is_taken_at_once():
    took_s = []

    async def send(log, run):
        await asyncio.sleep(5.0)
        command = c.ResetHost(0, "host-0003", 1, 0, 77)
        sent_s = log.loop.time()
        log.stored(COMMAND, PARTITION).append(Written(0, b"host-0003", encode(command)))
        while not any(at > sent_s and partition == PARTITION for at, partition in log.commits):
            assert log.loop.time() < sent_s + 1.0, "it waits for other commands"
            await asyncio.sleep(0.001)
        took_s.append(log.loop.time() - sent_s)
        run.stop()

    carried_out(1.0, send)

    assert took_s[0] <= Noted.poll_s + IDLE_S + 0.002


def test_one_that_falls_behind_says_so_once_and_goes_on():
    logs, log = kept(Noted)

    def slow(loop):
        found = log(loop)
        found.slow_s = 3 * LATE_S
        return found

    said = written(slow, 600.0)

    assert len(said) == 1
    assert "behind its pace of 600x" in said[0]
    assert len(logs[0].commands) == TOTAL


def test_a_resumed_run_goes_on_with_the_time_where_it_stands():
    first, log = kept(Noted)
    written(log, 60.0, stop_s=10.0)
    logs, log = kept(lambda loop: Noted(loop, first[0]))
    written(log, 60.0)

    stood_s = max(virtual_s for _, virtual_s in first[0].commands)
    assert 580.0 < stood_s <= 600.0
    assert all(
        -1e-6 < real_s - (virtual_s - stood_s) / 60 < TICK_S + 1e-6 for real_s, virtual_s in logs[0].commands
    )
    assert len(first[0].commands) + len(logs[0].commands) == TOTAL


def test_a_stop_ends_the_longest_wait():
    logs, log = kept(Noted)
    written(log, 0.001, stop_s=3.0)

    assert logs[0].loop.time() < 4.0
    assert logs[0].commands == []


@pytest.mark.parametrize(
    ("text", "speed"), [("max", None), ("1x", 1.0), ("60x", 60.0), ("600", 600.0), ("0.5x", 0.5)]
)
def test_a_speed_is_a_number_of_times(text, speed):
    assert speed_of(text) == speed


@pytest.mark.parametrize("text", ["", "x", "0x", "-1x", "1e3x", "fast", f"{SPEED_MAX * 10:.0f}x", "1xx", "nanx"])
def test_anything_else_is_none(text):
    with pytest.raises(NoSpeed, match="expected max, or how many times faster"):
        speed_of(text)
