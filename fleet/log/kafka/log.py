"""The log of one run on Kafka (fleet.log.protocol.Log).

Everything that talks to brokers lives in one loop in a thread of its own. Each writer has a producer for itself,
so that trouble with one partition stays with it; those who append commands share one.

Source: the design's section 4.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from fleet.codec import TOPICS
from fleet.log.kafka.board import Board
from fleet.log.kafka.checkpoints import backwards
from fleet.log.kafka.connection import Brokers, Outage, is_slow, parted, reached
from fleet.log.kafka.feed import KafkaFeed, KafkaFollowing
from fleet.log.kafka.group import Assigned, Group, Revoked, wait_for_nobody
from fleet.log.kafka.loop import Loop
from fleet.log.kafka.manifests import Runs
from fleet.log.kafka.names import CHECKPOINT, RUNS, checked_name
from fleet.log.kafka.positions import Sieve
from fleet.log.kafka.producer import HeadersOf, Producer
from fleet.log.kafka.reader import PATIENCE_S, Reader
from fleet.log.kafka.stream import Stream, by_bytes
from fleet.log.kafka.topics import Place, Topics
from fleet.log.kafka.turn import WRITER, Turn
from fleet.log.kafka.writer import KafkaWriter, own_headers
from fleet.log.protocol import Entry, LogError, Record
from fleet.manifest import Manifest, Summary
from nodes.events import COMMAND

OF_A_RUN: Final = (*TOPICS, CHECKPOINT)
Told = TypeVar("Told")
Ask = Callable[[Runs], Coroutine[Any, Any, None]]
_SLOW: Final = (
    "aiokafka has no C extensions here and is about 20 times slower: install a wheel of it, or a C compiler"
)


def _quiet(_: str) -> None:
    """Nobody listens."""


class KafkaLog:
    """The log of one run. ``say``: gets a line when brokers are waited for, and what else people should know."""

    def __init__(
        self, brokers: Brokers, run: str, manifest: Manifest, loop: Loop, say: Callable[[str], None]
    ) -> None:
        self.run = run
        self.manifest = manifest
        self.loop = loop
        self._brokers = brokers
        self._say = say
        self._outage = Outage(brokers.servers, say)
        self._commands = Producer(brokers, self._outage)
        self._closed = False
        self.headers_of: Callable[[str, int], HeadersOf] = own_headers  # of the records of a topic's partition
        self.passed: Callable[[str], None] | None = None  # whoever reads is told of what is no event, and goes on
        self._streams: dict[tuple[str, int], Stream] = {}
        self._writers: list[KafkaWriter] = []
        self._readers: set[Reader] = set()
        self._followed: list[KafkaFollowing] = []  # that have not heard of the end
        self._seen: Board | None = None
        self._turn: Turn | None = None  # to write the plan

    @classmethod
    def create(
        cls, brokers: Brokers, run: str, manifest: Manifest, *, say: Callable[[str], None] = _quiet
    ) -> "KafkaLog":
        """A new run: its manifest first, then its topics. Raises LogError, Unreachable within 10 s."""
        return _opened(cls, brokers, checked_name(run), manifest, say)

    @classmethod
    def open(cls, brokers: Brokers, run: str, *, say: Callable[[str], None] = _quiet) -> "KafkaLog":
        """A run that is there. Topics that were not made yet are. Raises LogError, Unreachable within 10 s."""
        return _opened(cls, brokers, checked_name(run), None, say)

    @property
    def title(self) -> str:
        """What people call this log."""
        return f"run {self.run}"

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be written and no broker has answered for a while."""
        return self._outage.is_on

    def board(self, *, rests: bool = False) -> Board:
        """What is said about this run while it goes on; its keeper closes it."""
        return Board(self.run, Reader(self._brokers, Place("", RUNS, 0), 0, patience_s=None, rests=rests))

    def group(self, assigned: Assigned, revoked: Revoked, *, instance: str | None = None) -> Group:
        """Membership of the group that assigns this run's partitions to workers."""
        return Group(self._brokers, self.run, assigned, revoked, instance=instance)

    @property
    def servers(self) -> str:
        """The brokers that keep it."""
        return self._brokers.servers

    def reader(
        self,
        topic: str,
        partition: int,
        position: int,
        *,
        patience_s: float | None = PATIENCE_S,
        passes: bool = False,
    ) -> Reader:
        """Reads a partition from an offset in Kafka on."""
        place = Place(self.run, topic, partition)
        return Reader(self._brokers, place, position, patience_s=patience_s, passes=passes)

    def parts(self, topic: str, partition: int, start: int, end: int | None = None) -> Iterator[list[Entry]]:
        """What stands between two offsets in Kafka; without an end, up to where the partition ends now."""
        if end is not None and start >= end:
            return
        reader = self.reader(topic, partition, start, passes=topic == COMMAND)
        self._readers.add(reader)
        try:
            upto = self.loop.call(reader.end()) if end is None else end
            while part := self.loop.call(reader.upto(upto)):
                yield part
        finally:
            self._readers.discard(reader)
            self.loop.post(reader.close())

    def read(self, topic: str, partition: int, *, start: int = 0) -> Iterator[Entry]:
        """The records of a partition from an offset on; events are at their positions, each once.

        An event never stands in front of the offset in Kafka that is its position. Raises CorruptLog, but for
        commands: of them what is corrupt is LOST, as it is when they are handled.
        """
        if topic == COMMAND:
            for part in self.parts(topic, partition, start):
                yield from part
            return
        sieve = Sieve(start, self.run, passed=self.passed)
        for part in self.parts(topic, partition, start):
            yield from sieve.sift(part)

    def count(self, topic: str) -> int:
        """How many records a topic holds; of events, each once."""
        return sum(1 for partition in range(self.manifest.partitions) for _ in self.read(topic, partition))

    async def end_of(self, topic: str, partition: int) -> int:
        """The offset in Kafka behind what stands in a partition now. In the loop of the log."""
        reader = self.reader(topic, partition, 0)
        try:
            return await reader.end()
        finally:
            await reader.close()

    def commands_backwards(self, partition: int) -> Iterator[Entry]:
        """The commands that a partition holds, the last one first."""
        windows = backwards(self.reader(COMMAND, partition, 0, passes=True))
        try:
            while (window := self.loop.call(_next(windows))) is not None:
                yield from window
                window.clear()  # before the next one is read
        finally:
            self.loop.post(_closed(windows))

    async def append_commands(self, partition: int, commands: Sequence[Record]) -> int:
        """Append commands to a partition; returns the offset behind them when they are durable.

        Raises LogError when this program wrote the plan, and another one does by now.
        """
        return await self.loop.wait(self._append_commands(partition, commands))

    async def _append_commands(self, partition: int, commands: Sequence[Record]) -> int:
        if self._turn is not None:
            await self._turn.check()
        return await self._stream(COMMAND, partition).append(commands)

    def _stream(self, topic: str, partition: int) -> Stream:
        stream = self._streams.get((topic, partition))
        if stream is None:
            stream = self._streams[topic, partition] = Stream(
                self._commands,
                lambda position: self.reader(topic, partition, position),
                Place(self.run, topic, partition),
                same=by_bytes,
                headers_of=self.headers_of(topic, partition),
            )
        return stream

    def feed(self, partition: int, offset: int) -> KafkaFeed:
        """The commands of a partition from an offset on."""
        reader = self.reader(COMMAND, partition, offset, patience_s=None, passes=True)
        self._readers.add(reader)
        return KafkaFeed(self.loop, reader)

    def is_over(self) -> bool:
        """Whether the run has ended, as far as is known. Who follows it hears of its end by asking this."""
        return self.loop.call(self._look())

    async def _look(self) -> bool:
        if self._seen is None:
            self._seen = self.board()
            await self._seen.catch_up()
        await self._seen.look(0.0)
        if self._seen.has("summary"):
            await asyncio.gather(*(of.find_end() for of in self._followed))
            self._followed = []
            return True
        return False

    def following(self, partition: int, topics: Sequence[str]) -> list[KafkaFollowing]:
        """What hands out the records of some topics of a partition as they come, one for each topic."""
        found = []
        for topic in topics:
            reader = self.reader(topic, partition, 0, passes=topic == COMMAND)
            sieve = None if topic == COMMAND else Sieve(0, self.run)
            found.append(KafkaFollowing(self.loop, reader, sieve))
        self._followed += found
        return found

    def writer(self, partition: int) -> KafkaWriter:
        """The writer of a partition's events."""
        writer = KafkaWriter(self, partition, Producer(self._brokers, self._outage))
        self._writers.append(writer)
        return writer

    def summary(self) -> Summary | None:
        """What the run came to; None while it runs, and after it was cut off."""
        return self._told("summary", Summary)

    def finish(self, summary: Summary) -> None:
        """Say how the run ended."""
        self._tell("summary", summary)

    def unfinish(self) -> None:
        """The run goes on: neither it nor a shard of it has ended, and its commands have not either."""
        shards = [f"shard/{partition}" for partition in range(self.manifest.partitions)]
        keys = [f"{self.run}/{what}" for what in ("summary", "end", *shards)]

        async def unsaid(runs: Runs) -> None:
            said = await runs.all()
            for key in keys:
                if said.get(key):
                    await runs.put(key, None)

        self._of_runs(unsaid)

    def lock(self) -> None:
        """Write the run's plan from now on, even with a log that was closed. Whoever did so is told, and ends."""
        self._closed = False
        self._turn = self._turn or Turn(self.run, self.board(rests=True), self._outage)
        self._tell(WRITER, self._turn.word)

    def wait_for_nobody(self) -> None:
        """Wait until no other program carries the run out; one that died is forgotten within a session.

        Raises LogError where one does.
        """
        self.loop.call(wait_for_nobody(self._brokers, self.run, self._say))

    async def shards(self, kind: type[Told]) -> dict[int, Told]:
        """What those shards came to that have ended."""
        board = self.board()

        async def told() -> dict[int, Told]:
            try:
                await board.catch_up()
                return board.shards(self.manifest.partitions, kind)
            finally:
                await board.close()

        return await self.loop.wait(told())

    def end(self) -> list[int] | None:
        """By partition, the offsets behind which no command of the scenario comes; None: that is not said yet."""
        return self._told("end", list[int])

    def say_end(self, offsets: Sequence[int]) -> None:
        """Say where the scenario's commands end."""
        self._tell("end", list(offsets))

    def shard(self, partition: int, kind: type[Told]) -> Told | None:
        """What a shard came to; None while it is at work."""
        return self._told(f"shard/{partition}", kind)

    def say_shard(self, partition: int, summary: object) -> None:
        """Say what a shard came to; None: it goes on."""
        self._tell(f"shard/{partition}", summary)

    def _told(self, what: str, kind: type[Told]) -> Told | None:
        return self._of_runs(lambda runs: runs.get(f"{self.run}/{what}", kind))

    def _tell(self, what: str, value: object) -> None:
        self._of_runs(lambda runs: runs.put(f"{self.run}/{what}", value))

    def _of_runs(self, ask: Callable[[Runs], Coroutine[Any, Any, Told]]) -> Told:
        """Ask the topic of all runs. It may be asked of a log that was closed, too."""
        try:
            return self.loop.call(asked(self._brokers, self._say, ask))
        finally:
            if self._closed:
                self.loop.stop()

    async def close(self) -> None:
        """Be done with everything: writers, feeds, connections."""
        self._closed = True
        await self.loop.wait(self._close())
        await asyncio.to_thread(self.loop.stop)

    async def _close(self) -> None:
        writers, self._writers = self._writers, []
        await asyncio.gather(*(writer.release() for writer in writers))
        readers, self._readers = self._readers, set()
        for reader in readers:
            await reader.close()
        for open_still in (self._seen, self._turn):
            if open_still is not None:
                await open_still.close()
        await self._commands.close()
        self._seen = self._turn = None  # whoever goes on with it does so in another loop
        self._commands = Producer(self._brokers, self._outage)
        self._streams.clear()


