"""Runs into Kafka beside Kafka's own load tool, and a shard that is taken over: ``python -m tests.bench.kafka``.

The log alone, fed with ready values, and the whole stack, each in turn with the tool: the same broker, size of
records, partitions, acknowledgements, idempotence and batch size, so that whatever else the machine does meets
both. The tool has no positions, no commits and one topic: it says what the broker takes.
"""

import asyncio
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from deploy.kafka.cluster import Cluster
from deploy.kafka.jars import NoKafka, jars, java
from fleet.codec import encode
from fleet.engine.outlet import COMMIT_BYTES, ShardOutlet
from fleet.engine.run import Run
from fleet.engine.shard import Shard
from fleet.log.kafka.checkpoints import Checkpoints
from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import KafkaLog
from fleet.log.kafka.producer import BATCH_BYTES
from fleet.log.protocol import Written
from fleet.scenario.plan import roster_of
from fleet.scenario.scenario import load
from nodes.events import SYNDROME
from tests.bench import shares
from tests.bench.rates import Row, show
from tests.bench.workers import ran
from tests.fleet.log.contract import START_MS, manifest_of
from tests.runs import carried_out, plan_of
from tests.runs import manifest_of as manifest_of_plan

PARTITIONS = 6
VALUE_BYTES = 130  # about what an event of the storm has
COMMITS = 25  # of each partition
TURNS = 5
TOOL = "org.apache.kafka.tools.ProducerPerformance"
STACK = ["large", "--hosts", "1000", "--faults", "60000"]
STACK_TURNS = 3
BEHIND = 1_000_000  # commands behind a shard that is taken over


def commits():
    """Ready records, of one partition, by commit."""
    count = COMMIT_BYTES // VALUE_BYTES
    filler = bytes(VALUE_BYTES - len(encode((99, 1 << 20, b""))))
    return [
        [Written(START_MS + n, b"", encode((99, n, filler))) for n in range(first, first + count)]
        for first in range(0, COMMITS * count, count)
    ]


async def written(log, ready):
    async def one(partition):
        writer = log.writer(partition)
        for records in ready:
            await writer.commit({SYNDROME: records})

    await asyncio.gather(*(one(partition) for partition in range(PARTITIONS)))


def ours(brokers, run, ready):
    """Records a second, and a second of this process's time."""
    log = KafkaLog.create(brokers, run, manifest_of(PARTITIONS))
    count = PARTITIONS * sum(map(len, ready))
    began_s, cpu_s = time.perf_counter(), time.process_time()
    asyncio.run(written(log, ready))
    taken_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    asyncio.run(log.close())
    return count / taken_s, count / cpu_s


def theirs(brokers, run, *, partitions, count, size):
    """Records a second of the load tool."""
    asyncio.run(KafkaLog.create(brokers, run, manifest_of(partitions)).close())
    properties = {
        "bootstrap.servers": brokers.servers,
        "acks": "all",
        "enable.idempotence": "true",
        "batch.size": BATCH_BYTES,
        "linger.ms": 10,
    }
    words = [
        *("--topic", f"{run}.{SYNDROME}", "--num-records", count, "--record-size", size),
        *("--throughput", -1, "--producer-props", *(f"{name}={value}" for name, value in properties.items())),
    ]
    command = [java(), "-cp", f"{jars()}/*", TOOL, *map(str, words)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"([\d.]+) records/sec", said)[-1])


def log_rows(brokers):
    """The log alone."""
    ready = commits()
    count = PARTITIONS * sum(map(len, ready))
    turns = [
        (
            ours(brokers, f"ours-{turn}", ready),
            theirs(brokers, f"theirs-{turn}", partitions=PARTITIONS, count=count, size=VALUE_BYTES),
        )
        for turn in range(TURNS)
    ]
    wall, cpu = (statistics.median(of[index] for of, _ in turns) for index in (0, 1))
    tool = statistics.median(of for _, of in turns)
    ratio = statistics.median(of[0] / other for of, other in turns)
    remark = f"median of {TURNS} turns, {VALUE_BYTES} bytes each; target 0.9"
    yield Row("the log alone into Kafka, beside ProducerPerformance", f"{ratio:.2f}", remark)
    yield Row("  records a second", f"{wall:,.0f}", f"the tool: {tool:,.0f}")
    yield Row("  records a second of our own time", f"{cpu:,.0f}")


