"""Runs on Kafka: the same values and the same digest as on files, whatever dies on the way."""

import asyncio
import random
import signal
import subprocess
import sys

import pytest

from fleet.engine.run import Run
from fleet.log.kafka.log import KafkaLog
from nodes.events import COMMAND, HOST_TOPICS
from tests.runs import FEW, ROOT, SMALL, carried_out, manifest_of, plan_of, records, storm


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The small storm on files."""
    run, log = storm(tmp_path_factory.mktemp("run") / "storm", FEW)
    return run.summary(), records(log)


def begun(brokers, name):
    """The plan of the small storm, and a new run for it."""
    plan = plan_of(FEW, **SMALL)
    return plan, KafkaLog.create(brokers, name, manifest_of(plan, FEW, **SMALL))


def held(brokers, name):
    """Everything that a run holds, and what it came to."""
    log = KafkaLog.open(brokers, name)
    found = records(log), log.summary()
    asyncio.run(log.close())
    return found


def test_a_storm_comes_to_the_same_as_on_files(brokers, fresh, whole):
    plan, log = begun(brokers, fresh)
    run = carried_out(Run(log, plan), log)

    assert run.summary() == whole[0]
    assert held(brokers, fresh) == whole[::-1]


MORTAL = """
import os, sys
from fleet.log.kafka import producer
from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import KafkaLog
from fleet.engine.run import Run
from tests.runs import FEW, SMALL, carried_out, plan_of
servers, name, lives = sys.argv[1], sys.argv[2], int(sys.argv[3])
real = producer._sent

async def sent(*given):  # so many batches go through; the next one half the time, too
    global lives
    lives -= 1
    if lives == -1 or lives == -2:
        os.kill(os.getpid(), 9)
    offset = await real(*given)
    if lives == 0:
        os.kill(os.getpid(), 9)
    return offset

producer._sent = sent
log = KafkaLog.open(Brokers(servers), name)
carried_out(Run(log, plan_of(FEW, **SMALL)), log)
"""


def carried_out_in_a_process(brokers, name, lives):
    """Its exit code. It dies once it has sent so many batches."""
    done = subprocess.run(
        [sys.executable, "-c", MORTAL, brokers.servers, name, str(lives)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"RASFLEET_CHECKPOINT_BYTES": "4096", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def test_a_run_whose_process_dies_anywhere_comes_to_the_same(brokers, fresh, whole):
    _, log = begun(brokers, fresh)
    asyncio.run(log.close())
    chance = random.Random(0)
    lives = [chance.randrange(1, 40) for _ in range(5)]
    codes = [carried_out_in_a_process(brokers, fresh, count) for count in (*lives, 10**6)]

    assert codes[0] == -signal.SIGKILL
    assert codes[-1] == 0
    assert held(brokers, fresh) == whole[::-1]


def test_a_run_that_is_over_can_be_gone_through_again(brokers, fresh, whole):
    plan, log = begun(brokers, fresh)
    carried_out(Run(log, plan), log)
    again = KafkaLog.open(brokers, fresh)
    run = carried_out(Run(again, plan_of(FEW, **SMALL)), again)

    assert run.summary() == whole[0]
    assert held(brokers, fresh) == whole[::-1]


def test_two_processes_that_carry_out_one_run_at_once_contradict_nowhere(brokers, fresh, whole):
    _, log = begun(brokers, fresh)
    asyncio.run(log.close())
    words = [sys.executable, "-c", MORTAL, brokers.servers, fresh, str(10**6)]
    both = [subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    found = held(brokers, fresh)[0]
    assert {place: part for place, part in found.items() if place[0] != COMMAND} == {
        place: part for place, part in whole[1].items() if place[0] != COMMAND
    }


def test_what_a_run_holds_is_the_same_however_it_is_read(brokers, fresh, whole):
    plan, log = begun(brokers, fresh)
    carried_out(Run(log, plan), log)

    for topic in HOST_TOPICS:
        values = [entry.value for part in log.parts(topic, 3, 0) for entry in part]
        assert values == [value for _, _, value in whole[1][topic, 3]]
    asyncio.run(log.close())
