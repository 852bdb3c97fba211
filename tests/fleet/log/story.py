"""What is done to a log on a recorded disk, said when it is tried and when it is acknowledged; and what must hold.

What is acknowledged stands at its offset from then on; whatever stands at an offset was tried for it.
"""

from typing import NamedTuple

from fleet.codec import TOPICS, encode
from fleet.engine.inject import ORIGIN, inject
from fleet.integrity import check
from fleet.log.files import FileLog
from fleet.log.protocol import Checkpoint, Written
from fleet.manifest import Summary
from fleet.view.tracing import Wanted, command_of
from nodes.events import COMMAND, CPER, SYNDROME, ClockAdvanced, PoisonStored, StatusBlockWritten
from tests.runs import manifest_of, plan_of

TEXT = """
name = "small"
seed = 1
start = "2026-01-01T00:00:00Z"
duration_s = 100.0
partitions = 1

[[hosts]]
name = "h-{}"
count = 2
guests = 1
memory_gib = 4
guest_memory_gib = 1

[[faults]]
name = "some"
share = 1
mix = { memory-ce = 1, memory-uer = 1, cache-ce = 1 }
"""
OPTIONS = {"faults": 6}
PLAN = plan_of(TEXT, **OPTIONS)
MANIFEST = manifest_of(PLAN, TEXT, **OPTIONS)
EPOCH_MS = PLAN.epoch_ns // 10**6
HOST = "h-0"
FAULT = Wanted("memory-ce")


class Tried(NamedTuple):
    """Records that may be there from now on: topic, offset of the first one, values."""

    topic: str
    first: int
    values: list


class Acknowledged(NamedTuple):
    """Records that are there from now on."""

    topic: str
    first: int
    values: list


class Created(NamedTuple):
    """There is a run."""


class MayEnd(NamedTuple):
    """The summary may be this one from now on, or none."""

    summary: Summary | None


class Ended(NamedTuple):
    """The summary is this one."""

    summary: Summary | None


def done(coroutine):
    """What a coroutine comes to that waits for nothing, as where a thread's work is done at once."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


def command(number):
    """The plan's command with a number, as it is written."""
    return Written(EPOCH_MS + 1000, b"", encode(ClockAdvanced(number, "", 0, 10**9)))


def injected(offset):
    """The command that ``inject`` makes for a place."""
    kind, fields = command_of(FAULT, PLAN.roster.home_of(HOST).platform, -1, b"", pe=0)
    return encode(kind(offset, HOST, offset + 1, 0, ORIGIN, *fields))


