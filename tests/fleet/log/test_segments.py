"""The files of a partition for those who append: what is synchronised when, what is cut off, and what never is."""

import pytest

from fleet.log.files import FileLog
from fleet.log.frames import COMMANDS
from fleet.log.protocol import CorruptLog
from fleet.manifest import Summary
from nodes.events import COMMAND
from tests.fleet.log.contract import entries, manifest_of, read, record
from tests.fleet.log.recording_disk import FolderSynced, Named, Record, Synced, Wrote

FIRST, EVENTS_FIRST = "commands/0000-0000.log", "events/0000-0000.log"


@pytest.fixture
def kept(tmp_path):
    return Record(tmp_path)


@pytest.fixture
def log(kept):
    made = FileLog.create(kept.root / "run", manifest_of(), disk=kept.process())
    yield made
    made.commands(0).close()


def since(kept, begin):
    """The kinds of what was done since then, in order."""
    return [type(one) for one in kept.done[begin:]]


def test_a_run_and_the_folders_above_it_are_on_the_disk_when_it_is_made(kept):
    FileLog.create(kept.root / "a" / "run", manifest_of(), disk=kept.process())
    synchronised = [one.path for one in kept.done if isinstance(one, FolderSynced)]
    named = [one.path for one in kept.done if isinstance(one, Named)]

    folders = ["a/run/commands", "a/run/events"]
    files = [f"{folder}/{partition:04d}-0000.log" for folder in folders for partition in range(3)]
    assert synchronised == [".", "a", "a/run", folders[0], "a/run", folders[1], "a/run"]
    assert named[:-3] == ["a", "a/run", folders[0], *files[:3], folders[1], *files[3:]]
    assert "a/run/manifest.json" in named[-3:], "there is a run once all of it is there"


def test_a_segments_head_and_first_frame_are_one_write_and_its_name_comes_before_anything_is_acknowledged(kept):
    log = FileLog.create(kept.root / "run", manifest_of(), segment_size_max=1, disk=kept.process())
    log.commands(0).append([record(1)])
    begin = len(kept.done)
    log.commands(0).append([record(2)])

    assert since(kept, begin) == [Named, Wrote, Synced, FolderSynced]
    log.commands(0).close()


def test_a_further_frame_is_one_write_and_one_synchronisation(kept, log):
    log.commands(0).append([record(1)])
    begin = len(kept.done)
    log.commands(0).append([record(2)])

    assert since(kept, begin) == [Wrote, Synced]


def test_what_another_one_left_is_on_the_disk_before_more_is_written(kept, log):
    log.commands(0).append([record(1)])
    begin = len(kept.done)
    FileLog.open(log.folder, disk=kept.process()).commands(0).append([record(2)])

    assert since(kept, begin) == [FolderSynced, Synced, FolderSynced, Wrote, Synced]


def test_whoever_takes_a_partition_over_has_everything_on_the_disk(kept, log):
    writer = log.writer(0)
    writer._segments.acquire(wait=False)
    list(writer._segments.catch_up())
    writer._store({"ras.syndrome.v1": [record(1)]}, None)
    writer._segments.close()
    begin = len(kept.done)
    heir = FileLog.open(log.folder, disk=kept.process()).writer(0)
    heir.take_over()

    assert since(kept, begin) == [FolderSynced, Synced, FolderSynced]
    heir._segments.close()


def test_the_next_segment_begins_when_this_one_is_on_the_disk(kept):
    log = FileLog.create(kept.root / "run", manifest_of(), segment_size_max=300, disk=kept.process())
    for number in range(6):
        log.commands(0).append([record(number)])
    begun = [at for at, one in enumerate(kept.done) if isinstance(one, Named) and "commands/0000-" in one.path]

    assert len(begun) > 2
    assert all(isinstance(kept.done[at - 1], (Synced, FolderSynced)) for at in begun)


def handled(folder, count):
    """Commands of a run that ended and handled so many of them."""
    log = FileLog.create(folder, manifest_of())
    for number in range(3):
        log.commands(0).append([record(number)])
    log.commands(0).close()
    log.finish(Summary("", 0, 0, {}, {}, {}, {COMMAND: [count, 0, 0]}))
    return FileLog.open(folder)


def shortened(path):
    path.write_bytes(path.read_bytes()[:-1])


def test_a_command_that_a_run_handled_is_never_cut_off(tmp_path):
    log = handled(tmp_path, 3)
    shortened(tmp_path / FIRST)
    stored = (tmp_path / FIRST).read_bytes()

    with pytest.raises(CorruptLog, match="2 commands, the run had 3"):
        log.commands(0).append([record(9)])
    assert (tmp_path / FIRST).read_bytes() == stored


def test_commands_that_are_gone_are_missed_and_not_begun_anew(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    (tmp_path / FIRST).unlink()

    for touched in (lambda: log.commands(0).append([record(9)]), lambda: list(log.commands_backwards(0))):
        with pytest.raises(CorruptLog, match=r"0000-0000\.log: .* missing, and a run cannot go on"):
            touched()
    assert not (tmp_path / FIRST).exists()


def test_events_that_are_gone_are_said_and_begun_anew(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    (tmp_path / EVENTS_FIRST).unlink()
    writer = log.writer(0)

    assert writer.take_over().said.endswith(
        "0000-0000.log: the file is missing; its events are made again from their commands"
    )
    writer._segments.close()


def test_events_whose_first_files_are_gone_are_not_begun_beside_the_others(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    (tmp_path / EVENTS_FIRST).rename(tmp_path / EVENTS_FIRST.replace("-0000", "-0001"))

    with pytest.raises(CorruptLog, match=r"0000-0000\.log: .* missing; remove .*0000-\*\.log too"):
        log.writer(0).take_over()


def test_a_command_that_was_sent_to_a_run_behind_its_end_is_cut_off_and_said_when_it_is_torn(tmp_path):
    log = handled(tmp_path, 2)
    shortened(tmp_path / FIRST)
    end = log.commands(0).append([record(9)])

    assert end == 3
    assert read(log, COMMAND) == entries(COMMAND, 0, [record(0), record(1), record(9)])
    assert "it was being written" in log.commands(0).said


def test_a_broken_frame_before_a_whole_one_is_never_cut_off(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    for number in range(3):
        log.commands(0).append([record(number)])
    starts = [found.start for _, found in log.frames(COMMANDS, 0)]
    stored = bytearray((tmp_path / FIRST).read_bytes())
    stored[starts[1]] ^= 1
    (tmp_path / FIRST).write_bytes(stored)

    with pytest.raises(CorruptLog) as refused:
        FileLog.open(tmp_path).commands(0).append([record(9)])
    assert refused.value.offset == starts[1]
    assert (tmp_path / FIRST).read_bytes() == bytes(stored)


def test_a_file_of_nothing_but_zeros_is_as_if_it_were_not_there(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    (tmp_path / FIRST).write_bytes(bytes(500))

    assert list(log.commands_backwards(0)) == read(log, COMMAND) == []
    assert log.commands(0).append([record(1)]) == 1
    assert read(log, COMMAND) == entries(COMMAND, 0, [record(1)])
