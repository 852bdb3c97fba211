"""A worker of a run on Kafka: it joins from anywhere, and works on the partitions that the run's group gives it.

When the group is divided anew, everything is left within some seconds: what was handled is written, and
has a checkpoint. Whoever gets a partition takes it over as after a crash. What was not left in time is taken
away; what such a shard still writes stands there already, or will.

A worker ends when all partitions of the run have ended, its own and those of others, or when it is told to.

Source: the design's section 4; ``fleet.log.kafka.group`` says who works on what.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from fleet.engine.again import check_behaviour
from fleet.engine.messages import GIVEN_UP, Ended, FromWorker, Progress, Said, Stop, read_message
from fleet.engine.run import summary_of
from fleet.engine.shard import Shard, ShardSummary, first_of
from fleet.engine.telling import PROGRESS_S, progress_of, tell
from fleet.log.kafka.connection import Outage
from fleet.log.kafka.log import KafkaLog
from fleet.place import brokers_of
from fleet.scenario.plan import roster_of
from fleet.service.figures import Counted, Facts, stand_of

if TYPE_CHECKING:
    from fleet.service.metrics import Meter

DRAIN_S: Final = 7.0  # until partitions that are not left are taken away; a stop has 10 s in all
PART_S: Final = 1.5  # to leave the group, and to close the log; then the process just ends
END_S: Final = 9.0  # after a stop, with brokers that do not answer, the process just ends
LOOK_S: Final = 0.25  # at what is said about the run
SILENT_S: Final = 10.0  # since a broker answered, until people are told
ANSWERED_S: Final = 6.0  # since a broker answered, until this worker is not ready
LAG_S: Final = 5.0  # between two looks at how far the shards are, for those who look at lag


class Joined:
    """The shards that one process works on. ``hear``: gets what it says; ``meter``: how it stands."""

    def __init__(
        self,
        log: KafkaLog,
        hear: Callable[[FromWorker], None],
        *,
        instance: str | None = None,
        meter: "Meter | None" = None,
    ) -> None:
        self._log = log
        self._hear = hear
        self._roster, self._epoch_ns = roster_of(log.manifest)
        self._board = log.board()
        self._group = log.group(self._assigned, self._revoked, instance=instance)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._working: dict[asyncio.Task[None], int] = {}  # to their partitions
        self._mine: frozenset[int] = frozenset()  # partitions, as the group says
        self._said: dict[int, int] = {}  # that ended here: how often the board had heard of it before
        self._division = 0  # raised whenever everything is left
        self._stopped = False
        self._leaving = False  # for good
        self._failed = False  # a shard did, and all is ending
        self.gave_up = False  # something was handled and could not be written in time
        self.shards: dict[int, Shard] = {}  # at work
        self.over: dict[int, Shard] = {}  # that came to their end here, or were left last
        self._counted = Counted()
        self._meter = meter
        self._is_member = False  # the group has said which partitions are ours
        self._ends: Mapping[int, int] = {}  # of commands, by partition, when a broker answered last
        self._answered_s: float | None = None  # real time then
        self._outage = Outage(log.servers, lambda text: hear(Said(text)))
        self._rebalances = 0  # how often partitions were left for others to get them

    def stop(self) -> None:
        """Leave everything, and end."""
        self._stopped = True
        if self._meter is not None:
            self._meter.show(self._facts())

    async def run(self) -> bool:
        """Work until every partition of the run has ended; False when it was stopped. Raises LogError."""
        self._loop = asyncio.get_running_loop()
        showing = asyncio.ensure_future(self._show())
        await self._log.loop.wait(self._board.catch_up())
        living = asyncio.ensure_future(self._log.loop.wait(self._group.live()))
        try:
            await self._work_along(living)
        except BaseExceptionGroup as faults:
            raise first_of(faults) from None
        finally:
            await _within(PART_S, self._log.loop.wait(self._group.close()))
            await asyncio.wait({living}, timeout=PART_S)
            if living.done() and not living.cancelled():
                living.exception()  # of a run that is over nobody asks it any more
            showing.cancel()
        done = self._is_over()
        if done:
            await asyncio.to_thread(self._finish)
        self._hear(self._progress())
        self.say_ended(stopped=not done)
        return done

    def say_left(self) -> None:
        """Say whether everything was left that was handled."""
        left = (
            "what could not be written in time comes again"
            if self.gave_up
            else "everything that was handled is written"
        )
        self._hear(Said(f"run {self._log.run}: left, {left}"))

    def say_ended(self, *, stopped: bool) -> None:
        """Say what the shards came to that ended here, or were left last."""
        self._hear(Ended([shard.summary() for shard in self.over.values()], stopped=stopped))

    async def _work_along(self, living: "asyncio.Future[None]") -> None:
        """Be a member, until the run is over or this is to stop, and leave everything written."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            around = [tasks.create_task(self._report()), tasks.create_task(self._say_offsets())]
            await self._follow(living)
            self._leaving = True
            for task in around:
                task.cancel()
            await self._leave()

    async def _follow(self, living: "asyncio.Future[None]") -> None:
        """Hear what is said about the run, until it is over."""
        while not self._stopped and not self._is_over():
            if living.done():
                living.result()  # only a fault ends it
            await self._log.loop.wait(self._board.look(LOOK_S))
            for shard in self.shards.values():
                self._tell_end(shard)
            self._take_up()

    def _is_over(self) -> bool:
        return all(self._board.has(f"shard/{partition}") for partition in range(self._log.manifest.partitions))

    def _finish(self) -> None:
        """Every shard has ended: so has the run, whoever says it."""
        shards = self._board.shards(self._log.manifest.partitions, ShardSummary)
        if not self._board.has("summary"):
            self._log.finish(summary_of(shards.values(), interrupted=False))

    def _tell_end(self, shard: Shard) -> None:
        end = self._board.end()
        if end is not None:
            shard.finish(end[shard.partition])

    def _assigned(self, partitions: frozenset[int]) -> None:
        """In the loop of the log: these are for us."""
        assert self._loop is not None, "it runs"
        self._loop.call_soon_threadsafe(self._begin, partitions)

    async def _revoked(self) -> None:
        """In the loop of the log: everything is to be left."""
        assert self._loop is not None, "it runs"
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._leave(), self._loop))

    def _begin(self, partitions: frozenset[int]) -> None:
        if not self._leaving and not self._failed:
            self._mine = partitions
            self._is_member = True
            self._take_up()

    def _take_up(self) -> None:
        """Work on what is ours and has not ended, or goes on because somebody carries the run on."""
        ended = {partition for partition in self._mine if self._board.has(f"shard/{partition}")}
        unheard = {of for of, before in self._said.items() if self._board.heard(f"shard/{of}") <= before}
        for partition in sorted(self._mine - ended - unheard - set(self._working.values())):
            task = self._tasks.create_task(self._work(partition, self._division))
            self._working[task] = partition
            task.add_done_callback(self._working.pop)

    async def _leave(self) -> None:
        """Stop every shard, and wait until it has written what it took."""
        self._division += 1
        self._rebalances += self._is_member and not self._leaving
        self._is_member = False
        self._mine = frozenset()
        for shard in self.shards.values():
            shard.stop()
        working = set(self._working)
        if not working:
            return
        _, late = await asyncio.wait(working, timeout=DRAIN_S)
        if late:
            self.gave_up = self._leaving
            named = ", ".join(str(partition) for partition in sorted(self._working[task] for task in late))
            self._hear(
                Said(f"partitions {named}: not left within {DRAIN_S:.0f} s, what is not written comes again")
            )
        for task in late:
            partition = self._working[task]
            if partition in self.shards:
                self.over[partition] = self.shards[partition]
            task.cancel()

    async def _work(self, partition: int, division: int) -> None:
        """Work on a partition. After a fault nothing more is begun: whoever began it all ends then."""
        try:
            await self._go_through(partition, division)
        except Exception:
            self._failed = True
            raise

    async def _go_through(self, partition: int, division: int) -> None:
        """Take a partition over and go through its commands to their end, unless it is to be left before."""
        shard = await asyncio.to_thread(
            Shard, partition, self._roster, self._log, self._epoch_ns, say=lambda text: self._hear(Said(text))
        )
        self.shards[partition] = shard
        self._counted.begin(shard)
        if division != self._division:
            shard.stop()
        self._tell_end(shard)
        try:
            await shard.run()
        finally:
            del self.shards[partition]
            self._counted.end(shard)
        if division == self._division or self._stopped:
            self.over[partition] = shard
        await self._log.loop.wait(self._group.commit({partition: shard.offset}))
        if division == self._division:
            before = self._board.heard(f"shard/{partition}")
            await asyncio.to_thread(self._log.say_shard, partition, shard.summary())
            self._said[partition] = before

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            self._hear(self._progress())

    def _progress(self) -> Progress:
        shards = list((self.over | self.shards).values())
        return progress_of(shards, self._counted.tally(), self.shards.values())

    async def _show(self) -> None:
        """Say how this worker stands, for as long as it is there."""
        self._log.loop.post(self._group.look_at_ends(lambda: [*self._mine], self._answered))
        began_s = time.monotonic()
        while True:
            if self._meter is not None:
                self._meter.show(self._facts())
            silent_s = time.monotonic() - (self._answered_s or began_s)
            if silent_s > SILENT_S:
                self._outage.lasts(f"none for {silent_s:.0f} s")
            await asyncio.sleep(PROGRESS_S)

    def _answered(self, ends: Mapping[int, int]) -> None:
        """In the loop of the log: a broker said where commands end."""
        self._ends, self._answered_s = ends, time.monotonic()
        self._outage.is_over()

    def _facts(self) -> Facts:
        return Facts(
            self._counted.tally(),
            [stand_of(shard) for _, shard in sorted(self.shards.items())],
            self._ends,
            rebalances=self._rebalances,
            unready=self._unready(),
        )

    def _unready(self) -> str:
        """Why no work should be expected of this worker."""
        if self._stopped or self._leaving:
            return "draining"
        if not self._is_member:
            return "waiting for the group's partitions"
        if self._answered_s is None:
            return "no broker has answered yet"
        silent_s = time.monotonic() - self._answered_s
        return f"no broker has answered for {silent_s:.0f} s" if silent_s > ANSWERED_S else ""

    async def _say_offsets(self) -> None:
        while True:
            await asyncio.sleep(LAG_S)
            offsets = {partition: shard.offset for partition, shard in self.shards.items()}
            await self._log.loop.wait(self._group.commit(offsets))

    async def close(self) -> bool:
        """Be done with the log; False when that takes too long, and the process may just end."""
        await _within(PART_S, self._log.loop.wait(self._board.close()))
        return await _within(PART_S, self._log.close())


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> bool:
    """Whether something was done in time; it is not waited for any longer, and goes on."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    if task.done():
        task.result()
    return task.done()


async def carried(joined: Joined, *, listen: bool) -> bool:
    """Work until the end or a signal. ``listen``: a supervisor is at standard input. Raises LogError."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if number == signal.SIGTERM or not listen:
            loop.add_signal_handler(number, _end, joined)
    listening = asyncio.ensure_future(_listen(joined)) if listen else None
    gc.freeze()
    gc.disable()  # what lives, lives as long as the run; events and commands make no cycles
    try:
        over = await joined.run()
    except BaseException:
        await joined.close()
        raise
    finally:
        if listening is not None:
            listening.cancel()
    if not over and not listen:
        joined.say_left()
    if not await joined.close():
        os._exit(GIVEN_UP if joined.gave_up else 0)  # what brokers still answer is of no use
    return over


def _end(joined: Joined) -> None:
    joined.stop()
    asyncio.get_running_loop().call_later(END_S, _give_up, joined)


def _give_up(joined: Joined) -> None:
    """Brokers do not answer: what was handled and not written comes again, wherever it is gone on with."""
    joined.gave_up = True
    joined.say_left()
    joined.say_ended(stopped=True)
    os._exit(GIVEN_UP)


async def _listen(joined: Joined) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while (message := await read_message(reader)) is not None:
        if isinstance(message, Stop):
            break
    _end(joined)


def on_kafka(servers: str, run: str, instance: str) -> int:
    """Work for a supervisor; returns the exit code. Raises LogError."""

    def say(said: str) -> None:
        tell(Said(said))

    log = KafkaLog.open(brokers_of(servers, lambda _: None), run, say=say)  # who started it has heard the warnings
    check_behaviour(log)
    joined = Joined(log, tell, instance=instance)
    over = asyncio.run(carried(joined, listen=True))
    return GIVEN_UP if joined.gave_up and not over else 0
