"""Checkpoints on Kafka: the last whole one counts, and it is found without reading the topic."""

import asyncio
import functools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.log.kafka import checkpoints
from fleet.log.kafka.checkpoints import backwards
from fleet.log.kafka.names import CHECKPOINT
from fleet.log.protocol import CHECKPOINTS_MAX, Checkpoint, Entry
from nodes.events import COMMAND, CPER, SYNDROME
from tests.fleet.log.contract import event, events, record


def checkpoint(number, size=100):
    return Checkpoint(b"%d" % number, {"host": number.to_bytes(4, "big") * (size // 4)})


async def committed(log, count, *, size=100):
    """A partition with so many commits, each with a checkpoint."""
    writer = log.writer(0)
    for number in range(count):
        await writer.commit({SYNDROME: [event(number)]}, checkpoint(number, size))
    return writer


def taken_over(log):
    """The checkpoint that is found, the positions behind it, and what is said."""
    found = log.writer(0).take_over()
    behind = {topic: [entry.offset for entry in entries] for topic, entries in found.behind.items()}
    return found.checkpoint, behind, found.said


def stored(log):
    return [entry for part in log.parts(CHECKPOINT, 0, 0) for entry in part]


async def append(log, key, value):
    await log.loop.wait(log._stream(CHECKPOINT, 0).append([(0, key, value)]))


@pytest.mark.parametrize("size", [0, 100, checkpoints.CHUNK_BYTES, 3_000_000])
async def test_a_checkpoint_of_any_size_is_found(log, again, size):
    await committed(log, 1, size=size)

    assert taken_over(again())[0] == checkpoint(0, size)
    assert max(len(entry.value) for entry in stored(again())) <= checkpoints.CHUNK_BYTES


async def test_two_slots_are_used_in_turn_by_whoever_writes(log, again, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHUNK_BYTES", 60)
    writer = await committed(log, 2)
    await writer.close()
    heir = again().writer(0)
    heir.take_over()
    await heir.commit({}, checkpoint(2))

    keys = [entry.key.decode() for entry in stored(again())]
    assert keys == ["0/1/0", "0/1/1", "0/1", "0/0/0", "0/0/1", "0/0", "0/1/0", "0/1/1", "0/1"]


async def test_a_chain_that_was_cut_off_is_passed_over(log, again):
    await committed(log, 2)
    for chunk in range(3):
        await append(log, b"0/1/%d" % chunk, b"cut off")

    found, behind, said = taken_over(again())
    assert (found, behind[SYNDROME], said) == (checkpoint(1), [], "")


@pytest.mark.parametrize("change", [{"crc": 1}, {"size": 3}, {"chunks": []}, {"chunks": [10**9]}, {"format": 2}])
async def test_one_that_is_broken_is_passed_over_and_said(log, again, change):
    await committed(log, 2)
    head = msgspec.msgpack.decode(stored(log)[-1].value, type=checkpoints.Head)
    await append(log, b"0/0", msgspec.msgpack.encode(msgspec.structs.replace(head, **change)))

    found, behind, said = taken_over(again())
    assert (found, behind[SYNDROME]) == (checkpoint(1), [])
    assert said.startswith(f"{CHECKPOINT}, partition 0, offset 4: ")


async def test_behind_a_broken_one_the_one_before_counts_with_what_stands_behind_it(log, again, monkeypatch):
    await committed(log, 2)
    writer = again().writer(0)
    assert list(writer.take_over().behind[SYNDROME]) == []
    monkeypatch.setattr(checkpoints, "calc_crc32c", lambda _: 0)
    await writer.commit({SYNDROME: [event(2)], CPER: [event(0)]}, checkpoint(2))
    monkeypatch.undo()

    found, behind, said = taken_over(again())
    assert found == checkpoint(1)
    assert (behind[SYNDROME], behind[CPER]) == ([2], [0])
    assert "not whole; the one before it counts" in said


async def test_where_none_is_whole_a_partition_begins_at_its_beginning(log, again):
    await log.writer(0).commit({SYNDROME: events(3)})
    for _ in range(6):
        await append(log, b"0/0", b"broken")

    found, behind, said = taken_over(again())
    assert (found, behind[SYNDROME]) == (None, [0, 1, 2])
    assert said.count("no checkpoint") == CHECKPOINTS_MAX


async def test_it_covers_what_somebody_else_wrote_meanwhile(log, again):
    writer, other = log.writer(0), again().writer(0)
    await writer.commit({SYNDROME: events(3)})
    other.take_over()
    await writer.commit({SYNDROME: events(3, 5)}, checkpoint(1))
    await log.loop.wait(log._stream(SYNDROME, 0).append(events(3, 7)))

    assert taken_over(again())[1][SYNDROME] == [5, 6]


@pytest.mark.parametrize(
    ("offsets", "reason"),
    [
        ({CPER: 7}, "covers ras.cper.v1 up to offset 7, which ends at 0: the broker lost records"),
        ({CPER: None}, "says nothing of ras.cper.v1"),
    ],
)
async def test_one_that_does_not_fit_the_topics_is_passed_over_and_said(log, again, offsets, reason):
    await committed(log, 2)
    head = msgspec.msgpack.decode(stored(log)[-1].value, type=checkpoints.Head)
    fields = {topic: at for topic, at in (head.offsets | offsets).items() if at is not None}
    await append(log, b"0/0", msgspec.msgpack.encode(msgspec.structs.replace(head, offsets=fields)))

    found, behind, said = taken_over(again())
    assert (found, behind[SYNDROME]) == (checkpoint(1), [])
    assert reason in said


async def test_reading_backwards_reads_no_more_than_is_wanted(log):
    await log.loop.wait(log._stream(CHECKPOINT, 0).append([(0, b"", b"%d" % n) for n in range(1000)]))

    async def last():
        reader = log.reader(CHECKPOINT, 0, 0)
        windows = backwards(reader, window=10)
        found = [await anext(windows), await anext(windows)]
        await windows.aclose()
        return found

    first, second = await log.loop.wait(last())
    assert [int(entry.value) for entry in first] == list(range(999, 989, -1))
    assert [int(entry.value) for entry in second] == list(range(989, 969, -1))


class Value(bytes):
    """Bytes that are counted while somebody holds them."""

    held = most = 0

    @classmethod
    def made(cls, size):
        cls.held += size
        cls.most = max(cls.most, cls.held)
        return cls(size)

    def __del__(self):
        Value.held -= len(self)


class Sized:
    """A reader of records of these sizes (fleet.log.kafka.reader.Reader). None: no record stands there."""

    def __init__(self, sizes, part):
        self._sizes = sizes
        self._part = part  # records that come at once
        self.position = 0
        self.read = 0  # records

    async def end(self):
        return len(self._sizes)

    def go(self, position):
        self.position = position

    async def upto(self, end):
        found = []
        while not found and self.position < end:
            offsets = range(self.position, min(self.position + self._part, end))
            self.position = offsets.stop
            found = [
                Entry(COMMAND, 0, offset, 0, b"", Value.made(self._sizes[offset]))
                for offset in offsets
                if self._sizes[offset] is not None
            ]
        self.read += len(found)
        return found

    async def close(self):
        pass


async def walked(reader, **given):
    """The offsets that come backwards, one after another."""
    Value.held = Value.most = 0
    offsets = []
    async for window in backwards(reader, **given):
        offsets += [entry.offset for entry in window]
        window.clear()
    return offsets


BOUND = 100_000


async def test_reading_backwards_holds_a_window_of_bounded_size_however_large_records_are():
    sizes = [10_000] * 300 + [1] * 3000 + [10_000] * 300
    reader = Sized(sizes, part=2)
    offsets = await walked(reader, size_max=BOUND)

    assert offsets == list(range(3600))[::-1]
    assert Value.most <= BOUND + 2 * 10_000
    assert reader.read < 2 * len(sizes)


@given(
    st.lists(st.none() | st.sampled_from([0, 10, 5_000, 2 * BOUND]), max_size=60),
    st.integers(1, 9),
    st.integers(1, 40),
)
def test_every_record_comes_once_backwards_whatever_its_size(sizes, part, window):
    offsets = asyncio.run(walked(Sized(sizes, part), window=window, size_max=BOUND))

    assert offsets == [offset for offset, size in enumerate(sizes) if size is not None][::-1]
    assert Value.held == 0


async def test_large_commands_are_found_backwards_in_windows_that_hold_few(log, monkeypatch):
    await log.append_commands(0, [record(n, 200_000) for n in range(30)])
    monkeypatch.setattr("fleet.log.kafka.log.backwards", functools.partial(backwards, size_max=1_000_000))

    assert [entry.offset for entry in log.commands_backwards(0)] == list(range(30))[::-1]


def test_a_partition_without_a_checkpoint_has_none(log):
    assert taken_over(log)[0] is None
    asyncio.run(log.close())
