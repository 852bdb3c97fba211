"""A storm that is faster than the disk takes it: ``python -m tests.soak [MINUTES] [BYTES_PER_S]``.

One process runs storm after storm, seed by seed, into one folder after another, through a disk that takes so
many bytes a second and no more. What it must show: memory stays bounded however long it goes on, every fault is
accounted for, and nothing is left out.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from fleet.engine.console import no_collection
from fleet.engine.run import Run
from fleet.log.disk import Disk
from fleet.log.files import FileLog
from tests.runs import STORM, manifest_of, plan_of

MINUTES = 15.0
BYTES_PER_S = 2_000_000  # less than a storm on one core writes
HOSTS, FAULTS = 400, 400_000  # of one storm: many minutes at that pace
GROWTH_MAX = 1.25  # of resident memory, from a quarter of the time to its end
REPORT_S = 15.0


class SlowDisk(Disk):
    """A disk that takes so many bytes a second."""

    def __init__(self, bytes_per_s):
        self._bytes_per_s = bytes_per_s
        self._free_s = time.monotonic()
        self.written = 0

    def write(self, descriptor, octets):
        super().write(descriptor, octets)
        self.written += len(octets)
        self._free_s = max(self._free_s, time.monotonic()) + len(octets) / self._bytes_per_s

    def sync(self, descriptor):
        super().sync(descriptor)
        time.sleep(max(0.0, self._free_s - time.monotonic()))


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def storms(folder, seconds, disk, seen):
    """Storms until the time is over; returns injected and accounted for."""
    began_s = time.monotonic()
    injected = accounted = 0
    seed = 0
    while time.monotonic() - began_s < seconds:
        seed += 1
        options = {"hosts": HOSTS, "faults": FAULTS, "seed": seed}
        plan = plan_of(STORM, **options)
        log = FileLog.create(folder / str(seed), manifest_of(plan, **options), disk=disk)
        told_s = [0.0]

        def report(progress, run_seed=seed, told_s=told_s):
            now_s = time.monotonic()
            if now_s - told_s[0] >= REPORT_S:
                told_s[0] = now_s
                seen.append((now_s - began_s, resident_mib()))
                print(
                    f"{now_s - began_s:6.0f} s  storm {run_seed}  {progress.commands:9,} commands  "
                    f"{disk.written / 1e6:8,.0f} MB  {resident_mib():6.1f} MiB",
                    flush=True,
                )
            if now_s - began_s >= seconds:
                run.stop()  # noqa: B023 (called while this run goes on)

        run = Run(log, plan, report=report)

        async def whole(run=run, log=log):
            try:
                await run.run()
            finally:
                await log.close()

        with no_collection():
            asyncio.run(whole())
        ledger = run.summary().ledger
        injected += ledger["injected"]
        accounted += sum(ledger["open"].values()) + sum(ledger["ended"]["lost"].values())
        accounted += sum(count for name, count in ledger["ended"].items() if name != "lost")
        assert run.summary().faults == ledger["injected"], "every fault was injected"
        shutil.rmtree(folder / str(seed))
    return injected, accounted


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    disk = SlowDisk(int(sys.argv[2]) if len(sys.argv) > 2 else BYTES_PER_S)
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        injected, accounted = storms(Path(folder), minutes * 60, disk, seen)
    early = max(mib for at_s, mib in seen if at_s <= minutes * 15) if seen else 0.0
    most = max((mib for _, mib in seen), default=0.0)
    print(f"injected {injected:,} = accounted for {accounted:,}; {early:.0f} MiB early, {most:.0f} MiB at most")
    if injected != accounted or most > GROWTH_MAX * early:
        sys.exit("memory grew, or faults are missing")


if __name__ == "__main__":
    main()
