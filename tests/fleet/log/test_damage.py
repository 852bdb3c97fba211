"""Files that were hurt: whatever happened is found and said with its place, and what is whole stays readable."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from fleet.log.files import FileLog, run_name_of
from fleet.log.frames import COMMANDS, EVENTS, FILE_HEAD_SIZE, Damage, FileHead, Frame, file_head
from fleet.log.protocol import CorruptLog
from fleet.manifest import Summary
from nodes.events import COMMAND, CPER, SYNDROME
from tests.fleet.log.contract import entries, manifest_of, read, record

COMMITS = 3


class Kept(NamedTuple):
    """A log of one file of events, and where its frames are."""

    log: FileLog
    path: Path
    whole: bytes
    starts: list[int]  # of the frames, and the end

    def hurt(self, stored):
        """Put other bytes into the file; returns what is found there."""
        self.path.write_bytes(stored)
        return [found for _, found in self.log.frames(EVENTS, 0)]

    def flipped(self, at, bit):
        """The bytes with one bit changed."""
        return self.whole[:at] + bytes((self.whole[at] ^ 1 << bit,)) + self.whole[at + 1 :]


@pytest.fixture
async def kept(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    writer = log.writer(0)
    for number in range(COMMITS):
        await writer.commit({SYNDROME: [record(number, 12)], CPER: [record(number, 8)]})
    await writer.close()
    path = log.segments(EVENTS, 0)[0]
    starts = [found.start for _, found in log.frames(EVENTS, 0)]
    return Kept(log, path, path.read_bytes(), [*starts, path.stat().st_size])


def places(found):
    return [(type(one), one.start) for one in found]


def whole_frames(kept, *numbers):
    return [(Frame, kept.starts[number]) for number in numbers]


def test_a_tail_torn_at_any_byte_leaves_what_is_whole(kept):
    last, end = kept.starts[-2:]
    for cut in range(last + 1, end):
        found = kept.hurt(kept.whole[:cut])

        assert places(found) == [*whole_frames(kept, 0, 1), (Damage, last)]
        assert (found[-1].end, found[-1].torn) == (cut, True)
        assert read(kept.log, SYNDROME) == entries(SYNDROME, 0, [record(0, 12), record(1, 12)])


@pytest.mark.parametrize("cut", [FILE_HEAD_SIZE - 1, -1])
def test_after_a_run_that_ended_nothing_is_torn(kept, cut):
    kept.log.finish(Summary("", 0, 0, {}, {}, {}, {COMMAND: [0, 0, 0]}))
    found = kept.hurt(kept.whole[:cut])

    assert [one.torn for one in found if isinstance(one, Damage)] == [False]
    with pytest.raises(CorruptLog):
        read(kept.log, SYNDROME)


def test_a_file_that_ends_with_a_frame_is_not_torn(kept):
    for number, end in enumerate(kept.starts):
        assert places(kept.hurt(kept.whole[:end])) == whole_frames(kept, *range(number))


def test_a_head_torn_at_any_byte_is_the_beginning_of_a_file(kept):
    for cut in range(1, FILE_HEAD_SIZE):
        (found,) = kept.hurt(kept.whole[:cut])

        assert found[:2] == (0, cut)
        assert found.torn
        assert read(kept.log, SYNDROME) == []


def test_any_flipped_bit_of_a_frame_is_found_there_and_the_other_frames_stay_readable(kept):
    for number in range(COMMITS):
        start, end = kept.starts[number : number + 2]
        for at in range(start, end):
            for bit in range(8):
                found = kept.hurt(kept.flipped(at, bit))

                (damage,) = [one for one in found if isinstance(one, Damage)]
                assert damage[:2] == (start, end)
                assert damage.torn == (number == COMMITS - 1)
                assert len(found) == COMMITS


def test_any_flipped_bit_of_a_files_head_is_found_and_its_frames_stay_readable(kept):
    for at in range(FILE_HEAD_SIZE):
        for bit in range(8):
            found = kept.hurt(kept.flipped(at, bit))

            assert places(found) == [(Damage, 0), *whole_frames(kept, 0, 1, 2)]
            assert (found[0].end, found[0].torn) == (FILE_HEAD_SIZE, False)
            with pytest.raises(CorruptLog) as refused:
                read(kept.log, SYNDROME)
            assert (refused.value.place, refused.value.offset) == (str(kept.path), 0)


def test_reading_stops_at_damage_and_names_file_and_byte(kept):
    kept.hurt(kept.flipped(kept.starts[1] + 30, 3))
    reading = kept.log.read(SYNDROME, 0)

    assert next(reading).value == record(0, 12).value
    with pytest.raises(CorruptLog) as refused:
        next(reading)
    assert (refused.value.place, refused.value.offset) == (str(kept.path), kept.starts[1])
    assert "checksum" in refused.value.reason


def test_one_who_asks_reads_on_behind_damage_and_is_told_of_it(kept):
    kept.hurt(kept.flipped(kept.starts[1] + 30, 3))
    told = []
    found = list(kept.log.read(SYNDROME, 0, on_damage=lambda path, damage: told.append((str(path), damage.start))))

    assert [entry.offset for entry in found] == [0, 2]
    assert told == [(str(kept.path), kept.starts[1])]


def test_a_frame_that_was_cut_out_is_missed(kept):
    kept.hurt(kept.whole[: kept.starts[1]] + kept.whole[kept.starts[2] :])
    told = []
    found = list(kept.log.read(SYNDROME, 0, on_damage=lambda _, damage: told.append(damage)))

    assert [entry.offset for entry in found] == [0, 2]
    assert [(damage.start, damage.torn) for damage in told] == [(kept.starts[1], False)]
    with pytest.raises(CorruptLog, match=r"offset 1 of .* is missing"):
        read(kept.log, SYNDROME)


@pytest.mark.parametrize(("order", "missed"), [((1, 0, 2), 0), ((0, 0, 1, 2), 1), ((1, 2), 0)])
def test_frames_that_are_not_in_their_order_are_found(kept, order, missed):
    parts = [kept.whole[start:end] for start, end in zip(kept.starts, kept.starts[1:], strict=False)]
    kept.hurt(kept.whole[:FILE_HEAD_SIZE] + b"".join(parts[number] for number in order))

    with pytest.raises(CorruptLog, match=f"offset {missed} of"):
        read(kept.log, SYNDROME)


def test_bytes_between_frames_are_found(kept):
    start = kept.starts[1]
    found = kept.hurt(kept.whole[:start] + b"FRM1 garbage, FRM1" + kept.whole[start:])

    assert [type(one) for one in found] == [Frame, Damage, Frame, Frame]
    assert (found[1].start, found[1].end, found[1].torn) == (start, start + 18, False)


def test_a_file_of_something_else_is_refused(kept):
    kept.hurt(b"This is a letter, and a longer one than any head of a file.")

    with pytest.raises(CorruptLog, match="begins with") as refused:
        read(kept.log, SYNDROME)
    assert refused.value.offset == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"run": bytes(16)}, "another run"),
        ({"partition": 1}, "segment 0 of the events of partition 1"),
        ({"segment": 1}, "segment 1 of the events of partition 0"),
        ({"content": COMMANDS}, "segment 0 of the commands of partition 0"),
    ],
)
def test_a_file_that_belongs_elsewhere_is_refused(kept, change, reason):
    run = run_name_of(kept.log.manifest)
    other = file_head(FileHead(EVENTS, 0, 0, run)._replace(**change))
    kept.hurt(other + kept.whole[FILE_HEAD_SIZE:])

    assert file_head(FileHead(EVENTS, 0, 0, run)) == kept.whole[:FILE_HEAD_SIZE]
    with pytest.raises(CorruptLog, match=reason):
        read(kept.log, SYNDROME)


@pytest.fixture
async def segmented(tmp_path):
    log = FileLog.create(tmp_path, manifest_of(), segment_size_max=1)
    for number in range(4):
        await log.append_commands(0, [record(number)])
    await log.close()
    return log


@pytest.mark.parametrize("keep", [-1, FILE_HEAD_SIZE + 1, FILE_HEAD_SIZE, FILE_HEAD_SIZE - 1, 0])
def test_a_segment_before_the_last_is_never_torn_but_corrupt(segmented, keep):
    path = segmented.segments(COMMANDS, 0)[1]
    path.write_bytes(path.read_bytes()[:keep])

    reading = segmented.read(COMMAND, 0)
    assert next(reading).offset == 0
    with pytest.raises(CorruptLog) as refused:
        list(reading)
    assert "0000-000" in refused.value.place


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_segment_that_is_missing_is_found(segmented, missing):
    path = segmented.segments(COMMANDS, 0)[missing]
    path.unlink()

    reading = segmented.read(COMMAND, 0)
    assert [next(reading).offset for _ in range(missing)] == list(range(missing)), "what is whole stays readable"
    with pytest.raises(CorruptLog, match="missing") as refused:
        next(reading)
    assert refused.value.place == str(path)


@pytest.mark.parametrize("topic", [COMMAND, SYNDROME])
def test_a_run_that_did_not_end_misses_a_file_that_held_nothing_yet(tmp_path, topic):
    log = FileLog.create(tmp_path, manifest_of())
    path = log.path(COMMANDS if topic == COMMAND else EVENTS, 1)
    path.unlink()

    assert read(log, topic) == []
    with pytest.raises(CorruptLog, match="missing") as refused:
        list(log.read(topic, 1))
    assert refused.value.place == str(path)


def test_a_file_with_a_number_as_nobody_writes_it_is_a_stranger(segmented):
    strange = [
        segmented.folder / "commands" / name for name in ("0000-00009.log", "0000-four.log", "0003-0000.log")
    ]
    for path in strange:
        path.touch()

    assert segmented.strangers() == sorted(strange)
    assert len(read(segmented, COMMAND)) == 4


def test_the_last_segment_may_be_torn(segmented):
    path = segmented.segments(COMMANDS, 0)[-1]
    os.truncate(path, path.stat().st_size - 1)

    assert read(segmented, COMMAND) == entries(COMMAND, 0, [record(n) for n in range(3)])


def test_segments_that_were_exchanged_are_found(segmented):
    first, second = segmented.segments(COMMANDS, 0)[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)

    with pytest.raises(CorruptLog, match="holds segment 1"):
        read(segmented, COMMAND)
