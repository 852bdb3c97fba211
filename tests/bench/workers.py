"""Runs by worker processes, as the command carries them out: ``python -m tests.bench.workers``.

Two workers beside one, the same faults over a thousand and a million hosts, twice the faults beside once, and
writing the ready events alone. Everything alternates in one call, and the figures are ratios.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fleet.log.files import FileLog
from nodes.events import COMMAND, HOST_TOPICS
from tests.bench.rates import Row, show
from tests.runs import ROOT

TURNS = 2
FAULTS = 150_000
COMMIT_RECORDS = 2000


def ran(folder, *words):
    """The seconds of a run, and what it told."""
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "run", *words, "--json", *(["--out", str(folder)] if folder else [])],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


def cases(faults):
    """Name to the words of a run."""
    size = ["--faults", str(faults)]
    return {
        "one worker": ["large", "--hosts", "1000", *size, "--workers", "1"],
        "two workers": ["large", "--hosts", "1000", *size, "--workers", "2"],
        "a million hosts": ["large", "--hosts", "1000000", *size, "--workers", "1"],
        "twice the faults": ["large", "--hosts", "1000", "--faults", str(2 * faults), "--workers", "1"],
    }


def written_again(log, folder):
    """The seconds of writing the same events through the same log, ready as they are."""
    ready = {
        (topic, partition): [(e.timestamp_ms, e.key, e.value) for e in log.read(topic, partition)]
        for topic in HOST_TOPICS
        for partition in range(log.manifest.partitions)
    }
    commands = {
        p: [(e.timestamp_ms, e.key, e.value) for e in log.read(COMMAND, p)] for p in range(log.manifest.partitions)
    }

    async def write():
        copy = FileLog.create(folder, log.manifest)
        for partition in range(log.manifest.partitions):
            await copy.append_commands(partition, commands[partition])
            writer = copy.writer(partition)
            count = max(len(ready[topic, partition]) for topic in HOST_TOPICS)
            for at in range(0, count, COMMIT_RECORDS):
                await writer.commit(
                    {topic: ready[topic, partition][at : at + COMMIT_RECORDS] for topic in HOST_TOPICS}
                )
            await writer.close()
        await copy.close()

    began = time.perf_counter()
    asyncio.run(write())
    return time.perf_counter() - began


def rows(faults=FAULTS, turns=TURNS):
    """The figures, the best of some turns each."""
    best = {}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(turns):
            for name, words in cases(faults).items():
                folder = Path(scratch) / f"{turn}-{name.replace(' ', '-')}"
                told = ran(folder, *words)
                best[name] = min(best.get(name, (1e9, None)), (told["seconds"], sum(told["events"].values())))
                if name == "one worker":
                    again = written_again(FileLog.open(folder), Path(scratch) / f"{turn}-again")
                    best["writing"] = min(best.get("writing", (1e9, None)), (again, None))
    one, events = best["one worker"]
    yield Row("faults a second, one worker", f"{faults / one:,.0f}", "start included; target 15,000")
    yield Row("events a second, one worker", f"{events / one:,.0f}", "target 100,000")
    yield Row("two workers : one", f"{one / best['two workers'][0]:.2f}", "times as fast; target 1.8")
    yield Row("a million hosts : a thousand", f"{best['a million hosts'][0] / one:.2f}", "target 1.2")
    million = best["a million hosts"]
    yield Row("the same for an event", f"{million[0] / million[1] * events / one:.2f}", "fresh hosts log more")
    yield Row("twice the faults : once", f"{best['twice the faults'][0] / one:.2f}", "linear: 2")
    yield Row("run : writing its events alone", f"{one / best['writing'][0]:.1f}", "target 7")


if __name__ == "__main__":
    show(rows())
