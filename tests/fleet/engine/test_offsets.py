"""Commands are counted, whatever offsets they stand at."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fleet.engine.offsets import Offsets, runs_of
from fleet.engine.run import Run
from fleet.log.protocol import Commands, Entry
from nodes.events import COMMAND
from tests.memory_log import MemoryFeed, MemoryLog
from tests.runs import SMALL, carried_out, manifest_of, plan_of, records

gaps = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 3)), max_size=8
)  # commands, offsets missing behind them


def known(gaps):
    """Offsets of these runs, and the offset of every command."""
    offsets, places, offset = Offsets(), [], 0
    for count, missing in gaps:
        offsets.add(len(places), offset)
        places += range(offset, offset + count)
        offset += count + missing
    return offsets, places


@given(gaps)
def test_every_command_is_found_at_its_offset(gaps):
    offsets, places = known(gaps)

    assert [offsets.of(count) for count in range(len(places))] == places


@given(gaps, st.integers(0, 40))
def test_what_is_kept_of_them_finds_all_that_come_later(gaps, count):
    offsets, places = known(gaps)
    kept = Offsets(offsets.since(count))

    for later in range(count, len(places)):
        assert kept.of(later) == offsets.of(later) == places[later]


def test_without_holes_there_is_one_run():
    offsets = Offsets()
    for count in range(0, 100, 10):
        offsets.add(count, count)

    assert offsets.since(50) == ((0, 0),)


@given(gaps)
def test_commands_are_cut_wherever_an_offset_is_missing(gaps):
    _, places = known(gaps)
    runs = runs_of(Entry(COMMAND, 0, offset, 0, b"", b"%d" % offset) for offset in places)

    assert [int(value) for run in runs for value in run.values] == places
    assert all(int(run.values[0]) == run.offset and run.behind == int(run.values[-1]) + 1 for run in runs)
    assert all(one.behind < other.offset for one, other in pairwise(runs))


class Holed(MemoryLog):
    """Every third offset of the commands has no record."""

    def stretched(self, offset):
        return offset + offset // 2

    async def append_commands(self, partition, commands):
        return self.stretched(await super().append_commands(partition, commands) - 1) + 1

    def read(self, topic, partition, *, start=0):
        if topic != COMMAND:
            yield from super().read(topic, partition, start=start)
            return
        for entry in super().read(topic, partition):
            if self.stretched(entry.offset) >= start:
                yield entry._replace(offset=self.stretched(entry.offset))

    def feed(self, partition, offset):
        return HoledFeed(self, partition, offset)


class HoledFeed(MemoryFeed):
    def __init__(self, log, partition, offset):
        self._log, self._partition = log, partition
        super().__init__([], offset, 0)

    async def next(self):
        while not self._stopped:
            for run in runs_of(self._log.read(COMMAND, self._partition, start=self._offset)):
                self._offset = run.behind
                return run
            if self._end is not None and self._offset >= self._end:
                break
            await asyncio.sleep(0)
        return Commands(self._offset, [], [])


def test_a_run_comes_to_the_same_where_offsets_are_missing_and_when_it_resumes_there():
    plan = plan_of(**SMALL)
    plain, holed = (kind(manifest_of(plan, **SMALL)) for kind in (MemoryLog, Holed))
    run = carried_out(Run(plain, plan), plain)
    stopped = Run(holed, plan)
    for shard in stopped.shards.values():
        shard.outlet._due = shard.outlet.checkpoint_bytes = 1
    carried_out(stopped, holed)
    resumed = carried_out(Run(holed, plan_of(**SMALL)), holed)

    assert stopped.summary() == resumed.summary() == run.summary()
    assert records(holed) == records(plain)
    assert {shard._writer.skipped for shard in resumed.shards.values()} == {0}
