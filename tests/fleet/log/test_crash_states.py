"""Loss of power at every point: nothing that was acknowledged is lost, and whatever is left is no corruption."""

import asyncio
import errno
import itertools
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.engine.run import Run
from fleet.integrity import check
from fleet.log import follow
from fleet.log.disk import Disk
from fleet.log.files import FileLog
from fleet.log.protocol import CorruptLog, LogError
from nodes.events import COMMAND
from tests.fleet.log.crash_states import Torn, crashes, laid_out
from tests.fleet.log.recording_disk import Killed, Record, RecordingDisk, Said
from tests.fleet.log.story import MANIFEST, PLAN, Created, Story, promises_of, stored_in
from tests.runs import Cut, carried_out, records

MEMORY = Path("/dev/shm")
RESUMED = 60  # states from which a run is resumed
STORIES_MAX = 25  # made up by chance


@pytest.fixture(autouse=True)
def _in_order(monkeypatch):
    """No threads: what is recorded is the same every time."""

    async def at_once(work, *given):
        return work(*given)

    for module in ("appending", "files"):
        monkeypatch.setattr(f"fleet.log.{module}.in_thread", at_once)
    monkeypatch.setattr(asyncio, "to_thread", at_once)


class Quick(Disk):
    """What goes on behind a crash; nobody looks whether it is on the disk."""

    def sync(self, descriptor):
        pass

    def sync_folder(self, folder):
        pass


class Unheard:
    """Whoever goes on behind a crash; nobody records it."""

    def __init__(self, root):
        self.root = root

    def say(self, what):
        pass

    def process(self):
        return Quick()


def goes_on(promise, root):
    """Go on behind a crash; what is wrong then."""
    story = Story(Unheard(root)).open()
    story.inject()
    story.log.unfinish()
    for entries in story.take_over().behind.values():
        list(entries)
    story.commit()
    story.append()
    story.close()
    return str(check(story.log).problems or promise.lost(stored_in(story.log)))


def wrong_with(promise, root):
    """What of a promise does not hold for what lies in a folder; empty: nothing."""
    try:
        log = FileLog.open(root / "run")
        if broken := promise.broken(log):
            return broken
        if not check(log).whole:
            return str(check(log).problems)
        return goes_on(promise, root)
    except CorruptLog as fault:
        return f"corrupt: {fault}"
    except LogError as fault:
        return f"refused: {fault}" if promise.created else ""


def checked(record, scratch, torn, *, some=None):
    """Look at every state that a crash may leave, or at some of them; returns how many."""
    promises = promises_of(record)
    states = list(crashes(record, torn))
    if some is not None and len(states) > some:
        states = random.Random(len(states)).sample(states, some)
    for crash in states:
        root = scratch / "crash"
        root.mkdir()
        wrong = wrong_with(promises[crash.said], laid_out(crash.image, root))
        assert not wrong, (wrong, {path: content and len(content) for path, content in crash.image.items()})
        shutil.rmtree(root)
    return len(states)


