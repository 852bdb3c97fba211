"""The log of files: the contract of every log, its folder, its segments, and who may write."""

import asyncio
import itertools
import os
import subprocess
import sys

import msgspec
import pytest

from fleet.log.files import FileLog
from fleet.log.frames import COMMANDS, EVENTS, Frame
from fleet.log.protocol import CorruptLog, LogError
from fleet.manifest import Summary
from nodes.events import COMMAND, OUTCOME, SYNDROME
from tests.fleet.log.contract import OneWriterContract, entries, manifest_of, read, record

SUMMARY = Summary("ab" * 32, 1, 2, {SYNDROME: 3}, {"el3": {"HostReset": 4}}, {"injected": 1}, {COMMAND: [2, 0, 0]})


class TestFileLog(OneWriterContract):
    @pytest.fixture
    def make(self, tmp_path):
        numbers = itertools.count()

        def made(partitions):
            folder = tmp_path / f"run-{next(numbers)}"
            return FileLog.create(folder, manifest_of(partitions)), lambda: FileLog.open(folder)

        return made


class TestFileLogOfManySegments(TestFileLog):
    """The same with a new segment for nearly every commit."""

    @pytest.fixture
    def make(self, tmp_path):
        numbers = itertools.count()

        def made(partitions):
            folder = tmp_path / f"run-{next(numbers)}"
            log = FileLog.create(folder, manifest_of(partitions), segment_size_max=300)
            return log, lambda: FileLog.open(folder)

        return made


def test_a_run_lies_in_a_folder_with_its_manifest(tmp_path):
    manifest = manifest_of()
    FileLog.create(tmp_path / "a" / "b", manifest)

    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "commands",
        "events",
        "manifest.json",
    ]
    assert FileLog.open(tmp_path / "a" / "b").manifest == manifest


def test_an_empty_folder_may_be_there(tmp_path):
    FileLog.create(tmp_path, manifest_of())

    assert FileLog.open(tmp_path).manifest == manifest_of()


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine").write_text("precious")

    with pytest.raises(LogError, match="holds something"):
        FileLog.create(tmp_path, manifest_of())

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_run_is_never_made_twice(tmp_path):
    FileLog.create(tmp_path / "run", manifest_of())

    with pytest.raises(LogError, match="holds something"):
        FileLog.create(tmp_path / "run", manifest_of())


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(LogError, match="file: cannot create"):
        FileLog.create(tmp_path / "file", manifest_of())


def test_where_no_run_lies_there_is_nothing_to_open(tmp_path):
    with pytest.raises(LogError, match="no run lies here"):
        FileLog.open(tmp_path)


def changed_manifest(folder, **fields):
    path = folder / "manifest.json"
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | fields))


def test_another_format_is_refused_by_its_number(tmp_path):
    FileLog.create(tmp_path, manifest_of())
    changed_manifest(tmp_path, format=2, shards="whatever format 2 may have")

    with pytest.raises(CorruptLog, match="format 2, this program reads 1"):
        FileLog.open(tmp_path)


@pytest.mark.parametrize("stored", [b"", b"{", b"[1]", b'{"format": 1}', b'{"format": "\xff"}', b"[" * 9999])
def test_a_manifest_that_is_none_is_corrupt(tmp_path, stored):
    FileLog.create(tmp_path, manifest_of())
    (tmp_path / "manifest.json").write_bytes(stored)

    with pytest.raises(CorruptLog, match="manifest"):
        FileLog.open(tmp_path)


