"""Workers on Kafka that have a share of a core each: how a run gets faster with them, where cores allow.

On a machine whose cores the broker takes too, two workers are no faster than one, whatever they do. So each of
them gets a small share of a core (a cgroup's quota), and the broker has the rest. They begin without one and wait
for commands: what is timed goes from the first command to the end that the last of them says.
"""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fleet.engine.carried import only_command
from fleet.log.kafka.log import KafkaLog
from fleet.scenario.scenario import load
from tests.bench.rates import Row
from tests.fleet.kafka.test_metrics import free_port, page, until
from tests.runs import ROOT, manifest_of, plan_of

SHARE = 0.25  # of a core, of each worker
WORKERS = 1, 2, 4
HOSTS, FAULTS = 1000, 60_000
CPU = Path("/sys/fs/cgroup/cpu")  # cgroup v1
PERIOD_US = 50_000


class NoShares(Exception):
    """This machine does not let us divide its cores."""


@contextmanager
def group(name):
    """A group of processes that has the share of a core."""
    folder = CPU / f"rasfleet-{os.getpid()}-{name}"
    try:
        folder.mkdir()
        (folder / "cpu.cfs_period_us").write_text(f"{PERIOD_US}")
        (folder / "cpu.cfs_quota_us").write_text(f"{PERIOD_US * SHARE:.0f}")
    except OSError as fault:
        raise NoShares(f"{CPU}: {fault.strerror}") from None
    try:
        yield folder / "cgroup.procs"
    finally:
        folder.rmdir()


@contextmanager
def worker(brokers, run):
    """A worker that has its partitions, and its share of a core from now on."""
    port = free_port()
    words = ["worker", "--kafka", brokers.servers, "--run", run, "--metrics", str(port)]
    with group(port) as members:
        process = subprocess.Popen([sys.executable, "-m", "fleet", *words], cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            until(lambda told: told[0] == 200, lambda: page(port, "/readyz"))
            yield lambda: members.write_text(f"{process.pid}"), process
        finally:
            process.kill()
            process.wait()


def seconds(brokers, run, workers):
    """From the first command to the end, and the events."""
    text, options = load("large")[0], {"hosts": HOSTS, "faults": FAULTS}
    plan = plan_of(text, **options)
    log = KafkaLog.create(brokers, run, manifest_of(plan, text, **options))
    with ExitStack() as stack:
        working = [stack.enter_context(worker(brokers, run)) for _ in range(workers)]
        for confine, _ in working:
            confine()
        began_s = time.perf_counter()
        only_command(log, plan)
        codes = [process.wait() for _, process in working]
        taken_s = time.perf_counter() - began_s
    assert codes == [0] * workers, codes
    return taken_s, _records(brokers, run)


def _records(brokers, run):
    log = KafkaLog.open(brokers, run)
    summary = log.summary()
    asyncio.run(log.close())
    return sum(sum(counts) for counts in summary.counts.values())


def rows(brokers):
    """How much faster several are."""
    try:
        found = {count: seconds(brokers, f"share-{count}", count) for count in WORKERS}
    except NoShares as why:
        yield Row("workers with a share of a core each", "-", str(why))
        return
    one_s, records = found[1]
    yield Row(
        f"records a second of a worker's core, of which it has {SHARE:.0%}",
        f"{records / one_s / SHARE:,.0f}",
        "target 60,000",
    )
    for count in WORKERS[1:]:
        target = "target 1.8" if count == 2 else ""
        yield Row(f"  {count} such workers : one", f"{one_s / found[count][0]:.2f}", f"times as fast; {target}")
