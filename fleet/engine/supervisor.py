"""The supervisor: starts the workers of a run, watches them, starts those again that die, and writes the commands.

A worker that dies is said with what it died of, and started again: it takes its shards over from the last
checkpoint, and what it wrote before is compared and skipped. One that dies over and over without getting further
ends the run. One that says nothing for too long is ended and started again; while the supervisor itself was
stopped, nobody's silence counts.

Source: the design's section 4, "Resume".
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from fleet.engine.messages import (
    GIVEN_UP,
    Ended,
    Failed,
    Finish,
    Progress,
    Said,
    Stop,
    ToWorker,
    packed,
    raised,
    read_message,
)
from fleet.engine.run import summary_of
from fleet.engine.shard import ShardSummary, first_of
from fleet.engine.worker import KAFKA
from fleet.engine.writer import AHEAD_MAX, CommandWriter, Source
from fleet.log.files import FileLog
from fleet.log.protocol import Log, LogError, Unreachable
from fleet.manifest import Summary
from fleet.service.figures import Facts, Tally, together

if TYPE_CHECKING:
    from fleet.log.kafka.log import KafkaLog

WORKERS_MAX: Final = 64  # of one run on one machine
DEATHS_MAX: Final = 3  # of a worker in a row, without getting further; then the run ends
SILENT_S: Final = 60.0  # wall time; a worker that says nothing, or does not end when told to, for so long is ended
LOOK_S: Final = 1.0  # between two looks at who is silent
PARTING_S: Final = 10.0  # that a worker has to write what it handled, when another one's failure ends the run
WORKER: Final = ["-m", "fleet.engine.worker"]  # what Python runs, before the run's folder and the partitions
_NOTHING: Final = Progress(0, 0, 0, 0, {})


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Watched:
    """One worker: its shards, its process, and what it said."""

    def __init__(self, number: int, partitions: Sequence[int]) -> None:
        self.number = number
        self.partitions = partitions
        self.process: asyncio.subprocess.Process | None = None
        self.progress = _NOTHING
        self.ended: Ended | None = None
        self.failed: Failed | None = None
        self.heard_s = 0.0  # the loop's time when it last said something
        self.is_heard = False  # the present process said something
        self.before = Tally()  # of its processes that died

    @property
    def tally(self) -> Tally:
        """What all its processes did."""
        return self.before.plus(self.progress.tally)

    def begin_again(self) -> None:
        """A process is started: what the last one did is kept."""
        self.before = self.tally
        self.progress = msgspec.structs.replace(self.progress, tally=Tally(), stands=[])
        self.failed = None
        self.is_heard = False

    def send(self, message: ToWorker) -> None:
        """Say something to it, if it is there."""
        if self.process is not None and self.process.stdin is not None and not self.process.stdin.is_closing():
            self.process.stdin.write(packed(message))

    def kill(self) -> None:
        """End its process, whatever state that is in."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()


class Crew(Protocol):
    """What workers of a kind of log are told, and where what they came to is found."""

    ahead_max: float  # commands that are written and not handled

    @property
    def log(self) -> Log:
        """What they work on."""

    def words(self, worker: Watched) -> list[str]:
        """What a worker is called with."""

    def unready(self) -> str:
        """Why the log cannot be written now; "": it can."""

    async def finished(self, offsets: Sequence[int]) -> None:
        """The commands end there."""

    async def came_to(self, workers: Sequence[Watched]) -> Iterable[ShardSummary]:
        """What the shards came to."""


class FileCrew:
    """Workers on files: each has its partitions."""

    ahead_max: float = AHEAD_MAX

    def __init__(self, log: FileLog) -> None:
        self.log = log

    def words(self, worker: Watched) -> list[str]:
        """The folder and the partitions."""
        return [str(self.log.folder), ",".join(map(str, worker.partitions))]

    def unready(self) -> str:
        """It can."""
        return ""

    async def finished(self, offsets: Sequence[int]) -> None:
        """Messages say it."""

    async def came_to(self, workers: Sequence[Watched]) -> list[ShardSummary]:
        """What they said at their end."""
        return _said(workers)


