"""The integrity of a run's log: checksums, gap-free positions and sequences, keys and times, the digest.

Every check goes on behind damage, so that one flipped bit is told as one, and what is whole is counted.

Source: the design's section 4 (events: "n is the position in its partition"; file log).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from fleet.codec import TOPICS, UnknownEvent, decode_any, decode_command, decode_event
from fleet.digest import PartitionDigest, run_digest
from fleet.engine.outlet import NS_PER_MS
from fleet.engine.writer import is_planned
from fleet.log.files import MANIFEST, FileLog
from fleet.log.frames import COMMANDS, EVENTS, FILE_HEAD_SIZE, Damage, Frame, entries
from fleet.log.protocol import Checkpoint, CorruptLog, Entry
from fleet.manifest import Manifest, Summary
from fleet.partition import partition_of
from fleet.scenario.scenario import epoch_ns
from nodes.events import COMMAND, SHARD_TOPICS, ClockAdvanced, CommandRefused, Event
from nodes.events.commands import Command
from nodes.spec.layout import Malformed

OTHER_MANIFEST: Final = "not the manifest that the run's files were written under"
PROBLEMS_MAX: Final = 100  # told one by one; further ones are counted


class Problem(NamedTuple):
    """Something that is not as it was written."""

    place: str  # file
    offset: int  # bytes from its start
    reason: str
    torn: bool = False  # at the end of a file: it was being written


class Report(NamedTuple):
    """What a log holds, and what is wrong with it."""

    records: dict[str, int]  # by topic
    frames: int
    digest: str
    problems: list[Problem]
    problem_count: int
    finished: bool  # a summary says how the run ended
    waiting: int  # commands that were sent to it since

    @property
    def whole(self) -> bool:
        """Nothing is wrong; a torn end is what a run that was cut off leaves behind."""
        return self.problem_count <= PROBLEMS_MAX and all(problem.torn for problem in self.problems)


class Handled(msgspec.Struct, frozen=True, array_like=True):
    """Of a shard's state (fleet.engine.shard.ShardState), what says how many commands it covers."""

    format: int
    commands: int


