"""A shard: one partition's commands go through its hosts, and their events are written in command order.

A shard takes its partition over: it starts from the last checkpoint, and what comes again is compared with what
stands in the log. Commands come from the log, so that whatever a shard has seen is durable; they wait in a bounded
mailbox, and the shard in turn waits for the disk.

Source: the design's sections 3 (time) and 4 (events, resume).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from fleet.codec import EVENT_SIZE_MAX, TOPICS, UnknownEvent, decode_command, encode
from fleet.digest import SEGMENT_EVENTS, Digested, PartitionDigest
from fleet.engine.offsets import Offsets
from fleet.engine.outlet import Refused, ShardOutlet
from fleet.engine.standing import Skipping
from fleet.log.protocol import LOST, Checkpoint, CommandFeed, Commands, CorruptLog, Log, LogError
from fleet.partition import partition_of
from fleet.service.waits import Waits
from nodes.actor import Actors, Home, Hosts, Mail, Roster, check_readable
from nodes.events import COMMAND, Level, Why
from nodes.spec.layout import Malformed

MAILBOX_COMMANDS: Final = 1024  # that wait in front of a shard
TAKEN_BYTES_MAX: Final = 16 << 20  # of commands that it holds: one may have a megabyte, whoever sent it
PAUSE_S: Final = 0.01  # until it is looked again whether some were handled
STATE_FORMAT: Final = 1  # of ShardState


class ShardState(msgspec.Struct, frozen=True, array_like=True):
    """Where a shard stands, without its hosts. Fields are only ever appended, with defaults."""

    format: int
    commands: int  # handled
    n: list[int]  # the next position in each topic of hosts
    digests: list[bytes]  # of whole segments, by topic, commands first
    outcomes: list[tuple[int, int]]  # place in ShardOutlet.counts, count
    hosts: bytes  # nodes.actor.Hosts
    runs: tuple[tuple[int, int], ...] = ((0, 0),)  # fleet.engine.offsets.Offsets, from the last whole segment on
    letters: list[tuple[int, int]] = []  # Why, how many commands were refused for it


class ShardSummary(msgspec.Struct, frozen=True, array_like=True):
    """What a partition came to."""

    partition: int
    commands: int  # handled, the clock's included
    faults: int
    ignored: int  # commands that their origin sent before
    unknown: int  # commands for hosts that do not exist
    skipped: int  # events that stood in the log already
    digests: dict[str, Digested]  # by topic
    outcomes: list[tuple[str, str, int]]  # level, kind, count
    ledger: list[int]  # nodes.ledger.Account: of the hosts
    guests: list[int]  # of their guests
    letters: dict[str, int] = {}  # dead letters by their reason


class _Own:
    """The hosts of one partition: what is sent to another one's here is for nobody (nodes.actor.Roster)."""

    def __init__(self, roster: Roster, partition: int, partitions: int) -> None:
        self._roster = roster
        self._partition = partition
        self._partitions = partitions

    def home_of(self, host: str) -> Home | None:
        """The home of a host that belongs here."""
        home = self._roster.home_of(host)
        return None if home is None or partition_of(host, self._partitions) != self._partition else home

    def is_elsewhere(self, host: str) -> bool:
        """Whether a host that does not belong here has its home in another partition."""
        return self._roster.home_of(host) is not None


class Place(NamedTuple):
    """How far a shard is."""

    commands: int  # handled
    time_ns: int
    events: int


