"""How fast a storm goes through the whole stack, and where the time goes: ``python -m tests.bench.rates``.

Everything is measured in one process, the best of some turns. Ratios are to the whole run on the same machine, so
they can be compared between machines.
"""

import asyncio
import gc
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from fleet.codec import decode_event, encode
from fleet.digest import digest_of
from fleet.engine.console import carry_out
from fleet.engine.run import Run
from fleet.log.batches import batch_of, entries_of
from fleet.log.files import FileLog
from fleet.log.protocol import Written
from nodes.actor import Hosts
from nodes.events import HOST_TOPICS
from tests.hosts import as_planned
from tests.memory_log import MemoryLog
from tests.runs import STORM, manifest_of, plan_of

OPTIONS = {"hosts": 200, "faults": 20_000}
TURNS = 3
BATCH_RECORDS = 2000  # about what a commit of a topic holds


class Row(NamedTuple):
    """One line of the table."""

    name: str
    figure: str
    remark: str = ""


class Planned:
    """Commands that were made before, so that making them is not measured."""

    def __init__(self, plan):
        self.epoch_ns = plan.epoch_ns
        self.roster = plan.roster
        self._batches = list(plan.batches())

    def batches(self):
        return iter(self._batches)

    def commands(self):
        """All of them in the order of time, as the plan of one partition."""
        found = [command for batch in self._batches for part in batch.values() for command in part]
        found.sort(key=lambda command: command.time_ns)
        return [as_planned(command, n) for n, command in enumerate(found)]


class Drop:
    """An outlet that keeps nothing."""

    def publish(self, kind, host, sequence, time_ns, fields):
        pass

    def watermark(self, time_ns):
        pass


def best(work, turns=TURNS, clock=time.perf_counter):
    """The shortest time that a piece of work took, in seconds."""
    times = []
    for _ in range(turns):
        gc.collect()
        gc.disable()
        began = clock()
        work()
        times.append(clock() - began)
        gc.enable()
    return min(times)


def written_log(plan, planned, folder):
    """The storm in a log of files; returns the log, its summary, and the seconds of wall and CPU time."""
    log = FileLog.create(folder, manifest_of(plan, **OPTIONS))
    cpu = time.process_time()
    summary, seconds = carry_out(log, planned)
    return log, summary, seconds, time.process_time() - cpu


def simulated(planned):
    """The same commands through the same hosts, a partition as one, and every event dropped."""
    hosts = Hosts(planned.roster, Drop(), planned.epoch_ns)
    for command in planned.commands():
        hosts.handle(command)


def without_files(plan, planned):
    """The same run with encoding and digest, and no log."""
    asyncio.run(Run(MemoryLog(manifest_of(plan)), planned).run())


def rows():
    """The figures."""
    plan = plan_of(STORM, **OPTIONS)
    planning_s = best(lambda: Planned(plan_of(STORM, **OPTIONS)), 2)
    with tempfile.TemporaryDirectory() as folder:
        turns = [written_log(plan, Planned(plan), Path(folder) / str(turn)) for turn in range(TURNS)]
        log, summary, wall_s, cpu_s = min(turns, key=lambda turn: turn[2])
        values = [
            [entry.value for partition in range(12) for entry in log.read(topic, partition)]
            for topic in HOST_TOPICS
        ]
        reading_s = best(lambda: [sum(1 for _ in log.read(t, p)) for t in HOST_TOPICS for p in range(12)])
    events = sum(summary.events.values())
    planned = Planned(plan)
    simulating_s = best(lambda: simulated(planned))
    unwritten_s = best(lambda: without_files(plan, planned))
    yield Row("faults a second", f"{summary.faults / wall_s:,.0f}", "whole stack, file log; target 15,000")
    yield Row("events a second", f"{events / wall_s:,.0f}", "target 100,000")
    yield Row("CPU seconds to a second of wall time", f"{cpu_s / wall_s:.2f}", "threads that write overlap")
    yield Row("simulating : whole run", f"{simulating_s / wall_s:.2f}", "events dropped")
    yield Row("simulating, encoding, digest : whole run", f"{unwritten_s / wall_s:.2f}", "no files")
    yield Row("planning : whole run", f"{planning_s / wall_s:.2f}", "draws and commands; not in the run above")
    yield Row("simulating", f"{simulating_s / summary.faults * 1e6:.1f} us", "a fault")
    yield Row("events", f"{events / summary.faults:.1f}", "a fault")
    yield from codec_rows([value for part in values for value in part])
    yield Row("reading", f"{reading_s / events * 1e6:.2f} us", "an event of the log, not decoded")


def codec_rows(values):
    """What is done to the bytes of each event."""
    count = len(values)
    decoded = [decode_event(value) for value in values]
    records = [Written(0, b"host-0000", value) for value in values]
    parts = [records[at : at + BATCH_RECORDS] for at in range(0, count, BATCH_RECORDS)]
    batches = [batch_of(0, part) for part in parts]
    for name, work in (
        ("encoding", lambda: [encode(event) for event in decoded]),
        ("decoding", lambda: [decode_event(value) for value in values]),
        ("digest", lambda: digest_of(values)),
        ("building batches", lambda: [batch_of(0, part) for part in parts]),
        ("reading batches", lambda: [sum(1 for _ in entries_of(batch, "", 0)) for batch in batches]),
    ):
        yield Row(name, f"{best(work) / count * 1e6:.2f} us", "an event")
    yield Row("size", f"{sum(map(len, values)) / count:.0f} bytes", "an event")


def show(found):
    for row in found:
        print(f"{row.name:<44}{row.figure:>12}  {row.remark}", flush=True)


if __name__ == "__main__":
    show(rows())