class Checker:
    """Checks entry by entry, and keeps what is wrong."""

    def __init__(self, manifest: Manifest, *, manifest_holds: bool = True) -> None:
        self._manifest_holds = manifest_holds  # else nothing is held against it
        self._partitions = manifest.partitions
        self._epoch_ms = epoch_ns(manifest.start) // NS_PER_MS if manifest_holds else 0
        self.problems: list[Problem] = []
        self.problem_count = 0
        self.waiting = 0  # commands that were sent to a run that was over
        self.missing: set[str] = set()  # files that are told already
        self.frames = 0
        self.digests: dict[tuple[str, int], PartitionDigest] = {}

    def tell(self, place: str, offset: int, reason: str, *, torn: bool = False) -> None:
        """One problem."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(place, offset, reason, torn))

    def partition(self, log: FileLog, content: int, partition: int, summary: Summary | None) -> None:
        """All frames of one partition's events or commands."""
        topics = [topic for topic in TOPICS if (topic == COMMAND) == (content == COMMANDS)]
        for topic in topics:
            self.digests[topic, partition] = PartitionDigest()
        order = Order(handled_of(summary, partition))
        checkpoint = None
        for path, found in log.frames(content, partition):
            if isinstance(found, Damage):
                self._damage(str(path), found)
                order.lost()
                continue
            self.frames += 1
            self._frame(found, str(path), partition, order)
            if found.checkpoint is not None:
                checkpoint = str(path), found.start, found.checkpoint
        if order.missing:
            self.tell(str(log.path(content, partition)), 0, order.missing)
        if checkpoint is not None:
            self._compare_handled(*checkpoint, partition, str(log.path(COMMANDS, partition)))

    def _compare_handled(self, place: str, start: int, checkpoint: bytes, partition: int, commands: str) -> None:
        """Commands that a checkpoint says were handled are there, whether the run has ended or not."""
        try:
            handled = msgspec.msgpack.decode(
                msgspec.msgpack.decode(checkpoint, type=Checkpoint).state, type=Handled
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            self.tell(place, start, f"its checkpoint: {fault}")
            return
        there = self.digests[COMMAND, partition].count
        if there < handled.commands and commands not in self.missing:
            self.tell(commands, 0, f"{there} commands, {handled.commands} were handled")

    def _damage(self, place: str, damage: Damage) -> None:
        if damage.start == damage.end:
            self.missing.add(place)
            self.tell(place, damage.start, damage.reason)
            return
        end = "the end" if damage.torn else f"byte {damage.end}"
        self.tell(place, damage.start, f"{damage.reason}; passed over up to {end}", torn=damage.torn)

    def _frame(self, frame: Frame, place: str, partition: int, order: "Order") -> None:
        for part in frame.parts:
            values = []
            try:
                for entry in entries(part, partition, place, frame.start):
                    values.append(entry.value)
                    self.entry(entry, place, frame.start, order)
            except CorruptLog as fault:
                self.tell(place, fault.offset, fault.reason)
                order.lost()
            digest = self.digests.get((part.topic, partition))
            if digest is None:
                self.tell(place, frame.start, f"{part.topic} does not belong into this file")
            else:
                digest.add(values)
        for reason in order.checked():
            self.tell(place, frame.start, reason)

    def entry(self, entry: Entry, place: str, start: int, order: "Order") -> None:
        """One record, as it follows those before it."""
        where = f"{entry.topic} {entry.partition} at offset {entry.offset}"
        try:
            decode = decode_command if entry.topic == COMMAND else decode_event
            event = decode(entry.value)
        except Malformed as fault:
            if entry.topic != COMMAND:
                self.tell(place, start, f"{where}: {fault}")
                return
            event = decode_any(COMMAND, entry.value)
        is_ours = entry.topic != COMMAND or (
            not order.waits and is_planned(event) and order.expected(event) == event.n
        )
        reason = (self._wrong(entry, event) if is_ours else "") or order.wrong(entry, event)
        if reason:
            self.tell(place, start, f"{where}: {reason}")

    def _wrong(self, entry: Entry, event: Event | UnknownEvent) -> str:
        """What of key, time and partition does not follow from the value."""
        if entry.key.decode(errors="replace") != event.host:
            return f"key {entry.key!r}, the event is of {event.host!r}"
        if not self._manifest_holds:
            return ""
        if entry.timestamp_ms != self._epoch_ms + event.time_ns // NS_PER_MS:
            return f"timestamp {entry.timestamp_ms}, the event is of {event.time_ns} ns"
        if event.host and partition_of(event.host, self._partitions) != entry.partition:
            return f"host {event.host} belongs to another partition"
        return ""


class Order:
    """Positions and sequences of one partition as they come. Behind damage they are taken up anew.

    ``handled``: commands that the run handled; further ones wait, and may be anything. None: it goes on.
    ``holes``: not every offset has a command.
    """

    def __init__(self, handled: int | None = None, *, holes: bool = False) -> None:
        self._handled = handled
        self._holes = holes
        self._commands = 0  # that came
        self._positions: dict[str, int] = {}  # topic -> next n
        self._sequences: dict[str, int] = {}  # host -> next sequence
        self._number = 0  # of the plan's last command
        self._planned = 0  # number of the plan's next command
        self._missing = ""  # which of them another one stands in front of
        self._of_frame: dict[str, list[int]] = {}
        self._gap = False

    def lost(self) -> None:
        """What comes next need not follow what came before."""
        self._positions.clear()
        self._sequences.clear()
        self._number = 0
        self._planned = 0
        self._of_frame.clear()
        self._gap = True

    def wrong(self, entry: Entry, event: Event | UnknownEvent) -> str:
        """What of the positions is wrong; the sequences are kept until the frame ends."""
        expected = self._positions.get(entry.topic, entry.offset if self._gap else 0)
        self._positions[entry.topic] = entry.offset + 1
        if entry.topic == COMMAND:
            waits = self.waits
            self._commands += 1
            if entry.offset < expected or (entry.offset > expected and not self._holes):
                return f"offset {expected} is missing"
            return "" if waits else self._wrong_command(event)
        if entry.offset != expected:
            return f"offset {expected} is missing"
        if event.n != entry.offset:
            return f"the event says that it is the {event.n}th"
        if not isinstance(event, ClockAdvanced | CommandRefused):
            self._of_frame.setdefault(event.host, []).append(event.sequence)
        return ""

    @property
    def waits(self) -> bool:
        """Whether the next command was sent to a run that was over."""
        return self._handled is not None and self._commands >= self._handled

    def expected(self, event: Command | ClockAdvanced) -> int:
        """Number of the plan's next command, which this one should be."""
        return event.n if self._gap and not self._planned else self._planned

    def _wrong_command(self, event: Event | UnknownEvent) -> str:
        """The plan's commands and the clock are numbered among themselves; what others sent may be anything."""
        if not is_planned(event):
            return ""
        expected = self.expected(event)
        if event.n > expected:  # sent by somebody else, unless the one that is expected never comes
            self._missing = self._missing or f"the plan's command {expected} is missing, {event.n} stands there"
        if event.n != expected:
            return ""
        self._missing = ""
        self._planned = expected + 1
        if isinstance(event, Command):
            before, self._number = self._number, event.sequence
            return "" if event.sequence > before else f"number {event.sequence} after {before}"
        return ""

    @property
    def missing(self) -> str:
        """What of the plan never came, once all has been looked at."""
        return self._missing

    def checked(self) -> Iterator[str]:
        """At the end of a frame every host's events are there without a gap, over all topics."""
        for host, found in self._of_frame.items():
            found.sort()
            expected = self._sequences.get(host, found[0] if self._gap else 1)
            if found != list(range(expected, expected + len(found))):
                yield f"host {host}: sequence {_first_gap(found, expected)} is missing or there twice"
            self._sequences[host] = found[-1] + 1
        self._of_frame.clear()


def _first_gap(found: list[int], expected: int) -> int:
    return next((want for want, got in enumerate(found, expected) if want != got), expected)


def handled_of(summary: Summary | None, partition: int) -> int | None:
    """How many commands of a partition a run that is over handled."""
    counts = [] if summary is None else summary.counts.get(COMMAND, [])
    return counts[partition] if partition < len(counts) else None


def compare_counts(checker: Checker, summary: Summary, place_of: Callable[[str, int], str]) -> None:
    """Every partition holds what the run wrote; commands that were sent to it later wait to be handled."""
    for topic, counts in summary.counts.items():
        for partition, count in enumerate(counts):
            found = checker.digests[topic, partition].count
            if topic == COMMAND and found > count:
                checker.waiting += found - count
            elif found != count:
                place = place_of(topic, partition)
                if place not in checker.missing:
                    checker.tell(place, 0, f"{found} records of {topic}, the run wrote {count}")


def report_of(
    checker: Checker, title: str, summary: Summary | None, place_of: Callable[[str, int], str]
) -> Report:
    """What was found, compared with what the run had."""
    records: Counter[str] = Counter()
    for (topic, _), part in checker.digests.items():
        records[topic] += part.count
    digest = run_digest({place: part.done() for place, part in checker.digests.items()})
    if summary is not None:
        compare_counts(checker, summary, place_of)
        if digest != summary.digest and not checker.waiting:
            checker.tell(title, 0, f"digest {digest}, the run had {summary.digest}")
    return Report(
        dict(records),
        checker.frames,
        digest,
        checker.problems,
        checker.problem_count,
        summary is not None,
        checker.waiting,
    )


def check(log: FileLog) -> Report:
    """Check a whole log on files. Raises LogError when it cannot be read at all."""
    manifest_holds = log.has_its_manifest()
    checker = Checker(log.manifest, manifest_holds=manifest_holds)
    if not manifest_holds:
        checker.tell(str(log.folder / MANIFEST), 0, OTHER_MANIFEST)
        (log.run,) = log.runs_in_heads()  # it is told once, and all else is checked
    summary = log.summary()
    for content in (COMMANDS, EVENTS):
        for partition in range(log.manifest.partitions):
            checker.partition(log, content, partition, summary)
    for path in log.strangers():
        checker.tell(str(path), 0, "does not belong to this run")

    def place_of(topic: str, partition: int) -> str:
        return str(log.path(COMMANDS if topic == COMMAND else EVENTS, partition))

    return report_of(checker, log.title, summary, place_of)


def glance(log: FileLog, summary: Summary, content: int) -> list[Problem]:
    """What is wrong with the commands or events of a run that ended, as far as it is quickly seen.

    Read are the heads of all frames and the last frame of each file; what lies between may be damaged too.
    """
    found = (_glance(log, summary, content, partition) for partition in range(log.manifest.partitions))
    return [problem for problem in found if problem is not None]


def _glance(log: FileLog, summary: Summary, content: int, partition: int) -> Problem | None:
    """The first thing that is wrong with the files of a partition."""
    place, end = log.path(content, partition), 0
    ends: dict[str, int] = {}
    try:
        for place, found in log.places(content, partition):  # noqa: B007 (the last ones count)
            end = found.end
            ends |= {topic: first + count for topic, (first, count) in found.records.items()}
    except CorruptLog as fault:
        return Problem(fault.place, fault.offset, fault.reason)
    for topic in (COMMAND,) if content == COMMANDS else SHARD_TOPICS:
        there, wanted = ends.get(topic, 0), summary.counts[topic][partition]
        if there < wanted or (there > wanted and topic != COMMAND):  # further commands wait
            return Problem(str(place), end, f"{there} records of {topic}, the run wrote {wanted}")
    behind = place.stat().st_size - end
    if content == EVENTS and behind > (0 if ends else FILE_HEAD_SIZE):
        return Problem(str(place), end, f"{behind} bytes behind the last frame")
    return None