class Shard:
    """One partition at work: taken over when it is made. Raises LogError."""

    def __init__(
        self, partition: int, roster: Roster, log: Log, epoch_ns: int, *, say: Callable[[str], None] | None = None
    ) -> None:
        self.partition = partition
        self._log = log
        writer = log.writer(partition)
        standing = writer.take_over(_unusable)
        if standing.said and say is not None:
            say(standing.said)
        self._writer = Skipping(writer, standing.behind)
        self.outlet = ShardOutlet(self._writer, epoch_ns)
        self._own = _Own(roster, partition, log.manifest.partitions)
        self.hosts = Hosts(self._own, self.outlet, epoch_ns)
        self.actors = Actors(self.hosts, self.outlet, mailbox_max=MAILBOX_COMMANDS)
        self.actors.idle = self.outlet.settle
        self.actors.refused = self._refuse
        self._commands = PartitionDigest()  # of those that were handled
        self._taken: deque[tuple[int, Commands]] = deque()  # by count, and not all of them counted in it
        self._taken_bytes = 0
        self._stopped = False
        self._first = 0  # commands that were handled before
        self._offsets = Offsets()
        if standing.checkpoint is not None:
            self._resume(standing.checkpoint)
        self.outlet.checkpoint_of = self._checkpoint
        self._begin = self.offset
        self._feed: CommandFeed = log.feed(partition, self._begin)

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Stand where a checkpoint says."""
        state = _decoded(checkpoint.state, f"the checkpoint of partition {self.partition}")
        self._first = state.commands
        self._offsets = Offsets(state.runs)
        self.hosts.resume(state.hosts, checkpoint.hosts)
        for (topic, output), n in zip(self.outlet.outputs.items(), state.n, strict=True):
            output.n = n
            output.digest = self._digest(topic, state.digests[TOPICS.index(topic)], n)
        self._commands = self._digest(COMMAND, state.digests[0], state.commands)
        for at, count in state.outcomes:
            self.outlet.counts[at] = count
        self.outlet.letters.update({Why(why): count for why, count in state.letters})

    def _digest(self, topic: str, segments: bytes, count: int) -> PartitionDigest:
        """A digest carried on: its last segment is read again."""
        digest = PartitionDigest(segments)
        missing = count - digest.count
        assert 0 <= missing < SEGMENT_EVENTS, f"{topic}: {missing} events beyond the last whole segment"
        start = self._offsets.of(digest.count) if topic == COMMAND else digest.count
        read = self._log.read(topic, self.partition, start=start)
        digest.add([entry.value for entry in islice(read, missing)])
        if digest.count != count:
            reason = f"the log ends, and {count} were handled; rasfleet log verify names the file"
            raise CorruptLog(f"{topic}, partition {self.partition}", digest.count, reason, unit="record")
        return digest

    def _checkpoint(self) -> Checkpoint:
        state, hosts = self.hosts.checkpoint()
        commands = self.commands
        self._count()
        whole = self._commands.whole(commands)
        outputs = self.outlet.outputs.values()
        shard = ShardState(
            format=STATE_FORMAT,
            commands=commands,
            n=[output.n for output in outputs],
            digests=[whole, *(output.digest.whole(output.n) for output in outputs)],
            outcomes=[(at, count) for at, count in enumerate(self.outlet.counts) if count],
            hosts=state,
            runs=self._offsets.since(PartitionDigest(whole).count),
            letters=sorted(self.outlet.letters.items()),
        )
        return Checkpoint(encode(shard), hosts)

    @property
    def commands(self) -> int:
        """How many were handled."""
        return self._first + self.actors.handled

    @property
    def offset(self) -> int:
        """Of the next command."""
        return self._offsets.of(self.commands)

    @property
    def skipped(self) -> Mapping[str, int]:
        """By topic, the events that stood in the log already."""
        return self._writer.skipped_of

    @property
    def waits(self) -> Waits:
        """How long the log took to acknowledge commits."""
        return self._writer.waits

    def place(self) -> Place:
        """How far it is."""
        events = sum(output.n for output in self.outlet.outputs.values())
        return Place(self.offset, self.hosts.clock_ns, events)

    def finish(self, offset: int) -> None:
        """No command will come at or behind this offset, unless such ones were handled already.

        They were sent just before the end was said, and are there. LogError when they are not.
        """
        if offset < self._begin:
            last = next(iter(self._log.commands_backwards(self.partition)), None)
            if last is None or last.offset + 1 < self._begin:
                there = 0 if last is None else last.offset + 1
                raise LogError(
                    f"partition {self.partition}: {self._begin} commands were handled, the log holds {there}"
                )
        self._feed.finish(max(offset, self._begin))

    def stop(self) -> None:
        """Handle no further commands; what those that were handled set off is written."""
        self._stopped = True
        self._feed.stop()
        self.actors.stop()

    async def run(self) -> None:
        """Handle commands until they end, and leave everything written. Raises LogError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take())
                tasks.create_task(self.actors.run())
            await self.outlet.commit(last=True)
            if not self._stopped:
                self._writer.check_end()
        except BaseExceptionGroup as faults:
            raise first_of(faults) from None
        finally:
            self._feed.close()
            await self._writer.close()

    async def _take(self) -> None:
        while (found := await self._feed.next()).values:
            self._count()
            while self._taken_bytes > TAKEN_BYTES_MAX:
                await asyncio.sleep(PAUSE_S)
                self._count()
            count = self._taken[-1][0] + len(self._taken[-1][1].values) if self._taken else self.commands
            self._taken.append((count, found))
            self._taken_bytes += sum(map(len, found.values))
            self._offsets.add(count, found.offset)
            await self.actors.send([_mail(value) for value in found.values])
        await self.actors.close()

    def _count(self) -> None:
        """Put into the digest what was handled."""
        while (counted := self._commands.count) < self.commands:
            first, found = self._taken[0]
            self._commands.add(found.values[counted - first : self.commands - first])
            if self._commands.count == first + len(found.values):
                self._taken.popleft()
                self._taken_bytes -= sum(map(len, found.values))

    def _refuse(self, handled: int, why: Why) -> None:
        """A command was not done: a dead letter says so, in its place among the events."""
        count = self._first + handled
        first, found = next(taken for taken in reversed(self._taken) if taken[0] <= count)
        value, key = found.values[count - first], found.keys[count - first]
        if why is Why.UNKNOWN_HOST and self._own.is_elsewhere(decode_command(value).host):
            why = Why.OTHER_PARTITION
        offset = found.offset + count - first
        self.outlet.refuse(Refused(why, self.partition, offset, key, value), self.hosts.clock_ns)

    def summary(self) -> ShardSummary:
        """What it came to."""
        self._count()
        hosts, guests = self.hosts.ledgers()
        digests = {topic: output.digest.done() for topic, output in self.outlet.outputs.items()}
        return ShardSummary(
            partition=self.partition,
            commands=self.commands,
            faults=self.hosts.faults,
            ignored=self.hosts.ignored,
            unknown=self.hosts.unknown,
            skipped=self._writer.skipped,
            digests={COMMAND: self._commands.done(), **digests},
            outcomes=[
                (Level(level).name.lower(), kind.__name__, count)
                for (kind, level), count in self.outlet.outcomes.items()
            ],
            ledger=list(hosts),
            guests=list(guests),
            letters={why.name.lower(): count for why, count in sorted(self.outlet.letters.items())},
        )