def event(topic, offset, size):
    """The event at an offset; the first topic's have odd numbers of the host, the second one's even ones."""
    if topic == SYNDROME:
        made = PoisonStored(offset, HOST, 2 * offset + 1, 0, 64 * offset)
    else:
        made = StatusBlockWritten(offset, HOST, 2 * offset + 2, 0, 1, 0, 0, bytes(range(256)) * (size // 256 + 1))
    return Written(EPOCH_MS, HOST.encode(), encode(made))


class Story:
    """One process that writes a log of one partition."""

    def __init__(self, record, *, size_max=1 << 20, event_size=8, **dies):
        self.record = record
        self.disk = record.process(**dies)
        self.folder = record.root / "run"
        self.size_max = size_max
        self.event_size = event_size
        self.writer = None
        self.log = None
        self.events = 0

    def create(self):
        self.log = FileLog.create(self.folder, MANIFEST, segment_size_max=self.size_max, disk=self.disk)
        self.record.say(Created())
        return self

    def open(self):
        """As another process does that goes on."""
        self.log = FileLog.open(self.folder, disk=self.disk)
        self.log._segment_size_max = self.size_max
        return self

    def take_over(self):
        self.writer = self.log.writer(0)
        standing = self.writer.take_over()
        self.events = self.writer._next[SYNDROME]
        return standing

    def commit(self, *, checkpoint=False):
        """Two events, in two topics."""
        if self.writer is None:
            self.take_over()
        n = self.events
        batches = {topic: [event(topic, n, self.event_size)] for topic in (SYNDROME, CPER)}
        parts = [(topic, n, [one.value for one in records]) for topic, records in batches.items()]
        for part in parts:
            self.record.say(Tried(*part))
        kept = Checkpoint(encode([1, 0, n]), {HOST: bytes(64)}) if checkpoint else None
        done(self.writer.commit(batches, kept))
        for part in parts:
            self.record.say(Acknowledged(*part))
        self.events += 1

    def append(self, count=1):
        """Commands of the plan, numbered on."""
        tried = []

        def made(offset):
            planned = [entry for entry in self.log.read(COMMAND, 0) if not entry.key]
            commands = [command(len(planned) + at) for at in range(count)]
            tried.extend((COMMAND, offset, [one.value for one in commands]))
            self.record.say(Tried(*tried))
            return commands

        self.log.commands(0).append_made(made)
        self.record.say(Acknowledged(*tried))

    def inject(self):
        at = next((entry.offset + 1 for entry in self.log.commands_backwards(0)), 0)
        self.record.say(Tried(COMMAND, at, [injected(at)]))
        sent = inject(self.log, HOST, FAULT)
        self.record.say(Acknowledged(COMMAND, sent.offset, [injected(sent.offset)]))

    def take(self):
        """Hand commands out as a shard gets them: what it has seen is durable."""
        feed = self.log.feed(0, 0)
        try:
            values = done(feed.next()).values
        finally:
            feed.close()
        self.record.say(Acknowledged(COMMAND, 0, values))
        return values

    def finish(self):
        report = check(self.log)
        counts = {topic: [report.records.get(topic, 0)] for topic in TOPICS}
        summary = Summary(report.digest, 0, 0, {}, {}, {}, counts)
        self.record.say(MayEnd(summary))
        self.log.finish(summary)
        self.record.say(Ended(summary))
        for topic in TOPICS:
            values = [entry.value for entry in self.log.read(topic, 0)]
            self.record.say(Acknowledged(topic, 0, values))

    def unfinish(self):
        self.record.say(MayEnd(None))
        self.log.unfinish()
        self.record.say(Ended(None))

    def close(self):
        if self.writer is not None:
            done(self.writer.close())
        if self.log is not None:
            done(self.log.close())


class Promise:
    """What must be there at some point, and what may be."""

    def __init__(self):
        self.created = False
        self.there = {}  # topic, offset -> value
        self.may_be = {}  # topic, offset -> values
        self.summaries = [None]

    def heard(self, what):
        match what:
            case Created():
                self.created = True
            case Tried(topic, first, values):
                for at, value in enumerate(values, first):
                    self.may_be.setdefault((topic, at), set()).add(value)
            case Acknowledged(topic, first, values):
                for at, value in enumerate(values, first):
                    self.there[topic, at] = value
                    self.may_be.setdefault((topic, at), set()).add(value)
            case MayEnd(summary):
                self.summaries = [*self.summaries, summary]
            case Ended(summary):
                self.summaries = [summary]

    def broken(self, log):
        """What of it a log does not keep; empty: it keeps all."""
        if log.summary() not in self.summaries:
            return f"the summary is {log.summary()}"
        values = stored_in(log)
        strange = [place for place, value in values.items() if value not in self.may_be.get(place, ())]
        return f"never written: {strange}" if strange else self.lost(values)

    def lost(self, values):
        """What of it is not there, or not without a gap."""
        missing = [place for place, value in self.there.items() if values.get(place) != value]
        gaps = [(topic, at) for topic, at in values if at and (topic, at - 1) not in values]
        return f"lost: {missing}, gaps before: {gaps}" if missing or gaps else ""


def stored_in(log):
    """The values of a log by topic and offset."""
    return {(topic, entry.offset): entry.value for topic in TOPICS for entry in log.read(topic, 0)}


def promises_of(record):
    """The promise at every count of what was said."""
    said = [one.what for one in record.done if hasattr(one, "what")]
    made = [Promise()]
    for count in range(1, len(said) + 1):
        promise = Promise()
        for what in said[:count]:
            promise.heard(what)
        made.append(promise)
    return made
