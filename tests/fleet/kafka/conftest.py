"""What tests of distributed runs share."""

import asyncio
import subprocess
import sys

import msgspec
import pytest

from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import KafkaLog
from fleet.manifest import BEHAVIOUR
from nodes.events import SYNDROME
from tests.runs import ROOT, STORM, manifest_of, plan_of, records, storm

MIDDLE = {"hosts": 40, "faults": 8_000}  # long enough to be disturbed


class There:
    """Runs on the shared broker."""

    def __init__(self, servers):
        self.servers = servers

    def open(self, name):
        return KafkaLog.open(Brokers(self.servers), name)

    def begun(self, name, text=STORM, behaviour=BEHAVIOUR, **options):
        """The plan of a storm, and a new run for it."""
        plan = plan_of(text, **options)
        manifest = msgspec.structs.replace(manifest_of(plan, text, **options), behaviour=behaviour)
        return plan, KafkaLog.create(Brokers(self.servers), name, manifest)

    def wait_for_events(self, name):
        """Until every partition has some, and none has all."""
        log = self.open(name)

        async def some():
            for partition in range(log.manifest.partitions):
                reader = log.reader(SYNDROME, partition, 0)
                while not await reader.next(1.0):
                    pass
                await reader.close()

        log.loop.call(some())
        asyncio.run(log.close())

    def held(self, name):
        """What a run came to, and everything that it holds."""
        log = self.open(name)
        found = log.summary(), records(log)
        asyncio.run(log.close())
        return found

    def worker(self, name, *options):
        """The command, at work."""
        words = [sys.executable, "-m", "fleet", "worker", "--kafka", self.servers, "--run", name, *options]
        return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="session")
def there(kafka):
    return There(kafka)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The small storm on files: its folder, what it came to, and everything that it holds."""
    run, log = storm(tmp_path_factory.mktemp("small") / "storm")
    return log.folder, run.summary(), records(log)


@pytest.fixture(scope="session")
def middle(tmp_path_factory):
    """A longer storm on files: what it came to, and everything that it holds."""
    run, log = storm(tmp_path_factory.mktemp("middle") / "storm", **MIDDLE)
    return run.summary(), records(log)
