"""What is wrong with a log on files: a file that is gone is named once, and so is a manifest that was changed."""

import asyncio
import json
import shutil

import pytest

from fleet.codec import encode
from fleet.engine.inject import inject
from fleet.integrity import check, glance
from fleet.log.files import FileLog
from fleet.log.frames import COMMANDS, EVENTS, FILE_HEAD_SIZE
from fleet.log.protocol import CorruptLog, Written
from fleet.view.tracing import Wanted
from nodes.events import ClockAdvanced
from tests.runs import storm

CONTENTS = {"commands": COMMANDS, "events": EVENTS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    storm(folder)
    return folder


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of a run, of one that ended or of one that did not."""

    def made(*, ended=True):
        shutil.copytree(whole, tmp_path / "run")
        if not ended:
            (tmp_path / "run" / "summary.json").unlink()
        return FileLog.open(tmp_path / "run")

    return made


def found(log):
    """Places and reasons of what is wrong, but for the digest of the whole run."""
    return [(one.place, one.reason) for one in check(log).problems if one.place != str(log.folder)]


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_file_that_was_deleted_is_named_once_whether_the_run_ended_or_not(copied, content, ended):
    log = copied(ended=ended)
    log.path(content, 3).unlink()

    ((place, reason),) = found(log)
    assert place == str(log.path(content, 3))
    assert reason.startswith("the file is missing")
    assert not check(log).whole


def test_commands_that_were_handled_and_are_cut_off_are_missed_though_the_run_did_not_end(copied):
    log = copied(ended=False)
    path = log.path(COMMANDS, 3)
    octets = path.read_bytes()
    *_, (_, last) = log.frames(COMMANDS, 3)
    path.write_bytes(octets[: last.start + 5])

    report = check(log)
    assert [(one.place, one.torn) for one in report.problems] == [(str(path), True), (str(path), False)]
    assert report.problems[1].reason.endswith("were handled")
    assert not report.whole


def test_a_run_that_was_only_made_is_whole(copied, tmp_path):
    log = FileLog.create(tmp_path / "made", copied().manifest)

    assert check(log).whole


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"start": "2026-01-02T00:00:00Z"}, {"start": "x"}, {"version": "9"}]
)
def test_a_manifest_that_was_changed_is_told_once_and_all_else_is_checked(copied, change):
    log = copied()
    path = log.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = check(log)

    report = check(FileLog.open(log.folder))
    assert [(one.place, one.reason) for one in report.problems] == [
        (str(path), "not the manifest that the run's files were written under")
    ]
    assert (report.records, report.digest) == (before.records, before.digest)


def test_one_file_of_another_run_is_no_changed_manifest(copied, whole):
    log = copied()
    path = log.path(EVENTS, 3)
    octets = bytearray(path.read_bytes())
    octets[20] ^= 1
    path.write_bytes(octets)

    assert log.has_its_manifest()
    assert {place for place, _ in found(log)} == {str(path)}


def test_a_summary_of_another_number_of_partitions_is_corrupt(copied):
    log = copied()
    path = log.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"partitions": 13}))

    with pytest.raises(CorruptLog, match=r"summary\.json: .* 13 partitions"):
        FileLog.open(log.folder).summary()


def test_a_glance_finds_nothing_wrong_with_a_whole_run_nor_with_commands_that_wait(copied):
    log = copied()
    inject(log, "host-0003", Wanted("memory-ce"))
    log.commands(0).close()

    assert [glance(log, log.summary(), content) for content in CONTENTS.values()] == [[], []]


REFUSED_CLOCK = encode(ClockAdvanced(10**9, "", 0, 5))  # of a plan that has no such number


def test_whatever_is_sent_to_a_run_that_is_over_waits_and_is_nothing_wrong(copied):
    log = copied()
    asyncio.run(log.append_commands(3, [Written(7, b"key", REFUSED_CLOCK), Written(7, b"key", b"none")]))
    asyncio.run(log.close())

    report = check(log)
    assert (report.problems, report.waiting) == ([], 2)


HURTS = {
    "gone": lambda path: path.unlink(),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "nothing but its head": lambda path: path.write_bytes(path.read_bytes()[:FILE_HEAD_SIZE]),
    "another head": lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
    "another end": lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
}


@pytest.mark.parametrize("hurt", HURTS.values(), ids=HURTS)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_glance_finds_a_file_that_is_not_there_with_its_head_and_its_end(copied, content, hurt):
    log = copied()
    hurt(log.path(content, 3))

    problems = glance(log, log.summary(), content)
    assert [one.place for one in problems] == [str(log.path(content, 3))]


def test_a_glance_finds_bytes_behind_the_last_event(copied):
    log = copied()
    path = log.path(EVENTS, 3)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(5))

    assert [(one.offset, one.reason) for one in glance(log, log.summary(), EVENTS)] == [
        (size, "5 bytes behind the last frame")
    ]
