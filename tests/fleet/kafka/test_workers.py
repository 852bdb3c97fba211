"""Runs on Kafka by worker processes: the same values and digest as on files, whoever joins, leaves or dies."""

import asyncio
import json
import signal
import socket

import pytest

from fleet.engine.carried import carry_out, only_command
from fleet.engine.console import Carrying
from fleet.engine.joined import DRAIN_S, END_S, PART_S
from fleet.engine.messages import GIVEN_UP
from fleet.engine.run import Run
from fleet.engine.supervisor import KafkaCrew, Supervisor
from fleet.engine.writer import CommandWriter
from fleet.log.protocol import LogError, Written
from fleet.manifest import BEHAVIOUR
from nodes.events import COMMAND
from tests.fleet.kafka.conftest import AT_LEISURE, MIDDLE, PART, There, ended
from tests.fleet.log.kafka.test_reader import in_a_transaction
from tests.runs import SMALL, Cut, carried_out, rasfleet, records

INJECT = ["inject", "memory-uer", "--host", "host-0003"]
SIZE = ["--hosts", SMALL["hosts"], "--faults", SMALL["faults"]]


@pytest.mark.parametrize("how", [["--workers", 1], ["--workers", 2], ["--workers", 1, "--speed", "3600x"]])
def test_any_number_of_workers_comes_at_any_speed_to_the_same_as_files(there, fresh, small, scenario, how):
    _, summary, whole = small
    done = rasfleet("run", scenario, *SIZE, *how, "--kafka", there.servers, "--name", fresh, "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == summary.digest
    assert there.held(fresh) == (summary, whole)


def test_workers_that_are_killed_in_a_storm_change_nothing(there, fresh, middle):
    plan, log = there.begun(fresh, **MIDDLE)
    crew = KafkaCrew(log)
    crew.ahead_max = PART  # most of the storm is not written yet when they die
    told = []
    doomed = {0: 1_000, 1: 4_000}  # worker to the commands that are handled when it is killed

    def kill(place, _):
        for number in [number for number, handled in doomed.items() if place.commands > handled]:
            del doomed[number]
            supervisor.workers[number].kill()

    supervisor = Supervisor(crew, Cut(plan, PART), workers=2, say=told.append, report=kill)
    summary = asyncio.run(_run(supervisor, log))
    log.finish(summary)

    assert [f"worker {number} died of signal 9" in "".join(told) for number in (0, 1)] == [True, True], told
    assert there.held(fresh) == middle


async def _run(supervisor, log):
    try:
        return await supervisor.run()
    finally:
        await log.close()


def test_a_worker_that_is_told_to_end_leaves_what_another_one_goes_on_from(there, fresh, middle):
    plan, log = there.half_written(fresh)
    first = there.worker(fresh, how=("-c", AT_LEISURE))
    there.wait_for_events(fresh)
    first.send_signal(signal.SIGTERM)
    left = ended(first)
    cut_off = there.held(fresh)
    only_command(log, plan)
    gone_on = ended(there.worker(fresh))

    assert (left[0], gone_on[0]) == ([0], [0]), (left, gone_on)
    assert cut_off[0] is None
    assert there.held(fresh) == middle


def test_a_worker_has_less_than_ten_seconds_to_end():
    assert DRAIN_S + PART_S < END_S < 10


def test_a_worker_ends_by_itself_when_it_is_told_to_and_no_broker_answers(broker, fresh):
    alone = There(broker.bootstrap)
    alone.half_written(fresh)
    worker = alone.worker(fresh)
    alone.wait_for_events(fresh)
    broker.kill(1)
    worker.send_signal(signal.SIGTERM)
    codes, said = ended(worker)

    assert codes[0] in (0, GIVEN_UP), said  # it may have been leaving already


def test_a_worker_that_behaves_otherwise_is_refused(there, fresh):
    _, log = there.begun(fresh, behaviour=BEHAVIOUR + 1, **SMALL)
    asyncio.run(log.close())
    codes, said = ended(there.worker(fresh))

    assert codes == [2]
    assert f"made with behaviour {BEHAVIOUR + 1}" in said[0]


def test_a_fault_that_is_sent_once_the_plan_is_written_is_taken_before_the_run_is_over(
    there, fresh, small, monkeypatch
):
    plan, log = there.begun(fresh, **SMALL)
    real, sent = KafkaCrew.finished, []

    async def finished(crew, offsets):
        await real(crew, offsets)
        if not sent:
            sent.append(
                await asyncio.to_thread(rasfleet, *INJECT[:1], fresh, *INJECT[1:], "--kafka", there.servers)
            )

    monkeypatch.setattr(KafkaCrew, "finished", finished)
    told = carry_out(log, plan, Carrying(workers=1))

    assert sent[0].returncode == 0, sent[0].stderr
    assert told.summary.faults == small[1].faults + 1


def test_an_offset_that_has_no_command_is_not_waited_for(there, fresh, small):
    plan, log = there.begun(fresh, **SMALL)
    sent = rasfleet(*INJECT[:1], fresh, *INJECT[1:], "--kafka", there.servers, "--json")
    partition = json.loads(sent.stdout)["partition"]
    (entry,) = log.read(COMMAND, partition)
    log.loop.call(in_a_transaction(log, Written(*entry[3:]), partition))  # once more, and a mark behind it
    told = carry_out(log, plan, Carrying(workers=1))

    assert told.summary.faults == small[1].faults + 1


async def test_two_programs_that_carry_a_run_out_at_once_leave_its_plan_there_once(there, fresh, small):
    plan, log = there.begun(fresh, **SMALL)
    other = there.open(fresh)
    first, second = (CommandWriter(of, Cut(plan, 200)) for of in (log, other))
    log.lock()

    async def overtaken(written):
        if written == 0:
            other.lock()

    with pytest.raises(LogError, match="another program carries it out"):
        await first.run(overtaken)
    await second.run()
    whole = small[2]
    found = {place: part for place, part in records(other).items() if place[0] == COMMAND}
    await log.close()
    await other.close()
    assert found == {place: part for place, part in whole.items() if place[0] == COMMAND}


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


def test_what_is_refused_before_a_run_begins_leaves_no_run(there, fresh, scenario):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = [scenario, *SIZE, "--kafka", there.servers, "--name", fresh]
        refused = rasfleet("run", *words, "--metrics", port)

    assert (refused.returncode, "Address already in use" in refused.stderr) == (2, True)
    assert rasfleet("info", fresh, "--kafka", there.servers).stderr.endswith("there is none of this name\n")
