"""Runs on Kafka by worker processes: the same values and digest as on files, whoever joins, leaves or dies."""

import asyncio
import json
import signal

import pytest

from fleet.carried import only_command
from fleet.manifest import BEHAVIOUR
from fleet.run import Run
from fleet.supervisor import KafkaCrew, Supervisor
from tests.fleet.kafka.conftest import MIDDLE, There
from tests.runs import SMALL, carried_out, rasfleet

SIZE = ["--hosts", SMALL["hosts"], "--faults", SMALL["faults"]]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_comes_to_the_same_as_files(there, fresh, small, workers):
    _, summary, whole = small
    words = ["--kafka", there.servers, "--name", fresh, "--workers", workers, "--json"]
    done = rasfleet("run", "storm", *SIZE, *words)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == summary.digest
    assert there.held(fresh) == (summary, whole)


def test_workers_that_are_killed_in_a_storm_change_nothing(there, fresh, middle):
    plan, log = there.begun(fresh, **MIDDLE)
    told = []

    def kill(_, __):  # what each says first, and what the first one says as soon as it is there again
        told.append(0)
        if len(told) in (2, 6):
            supervisor.workers[len(told) // 4].kill()

    supervisor = Supervisor(KafkaCrew(log), plan, workers=2, say=told.append, report=kill)
    summary = asyncio.run(_run(supervisor, log))
    log.finish(summary)

    assert supervisor.restarts == 2, told
    assert there.held(fresh) == middle


async def _run(supervisor, log):
    try:
        return await supervisor.run()
    finally:
        await log.close()


@pytest.fixture
def at_work(there, fresh):
    """A worker that works on a run."""
    plan, log = there.begun(fresh, **MIDDLE)
    only_command(log, plan)
    worker = there.worker(fresh)
    there.wait_for_events(fresh)  # from here on it knows what a signal means
    return worker


def test_a_worker_that_joins_and_one_that_leaves_change_nothing(there, fresh, at_work, middle):
    second = there.worker(fresh)
    at_work.send_signal(signal.SIGTERM)
    said = [worker.communicate(timeout=60)[1] for worker in (at_work, second)]

    assert [at_work.returncode, second.returncode] == [0, 0], said
    assert there.held(fresh) == middle


def test_a_worker_that_is_told_to_end_leaves_what_another_one_goes_on_from(there, fresh, at_work, middle):
    at_work.send_signal(signal.SIGTERM)
    at_work.communicate(timeout=10)
    cut_off = there.held(fresh)
    second = there.worker(fresh)
    second.communicate(timeout=60)

    assert [at_work.returncode, second.returncode] == [0, 0]
    assert cut_off[0] is None
    assert there.held(fresh) == middle


def test_a_worker_that_was_taken_for_dead_changes_nothing(there, fresh, at_work, middle):
    at_work.send_signal(signal.SIGSTOP)
    heir = there.worker(fresh)
    heir.communicate(timeout=60)
    at_work.send_signal(signal.SIGCONT)
    at_work.communicate(timeout=60)

    assert [heir.returncode, at_work.returncode] == [0, 0]
    assert there.held(fresh) == middle


def test_a_worker_ends_soon_when_it_is_told_to_and_no_broker_answers(broker, fresh):
    alone = There(broker.bootstrap)
    plan, log = alone.begun(fresh, **MIDDLE)
    only_command(log, plan)
    worker = alone.worker(fresh)
    alone.wait_for_events(fresh)
    broker.kill(1)
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=10)[1]

    assert worker.returncode in (0, 3), said  # it may have been leaving already


def test_a_worker_that_behaves_otherwise_is_refused(there, fresh):
    _, log = there.begun(fresh, behaviour=BEHAVIOUR + 1, **SMALL)
    asyncio.run(log.close())
    worker = there.worker(fresh)

    assert f"made with behaviour {BEHAVIOUR + 1}" in worker.communicate(timeout=10)[1]
    assert worker.returncode == 2


def test_a_run_that_was_cut_off_is_resumed(there, fresh, small):
    _, summary, whole = small
    plan, log = there.begun(fresh, **SMALL)
    run = Run(log, plan)
    run.stop()
    carried_out(run, log)
    done = rasfleet("resume", fresh, "--kafka", there.servers, "--workers", 1, "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == summary.digest
    assert there.held(fresh) == (summary, whole)


@pytest.mark.parametrize(
    "words", [["run", "storm", "--name", "none"], ["worker", "--run", "none"], ["tail", "none"]]
)
def test_brokers_that_do_not_answer_are_told_in_one_line(words):
    done = rasfleet(*words, "--kafka", "127.0.0.1:1")

    assert done.returncode == 3
    assert done.stderr.startswith("rasfleet: 127.0.0.1:1: no broker answers")
    assert done.stderr.count("\n") == 1