def stack(brokers, run, workers):
    """A run by the command: its records, the seconds it took, and the CPU seconds of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [*STACK, "--workers", str(workers), "--kafka", brokers.servers, "--name", run]
    told = ran(None, *words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return sum(told["events"].values()) + told["faults"], told["seconds"], cpu_s


def stack_rows(brokers):
    """The whole stack, by one worker and by two."""
    turns = []
    for turn in range(STACK_TURNS):
        count, one_s, cpu_s = stack(brokers, f"one-{turn}", 1)
        tool = theirs(brokers, f"tool-{turn}", partitions=12, count=count, size=VALUE_BYTES)
        _, two_s, _ = stack(brokers, f"two-{turn}", 2)
        turns.append((count / one_s, count / cpu_s, count / one_s / tool, one_s / two_s))
    wall, cpu, ratio, two = (statistics.median(turn[index] for turn in turns) for index in range(4))
    remark = f"median of {STACK_TURNS} turns, start included"
    yield Row("the whole stack into Kafka, beside ProducerPerformance", f"{ratio:.2f}", remark)
    yield Row("  records a second, one worker", f"{wall:,.0f}")
    yield Row("  records a second of all its processes' time", f"{cpu:,.0f}", "target 60,000 a worker core")
    yield Row("  two workers : one", f"{two:.2f}", "times as fast; target 1.8")


def cut_off(brokers, run, faults):
    """A run of one partition that died behind its last command; how many commands it handled."""
    text = load("large")[0].replace("partitions = 12", "partitions = 1")
    options = {"hosts": 1000, "faults": faults}
    plan = plan_of(text, **options)
    log = KafkaLog.create(brokers, run, manifest_of_plan(plan, text, **options))
    real = ShardOutlet.commit
    with mock.patch.object(ShardOutlet, "commit", lambda self, last=False: real(self)):
        return carried_out(Run(log, plan), log).summary().commands


def taken_over(brokers, run, end):
    """The seconds until a shard that takes a partition over is through with it, and the commands it handled."""
    log = KafkaLog.open(brokers, run)
    roster, epoch_ns = roster_of(log.manifest)
    began_s = time.perf_counter()
    shard = Shard(0, roster, log, epoch_ns)
    handled = end - shard.offset
    shard.finish(end)

    async def whole():
        await shard.run()
        await log.close()

    asyncio.run(whole())
    return time.perf_counter() - began_s, handled


async def none(_):
    return None, None, ""


def takeover_rows(brokers, faults=BEHIND):
    """A shard with a long stream behind it."""
    end = cut_off(brokers, "long", faults)
    with_s, rest = taken_over(brokers, "long", end)
    with mock.patch.object(Checkpoints, "last", none):
        without_s, _ = taken_over(brokers, "long", end)
    remark = f"{end:,} commands behind it, {rest:,} since the last checkpoint"
    yield Row("a shard taken over with its checkpoint", f"{with_s:.2f} s", remark)
    yield Row("  without", f"{without_s:.2f} s", f"{without_s / with_s:.0f} times as long")


def rows(faults=BEHIND):
    """All of it, where a broker can be started."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            cluster = Cluster.formatted(Path(folder) / "kafka")
        except NoKafka as why:
            yield Row("Kafka", "-", str(why))
            return
        cluster.start()
        try:
            brokers = Brokers(cluster.bootstrap)
            yield from log_rows(brokers)
            yield from stack_rows(brokers)
            yield from shares.rows(brokers)
            yield from takeover_rows(brokers, faults)
        finally:
            cluster.stop()


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:])))
