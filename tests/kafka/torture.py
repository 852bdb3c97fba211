"""A storm on brokers, disturbed over and over: ``python -m tests.torture --kafka [KILLS] [SEED]``.

Worker processes carry a storm out. Behind each blow a further part of its commands is written, so that every blow
meets a storm that goes on: a worker dies of SIGKILL, or is stopped for longer than its session and goes on as one
who was taken for dead; one joins, one leaves; a leader dies and comes back; all brokers are gone for a while. Then
everything that the brokers hold must be the run that nobody disturbed, and every worker must end by itself.

The draws come from the seed; the moments are in wall time, so that a seed does not repeat a run exactly, but every
run must pass. Sessions are short here, so that a death is noticed soon.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from deploy.kafka.cluster import Cluster
from deploy.kafka.processes import resident_mib
from fleet.__main__ import INTERRUPTED
from fleet.codec import decode_event
from fleet.engine.messages import GIVEN_UP
from fleet.engine.writer import CommandWriter
from fleet.log.kafka.connection import Brokers, parted, reached
from fleet.log.kafka.log import KafkaLog
from nodes.events import COMMAND, SYNDROME
from tests.runs import FEW, ROOT, Cut, manifest_of, plan_of, records, storm

SESSION_S = 3.0
STOPPED_S = SESSION_S + 1.5
WORKERS = 2  # at least
WORKERS_MAX = 4
PATIENCE_S = 120.0  # for whatever must happen by itself, on a machine that is busy
GROWTH_MIB_MAX = 64.0  # of a worker's memory while no broker is there; what it may hold is far less
WORKER = f"""
import fleet.log.kafka.group as group
from fleet.__main__ import main
from fleet.engine.outlet import ShardOutlet
group.SESSION_MS = {SESSION_S * 1000:.0f}
ShardOutlet.__init__.__kwdefaults__["commit_bytes"] = 20_000
main()
"""  # the command, with a short session and small commits
ENVIRONMENT = {"RASFLEET_CHECKPOINT_BYTES": "20000"}  # many checkpoints in a short run
LEFT = (
    0,
    GIVEN_UP,
    INTERRUPTED,
    -signal.SIGTERM,
)  # of one who was told to: wholly, in a hurry, or before it began
KILLS = 50
KILLS_OF_A_RUN = 10
LEADERS = 5  # that die
AWAY_S = 60.0
OPTIONS = {"hosts": 60, "faults": 24_000}


class Torture:
    """One run that is disturbed. ``cluster``: its brokers, where they are disturbed, too."""

    def __init__(self, servers, run, chance, *, cluster=None, away_s=10.0, text=FEW, **options):
        self.chance = chance
        self.done = Counter()  # blows
        self.growth_mib = 0.0  # of the largest worker while no broker was there
        self.failures = []  # of workers to end by themselves
        self._cluster = cluster
        self._away_s = away_s
        self._plan = plan_of(text, **options)
        self._brokers = Brokers(servers)
        self.log = KafkaLog.create(self._brokers, run, manifest_of(self._plan, text, **options))
        self._workers = []
        self._leaving = []  # threads that wait for those who were told to leave
        self._ends = [
            self.log.reader(SYNDROME, of, 0, patience_s=None) for of in range(self._plan.scenario.partitions)
        ]
        self._events = 0  # that were seen
        self._away_leader = None  # the node that was killed and is not back

    def run(self, blows):
        """Carry the storm out with these blows, by their names; who is not killed must end by itself."""
        left = list(blows)
        source = Cut(self._plan, self._plan.commands_written() // (len(left) + 2))
        try:
            for _ in range(WORKERS):
                self._join()
            asyncio.run(self._written(source, left))
            assert not left, "every blow met the storm"
            for leaving in self._leaving:
                leaving.join()
            for worker in self._workers:
                self._ended(worker)
        finally:
            for worker in self._workers:
                worker.kill()
                worker.communicate()
            self._bring_back()

    async def _written(self, source, left):
        writer = CommandWriter(self.log, source)

        async def struck(written):
            if written and left:
                await asyncio.to_thread(self._strike, left.pop(0))

        try:
            await writer.run(struck)
            await asyncio.to_thread(self.log.say_end, writer.offsets)
        finally:
            for reader in self._ends:
                await self.log.loop.wait(reader.close())
            await self.log.close()

    def _strike(self, blow):
        self._wait_for_events()
        self._bring_back()
        time.sleep(self.chance.uniform(0.0, 0.4))
        getattr(self, f"_{blow}")()
        self.done[blow] += 1

    def _wait_for_events(self):
        """Until there are more than there were at the last blow."""
        end = time.monotonic() + PATIENCE_S
        while (found := self.log.loop.call(self._count())) <= self._events:
            assert time.monotonic() < end, "the run does not go on"
            time.sleep(0.1)
        self._events = found

    async def _count(self):
        return sum([await reader.end() for reader in self._ends])

    def _join(self):
        words = ["worker", "--kafka", self._brokers.servers, "--run", self.log.run]
        command = [sys.executable, "-c", WORKER, *words]
        env = os.environ | ENVIRONMENT
        self._workers.append(subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True))

    def _leave(self):
        worker = self._taken()
        self._workers.remove(worker)
        worker.send_signal(signal.SIGTERM)
        leaving = threading.Thread(
            target=self._ended, args=[worker, (0, -signal.SIGTERM)]
        )  # it may not have begun
        leaving.start()
        self._leaving.append(leaving)

    def _kill(self):
        worker = self._taken()
        worker.kill()
        worker.communicate()
        self._workers.remove(worker)

    def _stop(self):
        worker = self._taken()
        worker.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        worker.send_signal(signal.SIGCONT)

    def _taken(self):
        """Somebody, while enough others are there."""
        worker = self.chance.choice(self._workers)
        if len(self._workers) <= WORKERS or (len(self._workers) < WORKERS_MAX and self.chance.randrange(2)):
            self._join()
        return worker

    def _ended(self, worker, codes=(0,)):
        try:
            said = worker.communicate(timeout=PATIENCE_S)[1]
        except subprocess.TimeoutExpired:
            worker.kill()
            said = "does not end by itself"
        if worker.returncode not in codes:
            self.failures.append(f"a worker ended with {worker.returncode}: {said}")

    def _leader(self):
        """It stays away until the next blow, for which the run has to have gone on."""
        self._away_leader = self.log.loop.call(_leader_of(self._brokers, f"{self.log.run}.{SYNDROME}"))
        self._cluster.kill(self._away_leader)

    def _bring_back(self):
        if self._away_leader is not None:
            self._cluster.restart(self._away_leader)
            self._away_leader = None

    def _away(self):
        for node in self._cluster.nodes:
            self._cluster.kill(node)
        before = {worker.pid: resident_mib(worker.pid) for worker in self._workers}
        end = time.monotonic() + self._away_s
        while time.monotonic() < end:
            grown = [resident_mib(pid) - was for pid, was in before.items()]
            self.growth_mib = max(self.growth_mib, *grown)
            time.sleep(0.2)
        self._cluster.start()

    def wrong(self, whole):
        """What is wrong with what the brokers hold, beside the run that nobody disturbed."""
        wrong = list(self.failures)
        log = KafkaLog.open(self._brokers, self.log.run)
        for (topic, partition), expected in whole.items():
            standing = [entry for part in log.parts(topic, partition, 0) for entry in part]
            found = [entry[3:] for entry in standing] if topic == COMMAND else self._once(standing, wrong)
            if [(key, stamp, value) for stamp, key, value in found] != expected:
                wrong.append(f"{topic}, partition {partition} differs")
        if log.summary() is None:
            wrong.append("nobody said how the run ended")
        asyncio.run(log.close())
        return wrong

    def _once(self, standing, wrong):
        """The events in order, each where it stands first; any other one of its place must have the same bytes."""
        found = {}
        for entry in standing:
            event = decode_event(entry.value)
            place = (event.host, event.sequence) if event.host else event.n  # a watermark has no host
            if found.setdefault(place, entry[3:]) != entry[3:]:
                wrong.append(
                    f"{entry.topic}, partition {entry.partition}, offset {entry.offset}: contradicts {place}"
                )
        self.done["duplicates"] += len(standing) - len(found)
        return list(found.values())


async def _leader_of(brokers, topic):
    """The node that leads the first partition of a topic."""
    admin = await reached(brokers)
    try:
        (described,) = await admin.describe_topics([topic])
        return min(described["partitions"], key=lambda of: of["partition"])["leader"]
    finally:
        await parted(admin.close())


def blows_of(chance, kills):
    """So many kills with other blows between them, in any order."""
    blows = ["kill"] * kills + ["stop"] * (kills // 5) + ["join", "leave"] * (kills // 5)
    chance.shuffle(blows)
    return blows


def _tortured(cluster, run, chance, blows, whole, **given):
    torture = Torture(cluster.bootstrap, run, chance, cluster=cluster, **given, **OPTIONS)
    torture.run(blows)
    wrong = torture.wrong(whole)
    if wrong:
        sys.exit(f"run {run}: {wrong[:5]}")
    return torture


def main(words):
    """Kills by tens, then leaders that die, then no broker at all."""
    kills = int(words[0]) if words else KILLS
    chance = random.Random(int(words[1]) if len(words) > 1 else 1)
    done = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        whole = records(storm(Path(scratch) / "whole", FEW, **OPTIONS)[1])
        runs = [(1, blows_of(chance, min(KILLS_OF_A_RUN, kills - at))) for at in range(0, kills, KILLS_OF_A_RUN)]
        runs += [(3, ["leader"] * LEADERS), (1, ["away"])]
        for nodes in (1, 3):
            cluster = Cluster.formatted(Path(scratch) / f"of-{nodes}", nodes)
            cluster.start()
            try:
                for number, (_, blows) in enumerate(run for run in runs if run[0] == nodes):
                    torture = _tortured(cluster, f"storm-{number}", chance, blows, whole, away_s=AWAY_S)
                    done += torture.done + Counter(runs=1)
                    print(", ".join(f"{name} {count:,}" for name, count in sorted(done.items())), flush=True)
                    if torture.growth_mib:
                        print(
                            f"no broker for {AWAY_S:.0f} s: memory grew by {torture.growth_mib:.1f} MiB",
                            flush=True,
                        )
            finally:
                cluster.stop()
    print(f"{done['runs']} runs, each the same as the one that nobody disturbed")
