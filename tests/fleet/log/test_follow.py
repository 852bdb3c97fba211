"""Following the files of a partition: over segments, with patience, and never ahead of the disk."""

import asyncio
import os

import pytest

from fleet.log import segments
from fleet.log.files import FileLog
from fleet.log.follow import PATIENCE
from fleet.log.frames import COMMANDS, EVENTS, Frame
from fleet.log.protocol import CorruptLog, LogError
from nodes.events import COMMAND, SYNDROME
from tests.fleet.log.contract import manifest_of, record
from tests.fleet.log.recording_disk import FolderSynced, Record, Synced

FIRST, SECOND = "commands/0000-0000.log", "commands/0000-0001.log"


def made(folder, *, commands=0, size_max=1):
    """A log with a segment for every frame, or all frames in one."""
    log = FileLog.create(folder, manifest_of(), segment_size_max=size_max)
    appended(log, *range(commands))
    return log


def appended(log, *numbers):
    for number in numbers:
        log.commands(0).append([record(number)])
    log.commands(0).close()


@pytest.fixture
def follow():
    """What follows the commands of a log, or its events."""
    followers = []

    def made(log, content=COMMANDS):
        followers.append(log.follow(content, 0))
        return followers[-1]

    yield made
    for follower in followers:
        follower.close()


def spans(follower):
    """Where the frames stand that are there now."""
    return [frame.start for frame in iter(follower.next, None)]


def flipped(path, at):
    """A byte of a file is another one."""
    stored = bytearray(path.read_bytes())
    stored[at] ^= 1
    path.write_bytes(stored)


def test_frames_are_followed_from_segment_to_segment_as_they_come(tmp_path, follow):
    log = made(tmp_path, commands=2)
    follower = follow(log)
    before = len(spans(follower))
    appended(log, 2, 3)

    assert (before, len(spans(follower)), follower.next()) == (2, 2, None)
    assert follower.path == log.segments(COMMANDS, 0)[3]


@pytest.mark.parametrize("head", [b"", b"rasf", bytes(64)])
def test_a_segment_that_was_begun_and_never_written_is_waited_for(tmp_path, follow, head):
    log = made(tmp_path, commands=1)
    follower = follow(log)
    (tmp_path / SECOND).write_bytes(head)
    before = len(spans(follower))
    again = FileLog.open(tmp_path)
    again._segment_size_max = 1
    appended(again, 1)

    assert (before, len(spans(follower))) == (1, 1)


def test_a_first_frame_that_comes_while_an_empty_file_is_looked_at_is_waited_for(tmp_path, monkeypatch, follow):
    log = made(tmp_path)
    follower = follow(log)
    looked = segments.frames

    def meanwhile(file):
        monkeypatch.setattr(segments, "frames", looked)
        appended(FileLog.open(tmp_path), 0)
        return looked(file)

    monkeypatch.setattr(segments, "frames", meanwhile)

    assert (follower.next(), len(spans(follower))) == (None, 1)


@pytest.mark.parametrize("content", [COMMANDS, EVENTS])
def test_a_file_that_was_deleted_is_not_waited_for(tmp_path, follow, content):
    log = made(tmp_path)
    log.path(content, 0).unlink()

    with pytest.raises(CorruptLog, match="missing") as refused:
        follow(log, content).next()
    assert refused.value.place == str(log.path(content, 0))


def test_a_frame_and_a_segment_that_come_between_two_looks_are_no_corruption(tmp_path, follow):
    log = made(tmp_path, commands=1, size_max=300)
    follower = follow(log)
    follower.next()
    path_of = follower._path_of

    def late(segment):
        if segment == 1:
            appended(log, *range(log.commands(0).next, 5))
        return path_of(segment)

    follower._path_of = late

    assert len(spans(follower)) == 4
    assert log.segments(COMMANDS, 0)[1:]


def test_a_broken_frame_at_the_end_is_waited_for_and_read_when_another_one_stands_in_its_place(tmp_path, follow):
    log = made(tmp_path, commands=2, size_max=1 << 20)
    flipped(tmp_path / FIRST, -1)
    follower = follow(log)
    follower.next()
    looks = [follower.next() for _ in range(2 * PATIENCE)]
    appended(FileLog.open(tmp_path), 5)

    assert looks == [None] * 2 * PATIENCE
    assert isinstance(follower.next(), Frame)