async def test_a_manifest_that_was_changed_is_not_that_of_the_files(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    await log.append_commands(0, [record(1)])
    await log.close()
    changed_manifest(tmp_path, seed=2)

    with pytest.raises(CorruptLog, match="belongs to another run"):
        read(FileLog.open(tmp_path), COMMAND)


def test_a_run_says_how_it_ended(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())

    assert FileLog.open(tmp_path).summary() is None
    log.finish(SUMMARY)
    assert FileLog.open(tmp_path).summary() == SUMMARY


@pytest.mark.parametrize("stored", [b"{", b"{}", b'{"ledger": ' + b"[" * 9999])
def test_a_summary_that_is_none_is_corrupt(tmp_path, stored):
    FileLog.create(tmp_path, manifest_of())
    (tmp_path / "summary.json").write_bytes(stored)

    with pytest.raises(CorruptLog, match="summary"):
        FileLog.open(tmp_path).summary()


async def written(folder, count, *, segment_size_max):
    """A run with ``count`` commits of one record to a partition."""
    log = FileLog.create(folder, manifest_of(), segment_size_max=segment_size_max)
    writer = log.writer(0)
    for number in range(count):
        await writer.commit({SYNDROME: [record(number)], OUTCOME: [record(number)]})
        await log.append_commands(0, [record(number)])
    await writer.close()
    await log.close()
    return FileLog.open(folder)


async def test_a_segment_that_is_full_is_followed_by_the_next(tmp_path):
    log = await written(tmp_path, 12, segment_size_max=800)
    paths = log.segments(EVENTS, 0)

    assert [path.name for path in paths] == [f"0000-{n:04d}.log" for n in range(len(paths))]
    assert len(paths) == 6
    assert max(path.stat().st_size for path in paths) <= 800
    assert read(log, SYNDROME) == entries(SYNDROME, 0, [record(n) for n in range(12)])
    assert log.count(SYNDROME) == 12
    assert log.strangers() == []


async def test_a_frame_that_is_larger_than_a_segment_has_one_for_itself(tmp_path):
    log = await written(tmp_path, 3, segment_size_max=1)

    assert len(log.segments(COMMANDS, 0)) == 3
    assert read(log, COMMAND) == entries(COMMAND, 0, [record(n) for n in range(3)])


async def test_segments_are_read_by_number_even_with_five_digits(tmp_path):
    log = await written(tmp_path, 2, segment_size_max=1)
    for name in ("0000-9999.log", "0000-10000.log"):
        (tmp_path / "events" / name).write_bytes(b"more")

    assert [path.name for path in log.segments(EVENTS, 0)][-2:] == ["0000-9999.log", "0000-10000.log"]


async def test_a_file_that_no_partition_has_is_a_stranger(tmp_path):
    log = await written(tmp_path, 1, segment_size_max=800)
    for name in ("commands/notes.txt", "events/0003-0000.log"):
        (tmp_path / name).write_text("")

    assert log.strangers() == [tmp_path / "commands/notes.txt", tmp_path / "events/0003-0000.log"]


INTRUDER = """
import asyncio, pathlib, sys
from fleet.log.files import FileLog
from nodes.events import SYNDROME
from tests.fleet.log.contract import record
log = FileLog.open(pathlib.Path(sys.argv[1]))
asyncio.run(log.append_commands(0, [record(2)]))
asyncio.run(log.writer(0).commit({SYNDROME: [record(2)]}))
"""


def test_another_process_appends_commands_in_its_turn_and_no_events_beside_the_writer(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    writer = log.writer(0)
    asyncio.run(log.append_commands(0, [record(1)]))
    asyncio.run(writer.commit({SYNDROME: [record(1)]}))
    refused = subprocess.run(
        [sys.executable, "-c", INTRUDER, str(tmp_path)], capture_output=True, text=True, check=False
    )
    offset = asyncio.run(log.append_commands(0, [record(3)]))
    asyncio.run(writer.close())
    asyncio.run(log.close())

    assert "another writer has it" in refused.stderr
    assert offset == 3
    assert read(FileLog.open(tmp_path), COMMAND) == entries(COMMAND, 0, [record(1), record(2), record(3)])
    assert read(FileLog.open(tmp_path), SYNDROME) == entries(SYNDROME, 0, [record(1)])


async def test_a_writer_that_comes_later_goes_on_behind_what_is_there(tmp_path):
    log = await written(tmp_path, 2, segment_size_max=800)
    writer = log.writer(0)
    await writer.commit({SYNDROME: [record(2)]})
    await writer.close()

    assert read(log, SYNDROME) == entries(SYNDROME, 0, [record(n) for n in range(3)])


async def test_a_commit_that_is_cancelled_is_finished_before_its_file_is_closed(tmp_path):
    log = FileLog.create(tmp_path, manifest_of())
    writer = log.writer(0)
    committing = asyncio.ensure_future(writer.commit({SYNDROME: [record(1, 1 << 20)] * 16}))
    await asyncio.sleep(0)
    committing.cancel()
    await asyncio.wait({committing})
    await writer.close()

    assert committing.cancelled()
    assert [type(found) for _, found in log.frames(EVENTS, 0)] == [Frame]
    assert log.count(SYNDROME) == 16


async def test_after_a_failure_nothing_more_is_written(tmp_path):
    log = FileLog.create(tmp_path, manifest_of(), segment_size_max=300)
    writer = log.writer(0)
    await writer.commit({SYNDROME: [record(1)]})
    (tmp_path / "events" / "0000-0001.log").mkdir()

    with pytest.raises(LogError, match=r"0000-0001.log"):
        await writer.commit({SYNDROME: [record(2, 400)]})
    (tmp_path / "events" / "0000-0001.log").rmdir()
    with pytest.raises(LogError, match="failed before"):
        await writer.commit({SYNDROME: [record(3)]})

    await writer.close()
    assert read(log, SYNDROME) == entries(SYNDROME, 0, [record(1)])


async def test_a_commit_is_synchronised_before_it_is_acknowledged(tmp_path, monkeypatch):
    synchronised = []

    def synchronise(descriptor):
        synchronised.append(os.fstat(descriptor).st_size)
        real(descriptor)

    real = os.fdatasync
    log = FileLog.create(tmp_path, manifest_of())
    monkeypatch.setattr(os, "fdatasync", synchronise)
    for number in range(3):
        await log.append_commands(0, [record(number)])
        assert synchronised[number:] == [log.segments(COMMANDS, 0)[0].stat().st_size]
    await log.close()


async def test_a_file_that_a_run_wrote_and_that_is_gone_is_named_to_every_reader(tmp_path):
    log = await written(tmp_path, 2, segment_size_max=800)
    log.finish(SUMMARY)
    path = log.path(COMMANDS, 0)
    path.unlink()

    with pytest.raises(CorruptLog, match=r"commands/0000-0000\.log: at byte 0: the file is missing"):
        read(log, COMMAND)
