"""What stands in the log is compared and not written again; a difference stops with its place."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.codec import encode
from fleet.engine.standing import Skipping
from fleet.log.protocol import Checkpoint, Contradiction, Entry
from nodes.events import CPER, OUTCOME, SYNDROME, PoisonStored

CHECKPOINT = Checkpoint(b"state", {})


def record(number, **changed):
    event = PoisonStored(number, "h", number + 1, 1000 * number, **{"address": 0x80000000} | changed)
    return 5, b"h", encode(event)


class Kept:
    def __init__(self):
        self.commits = []

    async def commit(self, batches, checkpoint=None):
        self.commits.append(({topic: list(found) for topic, found in batches.items() if found}, checkpoint))

    async def close(self):
        pass

    @property
    def written(self):
        return [found for batches, _ in self.commits for found in batches.get(SYNDROME, [])]


def skipping(standing, topic=SYNDROME):
    kept = Kept()
    entries = (Entry(topic, 3, offset, *found) for offset, found in enumerate(standing))
    return kept, Skipping(kept, {topic: entries, CPER: iter(())})


async def test_where_nothing_stands_everything_is_written_with_its_checkpoint():
    kept, writer = skipping([])
    await writer.commit({SYNDROME: [record(0)]}, CHECKPOINT)

    assert kept.commits == [({SYNDROME: [record(0)]}, CHECKPOINT)]
    assert writer.skipped == 0


async def test_no_checkpoint_is_written_while_more_stands_there():
    kept, writer = skipping([record(n) for n in range(3)])
    await writer.commit({SYNDROME: [record(0)], OUTCOME: [record(7)]}, CHECKPOINT)
    await writer.commit({SYNDROME: [record(1), record(2)]}, CHECKPOINT)

    assert [checkpoint for _, checkpoint in kept.commits] == [None, CHECKPOINT]
    assert kept.written == []


@given(count=st.integers(0, 8), sizes=st.lists(st.integers(1, 4), min_size=9, max_size=9))
def test_however_it_is_cut_only_what_is_new_is_written(count, sizes):
    async def whole():
        kept, writer = skipping([record(n) for n in range(count)])
        at = 0
        for size in sizes:
            await writer.commit({SYNDROME: [record(n) for n in range(at, at + size)]})
            at += size
        writer.check_end()
        return kept.written, at, writer.skipped

    written, total, skipped = asyncio.run(whole())
    assert written == [record(n) for n in range(count, total)]
    assert skipped == count


@pytest.mark.parametrize(
    "again", [record(1, address=0x80000040), (6, b"h", record(1)[2]), (5, b"g", record(1)[2])]
)
async def test_a_difference_stops_with_the_place(again):
    _, writer = skipping([record(0), record(1)])

    with pytest.raises(Contradiction, match=r"ras.syndrome.v1, partition 3, offset 1: what comes again"):
        await writer.commit({SYNDROME: [record(0), again]})


async def test_a_difference_is_told_by_its_fields():
    _, writer = skipping([record(0)])

    with pytest.raises(Contradiction, match="address 2147483712, there stands 2147483648"):
        await writer.commit({SYNDROME: [record(0, address=0x80000040)]})


async def test_what_stands_there_and_does_not_come_again_contradicts():
    _, writer = skipping([record(0), record(1)])
    await writer.commit({SYNDROME: [record(0)]})

    with pytest.raises(Contradiction, match="offset 1: stands in the log and does not come again"):
        writer.check_end()