def test_a_broken_frame_with_others_behind_it_is_corruption_once_patience_is_at_an_end(tmp_path, follow):
    log = made(tmp_path, commands=3, size_max=1 << 20)
    starts = spans(follow(log))
    flipped(tmp_path / FIRST, starts[2] - 1)
    follower = follow(log)
    follower.next()
    looks = [follower.next() for _ in range(PATIENCE)]

    assert looks == [None] * PATIENCE
    with pytest.raises(CorruptLog) as refused:
        follower.next()
    assert (refused.value.place, refused.value.offset) == (str(tmp_path / FIRST), starts[1])


def test_a_broken_frame_before_a_further_segment_is_corruption(tmp_path, follow):
    log = made(tmp_path, commands=2)
    flipped(tmp_path / FIRST, -1)

    with pytest.raises(CorruptLog, match="a further segment follows"):
        follow(log).next()


async def test_a_broken_command_that_must_be_there_is_corruption(tmp_path, monkeypatch):
    log = made(tmp_path, commands=1)
    flipped(tmp_path / FIRST, -1)
    monkeypatch.setattr("fleet.log.follow.POLL_S", 0)
    feed = log.feed(0, 0)
    feed.finish(1)

    with pytest.raises(CorruptLog, match="checksum"):
        await feed.next()
    feed.close()


@pytest.mark.parametrize("size_max", [1, 1 << 20])
@pytest.mark.parametrize("offset", range(5))
def test_whoever_skips_to_an_offset_reads_on_with_the_frame_that_holds_it(tmp_path, follow, size_max, offset):
    log = made(tmp_path, size_max=size_max)
    for turn in range(3):
        log.commands(0).append([record(2 * turn), record(2 * turn + 1)])
    log.commands(0).close()
    follower = follow(log)
    follower.skip_to(COMMAND, offset)

    assert len(spans(follower)) == 3 - offset // 2


def test_whoever_skips_beyond_the_end_reads_what_comes_then(tmp_path, follow):
    log = made(tmp_path, commands=2)
    follower = follow(log)
    follower.skip_to(COMMAND, 7)
    nothing = follower.next()
    appended(log, 2)

    assert nothing is None
    assert isinstance(follower.next(), Frame)


async def test_a_feed_gives_the_commands_of_many_segments_from_an_offset_on(tmp_path):
    log = made(tmp_path, commands=40)
    feed = log.feed(0, 3)
    values = []
    while len(values) < 37:
        values += (await feed.next()).values
    feed.close()

    assert values == [record(number).value for number in range(3, 40)]


def test_commands_are_handed_out_when_their_file_and_its_name_are_on_the_disk(tmp_path):
    made(tmp_path / "run", commands=1)
    kept = Record(tmp_path)
    feed = FileLog.open(tmp_path / "run", disk=kept.process()).feed(0, 0)
    asyncio.run(feed.next())
    feed.close()

    file = kept.file((tmp_path / "run" / FIRST).stat())
    assert kept.done[kept.began :] == [Synced(file), FolderSynced("run/commands")]


async def test_events_can_be_followed_while_nothing_is_there_yet(tmp_path, follow):
    log = made(tmp_path)
    follower = follow(log, EVENTS)
    nothing = follower.next()
    writer = log.writer(0)
    await writer.commit({SYNDROME: [record(1)]})
    await writer.close()

    assert nothing is None
    assert [part.topic for part in follower.next().parts] == [SYNDROME]


def test_a_file_that_cannot_be_synchronised_is_told_with_its_name(tmp_path, follow, monkeypatch):
    log = made(tmp_path, commands=1)
    follower = follow(log)
    follower.next()

    def refuse(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(LogError, match=r"0000-0000.log: cannot synchronise: Input/output error"):
        follower.sync()


def test_a_head_that_is_written_between_two_looks_is_no_corruption(tmp_path, follow, monkeypatch):
    log = made(tmp_path)
    path = tmp_path / FIRST
    path.touch()
    follower = follow(log)
    real = segments.wrong_head

    def looked(stored, *given):
        if not stored:
            appended(log, 0)  # while the follower thinks about what it read
        return real(stored, *given)

    monkeypatch.setattr("fleet.log.follow.wrong_head", looked)

    assert follower.next() is None
    assert isinstance(follower.next(), Frame)
