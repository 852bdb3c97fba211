"""What tests of distributed runs share."""

import asyncio
import subprocess
import sys

import msgspec
import pytest

from fleet.engine.writer import CommandWriter
from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import KafkaLog
from fleet.manifest import BEHAVIOUR
from nodes.events import SYNDROME
from tests.runs import FEW, ROOT, Cut, manifest_of, plan_of, records, storm

MIDDLE = {"hosts": 40, "faults": 8_000}  # long enough to be disturbed
PART = 500  # commands of it that are written together
PATIENCE_S = 300.0  # for processes that must end, on a machine that is busy

AT_LEISURE = """
import fleet.engine.joined as joined
from fleet.__main__ import main
joined.DRAIN_S, joined.PART_S, joined.END_S = 200.0, 50.0, 290.0
main()
"""  # a worker that may take its time to end, on a machine that is busy


class There:
    """Runs on the shared broker."""

    def __init__(self, servers):
        self.servers = servers

    def open(self, name):
        return KafkaLog.open(Brokers(self.servers), name)

    def begun(self, name, text=FEW, behaviour=BEHAVIOUR, **options):
        """The plan of a storm, and a new run for it."""
        plan = plan_of(text, **options)
        manifest = msgspec.structs.replace(manifest_of(plan, text, **options), behaviour=behaviour)
        return plan, KafkaLog.create(Brokers(self.servers), name, manifest)

    def half_written(self, name):
        """The middle storm with half of its commands: nobody comes to its end until the others are there, too."""
        plan, log = self.begun(name, **MIDDLE)
        writer = CommandWriter(log, Cut(plan, PART))

        async def enough(written):
            if written > plan.commands_written() // 2:
                writer.stop()

        async def whole():
            try:
                assert not await writer.run(enough)
            finally:
                await log.close()

        asyncio.run(whole())
        return plan, log

    def wait_for_events(self, name):
        """Until there are some."""
        log = self.open(name)

        async def some():
            while not sum([await log.end_of(SYNDROME, of) for of in range(log.manifest.partitions)]):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.1)

        log.loop.call(some())
        asyncio.run(log.close())

    def held(self, name):
        """What a run came to, and everything that it holds."""
        log = self.open(name)
        found = log.summary(), records(log)
        asyncio.run(log.close())
        return found

    def worker(self, name, *options, how=("-m", "fleet")):
        """The command, at work."""
        words = [sys.executable, *how, "worker", "--kafka", self.servers, "--run", name, *options]
        return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def ended(*workers):
    """The exit codes of workers, and what they said, once they have ended by themselves."""
    said = [worker.communicate(timeout=PATIENCE_S)[1] for worker in workers]
    return [worker.returncode for worker in workers], said


@pytest.fixture(scope="session")
def there(kafka):
    return There(kafka)


@pytest.fixture(scope="session")
def scenario(tmp_path_factory):
    """The file of the small storm's scenario."""
    place = tmp_path_factory.mktemp("scenario") / "storm.toml"
    place.write_text(FEW)
    return place


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The small storm on files: its folder, what it came to, and everything that it holds."""
    run, log = storm(tmp_path_factory.mktemp("small") / "storm", FEW)
    return log.folder, run.summary(), records(log)


@pytest.fixture(scope="session")
def middle(tmp_path_factory):
    """A longer storm on files: what it came to, and everything that it holds."""
    run, log = storm(tmp_path_factory.mktemp("middle") / "storm", FEW, **MIDDLE)
    return run.summary(), records(log)