class KafkaCrew:
    """Workers on Kafka: their group divides the partitions among them and those that join from elsewhere."""

    ahead_max: float = float("inf")  # what is written waits at the brokers

    def __init__(self, log: "KafkaLog") -> None:
        self.log = log
        self._name = secrets.token_hex(4)  # one that is started again is known to the group

    def words(self, worker: Watched) -> list[str]:
        """The brokers, the run, and what the group calls this worker."""
        return [KAFKA, self.log.servers, self.log.run, f"{self._name}-{worker.number}"]

    def unready(self) -> str:
        """Brokers are waited for, or not."""
        return "no broker answers" if self.log.is_waiting else ""

    async def finished(self, offsets: Sequence[int]) -> None:
        """Say it to all."""
        await asyncio.to_thread(self.log.say_end, offsets)

    async def came_to(self, workers: Sequence[Watched]) -> list[ShardSummary]:
        """What is said about the run, and what those that were stopped said at their end."""
        stopped = {shard.partition: shard for shard in _said(workers)}
        return list((stopped | await self.log.shards(ShardSummary)).values())


def _said(workers: Sequence[Watched]) -> list[ShardSummary]:
    return [shard for worker in workers if worker.ended is not None for shard in worker.ended.shards]


class Supervisor:
    """One run, carried out by worker processes."""

    def __init__(
        self,
        crew: Crew,
        source: Source,
        *,
        workers: int,
        say: Callable[[str], None],
        report: Callable[[Progress, int], None] | None = None,
        silent_s: float = SILENT_S,
    ) -> None:
        partitions = crew.log.manifest.partitions
        count = min(workers, partitions)
        self._crew = crew
        self._say = say
        self._report = report
        self._silent_s = silent_s
        self._stopped = False
        self._finish: Finish | None = None
        self._heard = asyncio.Event()
        self.writer = CommandWriter(crew.log, source)
        self.workers = [Watched(number, range(number, partitions, count)) for number in range(count)]
        self.restarts = 0

    def stop(self) -> None:
        """Handle no further commands; what those that were handled set off is written."""
        self._stopped = True
        self.writer.stop()
        self._heard.set()
        for worker in self.workers:
            worker.heard_s = asyncio.get_running_loop().time()  # from now on only its end counts as a sign of life
            worker.send(Stop())

    async def run(self) -> Summary:
        """Run to the end, or until it is stopped. Raises LogError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                looking = tasks.create_task(self._look_for_silence())
                async with asyncio.TaskGroup() as working:
                    for worker in self.workers:
                        working.create_task(self._keep(worker))
                    working.create_task(self._write())
                looking.cancel()
        except BaseExceptionGroup as faults:
            raise first_of(faults) from None
        finally:
            await asyncio.gather(*(_part(worker) for worker in self.workers))
        late = [str(of.number) for of in self.workers if of.process and of.process.returncode == GIVEN_UP]
        if late and self._stopped:
            named = f"worker{'s'[: len(late) > 1]} {', '.join(late)}"
            raise Unreachable(f"{named}: not everything that was handled could be written in time; it comes again")
        shards = await self._crew.came_to(self.workers)
        interrupted = any(worker.ended is None or worker.ended.stopped for worker in self.workers)
        return summary_of(shards, interrupted=interrupted)

    async def _write(self) -> None:
        """Write the plan's commands, and say where they end."""
        if await self.writer.run(self._room):
            self._finish = Finish(self.writer.offsets)
            for worker in self.workers:
                worker.send(self._finish)
            await self._crew.finished(self.writer.offsets)

    async def _room(self, written: int) -> None:
        while written - self.place().commands > self._crew.ahead_max and not self._stopped:
            self._heard.clear()
            await self._heard.wait()

    def place(self) -> Progress:
        """How far the workers are together."""
        found = [worker.progress for worker in self.workers]
        outcomes: dict[str, int] = {}
        for progress in found:
            for name, count in progress.outcomes.items():
                outcomes[name] = outcomes.get(name, 0) + count
        return Progress(
            commands=sum(progress.commands for progress in found),
            faults=sum(progress.faults for progress in found),
            events=sum(progress.events for progress in found),
            time_ns=min(progress.time_ns for progress in found),
            outcomes=outcomes,
        )

    def facts(self) -> Facts:
        """How the run stands, for those who watch it."""
        return Facts(
            together(worker.tally for worker in self.workers),
            [stand for worker in self.workers for stand in worker.progress.stands],
            dict(enumerate(self.writer.offsets)),
            restarts=self.restarts,
            unready=self._unready(),
        )

    def _unready(self) -> str:
        if self._stopped:
            return "draining"
        away = [worker.number for worker in self.workers if worker.ended is None and not worker.is_heard]
        return f"worker {away[0]} has not said anything yet" if away else self._crew.unready()

    async def _keep(self, worker: Watched) -> None:
        """Keep one worker at work until its shards have ended."""
        deaths = 0
        while True:
            before = worker.progress.commands
            await self._start(worker)
            code = await self._listen(worker)
            if worker.ended is not None:
                return
            if worker.failed is not None and (fault := raised(worker.failed)) is not None:
                raise fault
            deaths = 1 if worker.progress.commands > before else deaths + 1
            reason = _died_of(code, worker.failed)
            if deaths >= DEATHS_MAX:
                raise LogError(f"worker {worker.number} died {deaths} times without getting further: {reason}")
            self.restarts += 1
            self._say(f"worker {worker.number} {reason}; it is started again")

    async def _start(self, worker: Watched) -> None:
        worker.begin_again()
        worker.heard_s = asyncio.get_running_loop().time()
        worker.process = await asyncio.create_subprocess_exec(
            *(sys.executable, *WORKER, *self._crew.words(worker)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        if self._finish is not None:
            worker.send(self._finish)
        if self._stopped:
            worker.send(Stop())

    async def _listen(self, worker: Watched) -> int:
        """What a worker says, until it ends; returns its exit code."""
        process = worker.process
        assert process is not None, "it was started"
        assert process.stdout is not None, "it has a pipe"
        while (message := await read_message(process.stdout)) is not None:
            if not self._stopped:
                worker.heard_s = asyncio.get_running_loop().time()
            worker.is_heard = True
            match message:
                case Progress():
                    worker.progress = message
                    self._heard.set()
                    if self._report is not None:
                        self._report(self.place(), self.writer.written)
                case Said(text):
                    self._say(text)
                case Ended():
                    worker.ended = message
                case Failed():
                    worker.failed = message
        return await process.wait()

    async def _look_for_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            await asyncio.sleep(LOOK_S)
            stopped_s = loop.time() - began_s - LOOK_S  # that the supervisor itself did not run
            for worker in self.workers:
                worker.heard_s += max(0.0, stopped_s)
                if worker.process is None or worker.ended is not None:
                    continue
                if loop.time() - worker.heard_s > self._silent_s:
                    did = "did not end in" if self._stopped else "said nothing for"
                    self._say(f"worker {worker.number} {did} {self._silent_s:.0f} s and is ended")
                    worker.heard_s = loop.time()
                    worker.kill()


def _died_of(code: int, failed: Failed | None) -> str:
    if failed is not None:
        return f"died of a defect, {failed.kind}: {failed.text}"
    if code < 0:
        return f"died of signal {-code} ({signal.Signals(-code).name})"
    return f"ended with exit code {code}"


async def _part(worker: Watched) -> None:
    """A worker that is still there writes what it handled and ends; one that does not is ended."""
    process = worker.process
    if process is None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), PARTING_S)
    except TimeoutError:
        worker.kill()
        await process.wait()
