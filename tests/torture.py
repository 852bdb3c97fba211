"""Killing a run over and over: ``python -m tests.torture [--kafka] [KILLS] [SEED]``.

A storm is carried out by worker processes; at chosen moments a worker or the supervisor is killed with SIGKILL,
or a worker is stopped for a while and goes on. Whatever was killed, the run is resumed until it ends, and then
every record must be the one of the run that nobody disturbed, and no process may be left. The draws come from
the seed; the moments are in wall time, so that a seed does not repeat a run exactly, but every run must pass.
"""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fleet.integrity import check
from fleet.log.files import FileLog
from tests.kafka.torture import main as on_kafka
from tests.runs import ROOT, records, storm

KILLS = 2000
SUPERVISOR = 5  # one of so many kills hits the supervisor
EARLY = 10  # one of so many blows may come before the run is under way
STOPPED = 10  # one of so many blows only stops a worker for a while
ENVIRONMENT = {"RASFLEET_CHECKPOINT_BYTES": "20000"}  # many checkpoints in a short run
WAIT_S = 60.0  # for processes that must end; far more than they need


def workers_of(folder):
    """Every process that works on a run, whoever started it."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"fleet.engine.worker" in words and str(folder).encode() in words:
            found.append(int(process.name))
    return found


def gone(folder):
    """Wait until nobody works on a run any more."""
    for _ in range(int(WAIT_S / 0.01)):
        if not workers_of(folder):
            return True
        time.sleep(0.01)
    return False


class Torture:
    """One run that is disturbed until it has ended; counts its kills."""

    def __init__(self, folder, options, chance, *, workers=2):
        self.folder = folder
        self.chance = chance
        self.kills = {"worker": 0, "supervisor": 0, "stopped": 0}
        self.resumes = 0
        self._options = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._workers = str(workers)

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "fleet", *words, "--workers", self._workers],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | ENVIRONMENT,
        )

    def run(self, kills):
        """Disturb the run so many times at most, and carry it to its end."""
        process = self.start("run", "storm", *self._options, "--out", str(self.folder))
        for _ in itertools.count():
            while sum(self.kills.values()) < kills and process.poll() is None:
                if self.chance.randrange(EARLY):
                    self.wait_for_workers(process)
                time.sleep(self.chance.uniform(0.0, 0.6))
                self.strike(process)
            process.stderr.read()
            process.stderr.close()
            code = process.wait()
            assert gone(self.folder), f"left behind: {workers_of(self.folder)}"
            if code == 0:
                return
            if (self.folder / "manifest.json").exists():
                self.resumes += 1
                process = self.start("resume", str(self.folder))
            else:  # killed before it had begun
                shutil.rmtree(self.folder, ignore_errors=True)
                process = self.start("run", "storm", *self._options, "--out", str(self.folder))

    def wait_for_workers(self, process):
        """Wait until the run is under way."""
        while process.poll() is None and not workers_of(self.folder):
            time.sleep(0.01)

    def strike(self, process):
        """Kill somebody, or stop a worker for a moment."""
        victims = workers_of(self.folder)
        if not self.chance.randrange(SUPERVISOR) or not victims:
            process.kill()
            self.kills["supervisor"] += 1
            return
        victim = self.chance.choice(victims)
        try:
            if not self.chance.randrange(STOPPED):
                os.kill(victim, signal.SIGSTOP)
                time.sleep(self.chance.uniform(0.0, 0.3))
                os.kill(victim, signal.SIGCONT)
                self.kills["stopped"] += 1
            else:
                os.kill(victim, signal.SIGKILL)
                self.kills["worker"] += 1
        except ProcessLookupError:
            pass


def compared(folder, whole):
    """What is wrong with a run, beside the one that nobody disturbed."""
    log = FileLog.open(folder)
    report = check(log)
    wrong = [problem.reason for problem in report.problems]
    wrong += [f"{place} differs" for place, part in records(log).items() if part != whole[place]]
    return wrong


def main():
    if sys.argv[1:2] == ["--kafka"]:
        on_kafka(sys.argv[2:])
        return
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    chance = random.Random(seed)
    options = {"hosts": 60, "faults": 24_000}
    done = {"worker": 0, "supervisor": 0, "stopped": 0, "resumes": 0, "runs": 0}
    with tempfile.TemporaryDirectory() as scratch:
        whole = records(storm(Path(scratch) / "whole", **options)[1])
        while sum(done[name] for name in ("worker", "supervisor", "stopped")) < kills:
            folder = Path(scratch) / f"run-{done['runs']}"
            torture = Torture(folder, options, chance, workers=chance.choice([1, 2, 4]))
            torture.run(min(60, kills))
            wrong = compared(folder, whole)
            if wrong:
                sys.exit(f"seed {seed}, run {done['runs']}: {wrong[:5]}; it lies in {folder}")
            shutil.rmtree(folder)
            for name, count in torture.kills.items():
                done[name] += count
            done["resumes"] += torture.resumes
            done["runs"] += 1
            print(", ".join(f"{name} {count:,}" for name, count in done.items()), flush=True)
    print(f"{done['runs']} runs, each the same as the one that nobody disturbed")


if __name__ == "__main__":
    main()
