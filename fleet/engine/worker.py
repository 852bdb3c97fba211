"""A worker: a process that owns some shards of a run, and tells its supervisor how far they are.

It reads messages on standard input and writes them to standard output. Where its input ends, its supervisor is
gone, and so is the worker, with everything that it handled written.

Source: the design's section 4; ``fleet.engine.messages`` has what is said.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fleet.engine.again import check_behaviour
from fleet.engine.messages import Ended, Finish, Said, Stop, failure_of, read_message
from fleet.engine.shard import Shard
from fleet.engine.telling import PROGRESS_S, progress_of, tell
from fleet.log.files import FileLog
from fleet.scenario.plan import roster_of
from fleet.service.figures import Counted

KAFKA: Final = "--kafka"  # the first word of one who works on Kafka; brokers, run and name follow


class Worker:
    """The shards of one process, until they end."""

    def __init__(self, log: FileLog, partitions: Sequence[int]) -> None:
        self._stopped = False
        roster, epoch_ns = roster_of(log.manifest)
        self.shards = [Shard(p, roster, log, epoch_ns, say=lambda said: tell(Said(said))) for p in partitions]
        self._counted = Counted()
        for shard in self.shards:
            self._counted.begin(shard)

    async def run(self) -> None:
        """Go through the shards' commands until they end. Raises LogError, and what a defect raises."""
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen())
            reporting = tasks.create_task(self._report())
            try:
                async with asyncio.TaskGroup() as working:
                    for shard in self.shards:
                        working.create_task(shard.run())
            finally:
                listening.cancel()
                reporting.cancel()
        self._tell_progress()
        tell(Ended([shard.summary() for shard in self.shards], stopped=self._stopped))

    async def _listen(self) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while (message := await read_message(reader)) is not None:
            match message:
                case Finish(offsets):
                    for shard in self.shards:
                        shard.finish(offsets[shard.partition])
                case Stop():
                    self._stop()
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        for shard in self.shards:
            shard.stop()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            self._tell_progress()

    def _tell_progress(self) -> None:
        tell(progress_of(self.shards, self._counted.tally(), self.shards))


def on_files(folder: str, partitions: str) -> Worker:
    """A worker on some partitions of a run on files. Raises LogError."""
    log = FileLog.open(Path(folder))
    check_behaviour(log)
    return Worker(log, [int(partition) for partition in partitions.split(",")])


def main(words: Sequence[str]) -> int:
    """Work on a run; returns the exit code. ``words``: a folder and partitions, or what ``Crew.words`` has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everyone; the supervisor says what to do
    try:
        if words[0] == KAFKA:
            from fleet.engine.joined import on_kafka

            return on_kafka(*words[1:])
        worker = on_files(*words)
        gc.freeze()
        gc.disable()  # what lives, lives as long as the run; events and commands make no cycles
        asyncio.run(worker.run())
    except Exception as fault:  # noqa: BLE001 (told to the supervisor, whatever it is)
        tell(failure_of(fault))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
