"""The supervisor: it says which worker died of what, starts it again, and knows when to give up."""

import asyncio
import re
import signal

import pytest

from fleet.engine import supervisor as module
from fleet.engine.messages import Failed, failure_of, raised
from fleet.engine.supervisor import FileCrew, Supervisor
from fleet.log.files import FileLog
from fleet.log.protocol import Contradiction, CorruptLog, LogError
from nodes.events import SYNDROME
from tests.runs import SMALL, STORM, manifest_of, plan_of, records, storm
from tests.torture import gone, workers_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return records(storm(tmp_path_factory.mktemp("whole") / "run")[1])


def supervised(folder, *, workers=2, meanwhile=None, silent_s=60.0, resumed=False):
    """The small storm with worker processes; ``meanwhile`` is done beside it. The summary, and what was said."""
    plan = plan_of(STORM, **SMALL)
    log = FileLog.open(folder) if resumed else FileLog.create(folder, manifest_of(plan, **SMALL))
    said = []

    async def run():
        supervisor = Supervisor(FileCrew(log), plan, workers=workers, say=said.append, silent_s=silent_s)
        beside = asyncio.ensure_future(meanwhile(supervisor)) if meanwhile else None
        try:
            return await supervisor.run()
        finally:
            if beside is not None:
                beside.cancel()
            await log.close()

    return asyncio.run(run()), said


async def first_worker(supervisor):
    """The process of worker 0, once it is there."""
    while supervisor.workers[0].process is None:  # noqa: ASYNC110 (nobody sets an event for a test)
        await asyncio.sleep(0.001)
    return supervisor.workers[0].process


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_the_records_are_the_same_for_any_number_of_workers(tmp_path, workers, whole):
    summary, said = supervised(tmp_path / "run", workers=workers)

    assert records(FileLog.open(tmp_path / "run")) == whole
    assert not summary.interrupted
    assert said == []


def test_there_are_no_more_workers_than_partitions(tmp_path):
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(tmp_path / "run", manifest_of(plan, **SMALL))
    supervisor = Supervisor(FileCrew(log), plan, workers=40, say=print)

    assert sorted(p for worker in supervisor.workers for p in worker.partitions) == list(range(12))
    assert len(supervisor.workers) == 12


def test_a_worker_that_is_killed_is_named_with_its_signal_and_started_again(tmp_path, whole):
    async def kill(supervisor):
        (await first_worker(supervisor)).send_signal(signal.SIGKILL)

    _, said = supervised(tmp_path / "run", meanwhile=kill)

    assert said == ["worker 0 died of signal 9 (SIGKILL); it is started again"]
    assert records(FileLog.open(tmp_path / "run")) == whole


def test_a_worker_that_is_stopped_for_longer_than_the_deadline_is_ended_and_started_again(tmp_path, whole):
    async def stop(supervisor):
        (await first_worker(supervisor)).send_signal(signal.SIGSTOP)

    _, said = supervised(tmp_path / "run", meanwhile=stop, silent_s=6.0)

    assert "worker 0 said nothing for 6 s and is ended" in said
    assert records(FileLog.open(tmp_path / "run")) == whole


TALKS = """
import time
from fleet.engine.messages import Progress
from fleet.engine.telling import tell
while True:
    tell(Progress(0, 0, 0, 0, {}))
    time.sleep(0.1)
"""  # however often it is told to end


def test_a_worker_that_talks_and_does_not_end_when_it_is_told_to_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORKER", ["-c", TALKS])
    said = []

    async def whole(log):
        supervisor = Supervisor(FileCrew(log), plan_of(STORM, **SMALL), workers=1, say=said.append, silent_s=2.0)
        running = asyncio.ensure_future(supervisor.run())
        while not supervisor.workers[0].is_heard:  # noqa: ASYNC110 (nobody sets an event for a test)
            await asyncio.sleep(0.01)
        supervisor.stop()
        with pytest.raises(LogError, match="died 3 times"):
            await running
        await log.close()

    asyncio.run(whole(FileLog.create(tmp_path / "run", manifest_of(plan_of(STORM, **SMALL), **SMALL))))
    assert said[0] == "worker 0 did not end in 2 s and is ended"


def test_a_worker_that_is_stopped_and_goes_on_changes_nothing(tmp_path, whole):
    async def stop(supervisor):
        process = await first_worker(supervisor)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.5)
        process.send_signal(signal.SIGCONT)

    _, said = supervised(tmp_path / "run", meanwhile=stop)

    assert said == []
    assert records(FileLog.open(tmp_path / "run")) == whole


def test_a_worker_that_dies_over_and_over_ends_the_run_with_what_it_died_of(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORKER", ["-c", "import os; os.kill(os.getpid(), 11)"])
    with pytest.raises(LogError, match=r"worker \d died 3 times without getting further: .*SIGSEGV"):
        supervised(tmp_path / "run")

    assert gone(tmp_path / "run")


def test_a_contradiction_ends_the_run_at_once_and_names_the_place(tmp_path):
    folder = tmp_path / "run"
    _, log = storm(folder)
    log.unfinish()
    writer = log.writer(4)
    standing = writer.take_over()
    assert standing.checkpoint is not None
    some = next(iter(log.read(SYNDROME, 4)))
    asyncio.run(writer.commit({SYNDROME: [some[3:]]}))
    asyncio.run(writer.close())

    with pytest.raises(Contradiction, match=re.escape("ras.syndrome.v1, partition 4, offset")):
        supervised(folder, resumed=True)
    assert workers_of(folder) == []


def test_corruption_ends_the_run_at_once_and_names_file_and_byte(tmp_path):
    folder = tmp_path / "run"
    storm(folder)
    log = FileLog.open(folder)
    log.unfinish()
    path = log.path(0, 3)
    octets = bytearray(path.read_bytes())
    octets[60] ^= 1
    path.write_bytes(octets + octets[38:])

    with pytest.raises(CorruptLog, match=r"0003-0000\.log"):
        supervised(folder, resumed=True)


def test_only_one_program_carries_a_run_out(tmp_path):
    storm(tmp_path / "run")
    first, second = (FileLog.open(tmp_path / "run") for _ in range(2))
    first.lock()

    with pytest.raises(LogError, match="another rasfleet is carrying this run out"):
        second.lock()
    asyncio.run(first.close())
    second.lock()
    asyncio.run(second.close())


@pytest.mark.parametrize(
    "fault",
    [
        CorruptLog("file", 7, "reason"),
        CorruptLog("topic", 7, "reason", unit="offset"),
        Contradiction("place"),
        LogError("full"),
    ],
    ids=lambda f: type(f).__name__,
)
def test_what_ends_a_worker_ends_the_run_with_the_same_words(fault):
    again = raised(failure_of(fault))

    assert (type(again), str(again)) == (type(fault), str(fault))


def test_a_defect_is_no_fault_of_the_log():
    assert raised(failure_of(AssertionError("1 to move"))) is None
    assert failure_of(OSError(28, "No space left", "file")) == Failed("LogError", "file: No space left")