async def asked(
    brokers: Brokers, say: Callable[[str], None], ask: Callable[[Runs], Coroutine[Any, Any, Told]]
) -> Told:
    """What the topic of all runs answers."""

    def reader(position: int) -> Reader:
        return Reader(brokers, place, position)

    place = Place("", RUNS, 0)
    plain = replace(brokers, compression="none")  # everybody reads it, whatever they have installed
    producer = Producer(plain, Outage(brokers.servers, say))
    try:
        return await ask(Runs(Stream(producer, reader, place, same=by_bytes), reader))
    finally:
        await producer.close()


def _opened(
    kind: type[KafkaLog], brokers: Brokers, run: str, manifest: Manifest | None, say: Callable[[str], None]
) -> KafkaLog:
    loop = Loop()
    try:
        return kind(brokers, run, loop.call(_prepared(brokers, run, manifest, say)), loop, say)
    except BaseException:
        loop.stop()
        raise


async def _prepared(brokers: Brokers, run: str, new: Manifest | None, say: Callable[[str], None]) -> Manifest:
    """See to it that the run and its topics are there. Raises LogError."""
    if is_slow():
        say(_SLOW)
    admin = await reached(brokers)
    topics = Topics(admin)
    try:
        await topics.ensure("", (RUNS,), 1)
        if new is None:
            manifest = await asked(brokers, say, lambda runs: runs.manifest(run))
        else:
            manifest = new
            await _begin(topics, run, new, lambda ask: asked(brokers, say, ask))
        await topics.ensure(run, OF_A_RUN, manifest.partitions)
        for lost in await topics.loses(run, OF_A_RUN):
            say(lost)
    finally:
        await parted(admin.close())
    return manifest


async def _begin(topics: Topics, run: str, new: Manifest, ask: Callable[[Ask], Coroutine[Any, Any, None]]) -> None:
    """Describe a new run, once a topic of its name is ours. Raises LogError."""
    await ask(lambda runs: runs.check_new(run))
    await topics.claim(run, new.partitions)
    try:
        await ask(lambda runs: runs.put(run, new))
    except LogError:
        await topics.unclaim(run)
        raise


async def _next(windows: AsyncGenerator[list[Entry], None]) -> list[Entry] | None:
    return await anext(windows, None)


async def _closed(windows: AsyncGenerator[list[Entry], None]) -> None:
    await windows.aclose()