def _mail(value: bytes) -> Mail:
    """The command that some bytes are, or why they are none."""
    try:
        command = decode_command(value)
    except Malformed:
        if value == LOST:
            return Why.CORRUPT
        return Why.OVERSIZED if len(value) > EVENT_SIZE_MAX else Why.UNDECODABLE
    return Why.UNKNOWN_TAG if isinstance(command, UnknownEvent) else command


def first_of(faults: BaseExceptionGroup) -> BaseException:
    """The first of several errors of a log; all of them where one is a defect.

    Not ``except*``: before Python 3.11.4 what is raised there comes out in a group.
    """
    first: BaseException = faults
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if faults.split(LogError)[1] is None else faults


def _unusable(checkpoint: Checkpoint) -> str:
    """Why this program cannot go on from a checkpoint, another one's perhaps; what it covers then comes again."""
    try:
        check_readable(_decoded(checkpoint.state, "a checkpoint").hosts)
    except (CorruptLog, Malformed) as fault:
        return str(fault)
    return ""


def _decoded(stored: bytes, place: str) -> ShardState:
    try:
        state = msgspec.msgpack.decode(stored, type=ShardState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise CorruptLog(place, 0, str(fault)) from None
    if state.format != STATE_FORMAT:
        raise CorruptLog(place, 0, f"format {state.format}, this program reads {STATE_FORMAT}")
    return state
