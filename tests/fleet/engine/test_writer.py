"""The writer of commands: it goes on where a log ends, asks for room, and lets the clock go on behind others."""

import asyncio

from fleet.codec import decode_command, encode
from fleet.engine.writer import SETTLE_CLOCKS, CommandWriter
from nodes.events import COMMAND, ClockAdvanced
from nodes.events import commands as c
from tests.memory_log import MemoryLog
from tests.runs import SMALL, STORM, Cut, manifest_of, plan_of

PARTITIONS = 12


def log_of():
    return MemoryLog(manifest_of(plan_of(STORM, **SMALL), **SMALL))


def commands(log):
    return [[decode_command(entry.value) for entry in log.read(COMMAND, p)] for p in range(PARTITIONS)]


def written(log, size=4096, room=None):
    writer = CommandWriter(log, Cut(plan_of(STORM, **SMALL), size))
    asyncio.run(writer.run(room))
    return writer


def sent(partition, host, number):
    return 0, host.encode(), encode(c.ResetHost(number - 1, host, number, 0, 1))


def test_a_writer_that_begins_again_adds_nothing():
    log = log_of()
    written(log)
    first = commands(log)
    writer = written(log)

    assert commands(log) == first
    assert writer.offsets == [len(part) for part in first]
    assert writer.done


def test_a_writer_goes_on_wherever_another_one_ended():
    whole = log_of()
    written(whole)
    for cut in (0, 1, 60, 500):
        log = log_of()
        for partition in range(PARTITIONS):
            log.stored(COMMAND, partition).extend(whole.stored(COMMAND, partition)[: cut + partition])
        written(log, size=77)
        assert commands(log) == commands(whole)


def test_commands_of_others_in_between_are_passed_over():
    whole, log = log_of(), log_of()
    written(whole)
    stored = whole.stored(COMMAND, 4)
    log.stored(COMMAND, 4).extend(
        [*stored[:30], sent(4, "host-0003", 31), *stored[30:40], sent(4, "host-0003", 42)]
    )
    written(log)
    planned = [command for command in commands(log)[4] if not isinstance(command, c.ResetHost)]

    assert planned == commands(whole)[4]


def test_the_clock_goes_on_in_every_partition_where_commands_stand_behind_its_end():
    log = log_of()
    written(log)
    before = commands(log)
    asyncio.run(log.append_commands(4, [sent(4, "host-0003", len(before[4]) + 1)]))
    writer = written(log)
    after = commands(log)

    end_ns = before[0][-1].time_ns
    for partition in range(PARTITIONS):
        marks = after[partition][-SETTLE_CLOCKS:]
        assert [mark.time_ns for mark in marks] == [end_ns + 60_000_000_000, end_ns + 120_000_000_000]
        assert all(isinstance(mark, ClockAdvanced) for mark in marks)
        assert [mark.n for mark in marks] == [before[partition][-1].n + 1, before[partition][-1].n + 2]
    assert writer.offsets == [len(part) for part in after]


def test_it_asks_for_room_before_each_batch():
    asked = []

    async def room(count):
        asked.append(count)

    writer = written(log_of(), size=200, room=room)

    assert asked[0] == 0
    assert asked == sorted(asked)
    assert asked[-1] < writer.written
    assert len(asked) >= 4


def test_one_that_is_stopped_writes_no_more():
    log = log_of()
    writer = CommandWriter(log, Cut(plan_of(STORM, **SMALL), 200))

    async def room(count):
        if count > 300:
            writer.stop()

    assert not asyncio.run(writer.run(room))
    assert not writer.done
    assert 300 < writer.written < 800