@pytest.fixture
def scratch():
    """A folder, in memory where there is such a place: thousands of states are laid out in it."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def record(scratch):
    (scratch / "disk").mkdir()
    return Record(scratch / "disk")


def committing(story):
    for checkpoint in (False, True, False):
        story.commit(checkpoint=checkpoint)
    story.close()


def appending(story):
    other = Story(story.record).open()
    for one in (story, other, story, other):
        one.append()
    story.close()
    other.close()


def ending(story):
    """A run that ends, is sent a command, goes on, and ends again."""
    story.append()
    story.commit()
    story.close()
    story.finish()
    story.open().inject()
    story.unfinish()
    story.writer = None
    story.commit()
    story.close()
    story.finish()


STORIES = {  # and where their writes are torn
    "commits": (committing, Torn.BOUNDS),
    "commands": (appending, Torn.EVERY_BYTE),
    "an end and another one": (ending, Torn.BOUNDS),
}


def test_a_crash_while_a_run_is_made(record, scratch):
    Story(record).create()

    assert checked(record, scratch, Torn.BOUNDS) > 60


@pytest.mark.parametrize(("size_max", "torn"), [(1 << 20, None), (300, Torn.HALF)])
@pytest.mark.parametrize(("tell", "closely"), STORIES.values(), ids=STORIES)
def test_a_crash_at_any_point(record, scratch, tell, closely, size_max, torn):
    tell(Story(record, size_max=size_max).create())

    assert checked(record, scratch, torn or closely) > 40


def test_a_crash_while_long_frames_are_written(record, scratch):
    story = Story(record, event_size=3000).create()
    story.commit()
    story.commit()

    assert checked(record, scratch, Torn.BOUNDS) > 60


def killed_at(root, size_max, **dies):
    """What a process did that was killed on its way; None when it came to its end before."""
    root.mkdir()
    record = Record(root)
    story = Story(record, size_max=size_max, **dies)
    try:
        story.create()
        for _ in range(2):
            story.append()
            story.commit()
    except Killed:
        record.began = len(record.done)  # what a crash leaves before, others look at
        return record
    return None


def append_and_commit(story):
    story.append()
    story.commit()


def take(story):
    """See what is there, as a shard does; nothing more is written."""
    if next(story.log.read(COMMAND, 0), None) is not None:
        story.take()


def finish(story):
    take(story)
    story.take_over()
    story.finish()


@pytest.mark.parametrize("then", [append_and_commit, take, finish])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("size_max", [1 << 20, 300])
def test_what_a_killed_process_left_is_on_the_disk_before_anything_is_built_on_it(scratch, then, half, size_max):
    count = 0
    for kill_at in itertools.count():
        record = killed_at(scratch / f"disk-{kill_at}", size_max, kill_at=kill_at, half=half)
        if record is None:
            break
        story = Story(record, size_max=size_max)
        if (story.folder / "manifest.json").exists():
            then(story.open())
            story.close()
            count += checked(record, scratch, Torn.HALF)
    assert count > 50


def test_a_crash_while_the_log_recovers_from_a_crash(record, scratch):
    story = Story(record).create()
    for _ in range(2):
        append_and_commit(story)
    said = [one.what for one in record.done if isinstance(one, Said)]
    count = 0
    for number, crash in enumerate(crashes(record, Torn.HALF)):
        if not any(isinstance(what, Created) for what in said[: crash.said]):
            continue
        (scratch / f"disk-{number}").mkdir()
        again = Record(laid_out(crash.image, scratch / f"disk-{number}"))
        for what in said[: crash.said]:
            again.say(what)
        heir = Story(again).open()
        append_and_commit(heir)
        heir.close()
        count += checked(again, scratch, Torn.HALF)
    assert count > 100


class Failing(RecordingDisk):
    """One call goes wrong, once."""

    def __init__(self, record, call, number):
        super().__init__(record)
        self._call = call
        self._left = number

    def _goes_wrong(self, call):
        self._left -= call == self._call
        if call == self._call and self._left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write(self, descriptor, octets):
        try:
            self._goes_wrong("write")
        except OSError:
            super().write(descriptor, octets[: len(octets) // 2])
            raise
        super().write(descriptor, octets)

    def sync(self, descriptor):
        self._goes_wrong("sync")
        super().sync(descriptor)

    def sync_folder(self, folder):
        self._goes_wrong("sync_folder")
        super().sync_folder(folder)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("call", ["write", "sync", "sync_folder"])
def test_a_call_that_went_wrong_is_made_good_by_the_next_commands(record, scratch, call, number):
    Story(record, size_max=300).create()
    story = Story(record, size_max=300)
    story.disk = Failing(record, call, number)
    story.open()
    for _ in range(4):
        try:
            story.append()
        except LogError:
            story.append()

    assert checked(record, scratch, Torn.HALF) > 40


@pytest.fixture
def undisturbed(record, monkeypatch):
    """A small run to its end, and its records."""
    monkeypatch.setattr(follow, "POLL_S", 0)
    log = FileLog.create(record.root / "run", MANIFEST, segment_size_max=2000, disk=record.process())
    run = Run(log, Cut(PLAN, 3))
    for shard in run.shards.values():
        shard.outlet.commit_bytes = 1000
        shard.outlet.checkpoint_bytes = 2000
    carried_out(run, log)
    return records(log)


def test_a_run_that_is_resumed_behind_a_crash_ends_with_the_bytes_of_one_that_nobody_disturbed(
    record, scratch, undisturbed
):
    states = [crash.image for crash in crashes(record, Torn.HALF) if "run/manifest.json" in crash.image]
    for image in random.Random(1).sample(states, RESUMED):
        (scratch / "crash").mkdir()
        log = FileLog.open(laid_out(image, scratch / "crash") / "run", disk=Quick())
        log.unfinish()
        carried_out(Run(log, PLAN), log)

        assert records(log) == undisturbed
        assert check(log).problems == []
        shutil.rmtree(scratch / "crash")


ACTIONS = ["append", "other", "commit", "checkpoint", "inject", "end"]


def told(record, actions, size_max):
    """A story of any actions; in front of one may stand after how many operations the process is killed."""
    story, other = Story(record, size_max=size_max).create(), Story(record, size_max=size_max).open()
    for name, kill_in in actions:
        story.disk.kill_in(kill_in)
        try:
            act(other if name == "other" else story, name)
        except Killed:
            story = Story(record, size_max=size_max).open()
    for one in (story, other):
        one.disk.kill_in(None)
        one.close()


def act(story, name):
    match name:
        case "append" | "other":
            story.append()
        case "commit" | "checkpoint":
            if story.log.summary() is not None:
                story.unfinish()
            story.commit(checkpoint=name == "checkpoint")
        case "inject":
            story.inject()
        case "end":
            story.close()
            story.writer = None
            take(story)
            story.take_over()
            story.finish()
            story.close()
            story.writer = None


@settings(max_examples=STORIES_MAX)
@given(
    actions=st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.one_of(st.none(), st.integers(0, 6))), min_size=2, max_size=7
    ),
    size_max=st.sampled_from([1 << 20, 300]),
)
def test_whatever_is_done_a_crash_loses_nothing_that_was_acknowledged(actions, size_max):
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        (Path(folder) / "disk").mkdir()
        record = Record(Path(folder) / "disk")
        told(record, actions, size_max)
        checked(record, Path(folder), Torn.HALF, some=20)
