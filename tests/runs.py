"""Runs of scenarios for tests: in this process, and as the command in another one."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from fleet.codec import TOPICS
from fleet.engine.run import Run
from fleet.log.files import FileLog
from fleet.manifest import Manifest, Options
from fleet.scenario.plan import Plan
from fleet.scenario.scenario import load, parse

ROOT = Path(__file__).parent.parent
STORM = load("storm")[0]
SMALL = {"hosts": 8, "faults": 800}  # every story of the storm is in it
FEW = STORM.replace(
    "partitions = 12", "partitions = 4"
)  # where each of them costs topics and consumers at a broker
assert FEW != STORM


def plan_of(text=STORM, **options):
    """The plan of a scenario."""
    return Plan(parse(text, "here"), Options(**options))


def manifest_of(plan, text=STORM, **options):
    return Manifest(
        plan.scenario.name, text, Options(**options), plan.seed, plan.scenario.start, plan.scenario.partitions
    )


class Cut:
    """The commands of a plan in batches of another size."""

    def __init__(self, plan, size):
        self.epoch_ns = plan.epoch_ns
        self.roster = plan.roster
        self._batches = lambda: plan.batches(size)

    def batches(self):
        return self._batches()


def carried_out(run, log):
    """The run gone through to its end, or until it stops."""

    async def whole():
        try:
            await run.run()
        finally:
            await log.close()

    asyncio.run(whole())
    summary = run.summary()
    if not summary.interrupted:
        log.finish(summary)
    return run


def storm(folder, text=STORM, **options):
    """The small storm, or one with other options, written to a folder."""
    options = SMALL | options
    plan = plan_of(text, **options)
    log = FileLog.create(folder, manifest_of(plan, text, **options))
    return carried_out(Run(log, plan), log), log


def records(log):
    """Every record of a log: topic and partition to key, timestamp and value in order."""
    return {
        (topic, partition): [(e.key, e.timestamp_ms, e.value) for e in log.read(topic, partition)]
        for topic in TOPICS
        for partition in range(log.manifest.partitions)
    }


def is_beginning(part, whole):
    """Whether every partition of a log begins another one's."""
    return all(stored == whole[place][: len(stored)] for place, stored in part.items())


def rasfleet(*words, **environment):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fleet", *(str(word) for word in words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
    )


def printed_under_hash_seeds(program):
    """What a program prints, under each of two hash seeds."""
    return [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    ]
