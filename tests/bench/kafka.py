"""The log alone, fed with ready values, beside Kafka's own load tool: ``python -m tests.bench.kafka``.

The same broker, record size, partitions, acknowledgements, idempotence and batch size; in turn, so that whatever
else the machine does meets both. The load tool has no positions and no commits: it says what the broker takes.
"""

import asyncio
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from deploy.kafka.cluster import Cluster
from deploy.kafka.jars import jars, java
from fleet.codec import encode
from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import KafkaLog
from fleet.log.kafka.producer import BATCH_BYTES
from fleet.log.protocol import Written
from fleet.outlet import COMMIT_BYTES
from nodes.events import SYNDROME
from tests.bench.rates import Row, show
from tests.fleet.log.contract import START_MS, manifest_of

PARTITIONS = 6
VALUE_BYTES = 130  # about what an event of the storm has
COMMITS = 25  # of each partition
TURNS = 5
TOOL = "org.apache.kafka.tools.ProducerPerformance"


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


def theirs(brokers, run, ready):
    """Records a second of the load tool."""
    asyncio.run(KafkaLog.create(brokers, run, manifest_of(PARTITIONS)).close())
    count = PARTITIONS * sum(map(len, ready))
    properties = {
        "bootstrap.servers": brokers.servers,
        "acks": "all",
        "enable.idempotence": "true",
        "batch.size": BATCH_BYTES,
        "linger.ms": 10,
    }
    words = [
        *("--topic", f"{run}.{SYNDROME}", "--num-records", count, "--record-size", VALUE_BYTES),
        *("--throughput", -1, "--producer-props", *(f"{name}={value}" for name, value in properties.items())),
    ]
    command = [java(), "-cp", f"{jars()}/*", TOOL, *map(str, words)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"([\d.]+) records/sec", said)[-1])


def rows():
    ready = commits()
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster.formatted(Path(folder) / "kafka")
        cluster.start()
        try:
            brokers = Brokers(cluster.bootstrap)
            turns = [
                (ours(brokers, f"ours-{turn}", ready), theirs(brokers, f"theirs-{turn}", ready))
                for turn in range(TURNS)
            ]
        finally:
            cluster.stop()
    wall, cpu = (statistics.median(of[index] for of, _ in turns) for index in (0, 1))
    tool = statistics.median(of for _, of in turns)
    ratio = statistics.median(of[0] / other for of, other in turns)
    remark = f"median of {TURNS} turns, {VALUE_BYTES} bytes each; target 0.9"
    return [
        Row("the log alone into Kafka, beside ProducerPerformance", f"{ratio:.2f}", remark),
        Row("  records a second", f"{wall:,.0f}", f"the tool: {tool:,.0f}"),
        Row("  records a second of our own time", f"{cpu:,.0f}"),
    ]


if __name__ == "__main__":
    show(rows())
