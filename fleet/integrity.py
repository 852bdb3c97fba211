"""The integrity of a run's log: checksums, gap-free positions and sequences, keys and times, the digest.

Every check goes on behind damage, so that one flipped bit is told as one, and what is whole is counted.

Source: the design's section 4 (events: "n is the position in its partition"; file log).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from fleet.codec import TOPICS, UnknownEvent, decode_any, decode_command, decode_event
from fleet.digest import PartitionDigest, run_digest
from fleet.log.files import FileLog
from fleet.log.frames import COMMANDS, EVENTS, Damage, Frame, entries
from fleet.log.protocol import CorruptLog, Entry
from fleet.manifest import Manifest, Summary
from fleet.outlet import NS_PER_MS
from fleet.partition import partition_of
from fleet.scenario import epoch_ns
from fleet.writer import is_planned
from nodes.events import COMMAND, ClockAdvanced, CommandRefused, Event
from nodes.events.commands import Command
from nodes.spec.layout import Malformed

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


class Checker:
    """Checks entry by entry, and keeps what is wrong."""

    def __init__(self, manifest: Manifest) -> None:
        self._partitions = manifest.partitions
        self._epoch_ms = epoch_ns(manifest.start) // NS_PER_MS
        self.problems: list[Problem] = []
        self.problem_count = 0
        self.waiting = 0  # commands that were sent to a run that was over
        self.frames = 0
        self.digests: dict[tuple[str, int], PartitionDigest] = {}

    def tell(self, place: str, offset: int, reason: str, *, torn: bool = False) -> None:
        """One problem."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(place, offset, reason, torn))

    def partition(self, log: FileLog, content: int, partition: int) -> None:
        """All frames of one partition's events or commands."""
        topics = [topic for topic in TOPICS if (topic == COMMAND) == (content == COMMANDS)]
        for topic in topics:
            self.digests[topic, partition] = PartitionDigest()
        order = Order()
        for path, found in log.frames(content, partition):
            if isinstance(found, Damage):
                end = "the end" if found.torn else f"byte {found.end}"
                self.tell(str(path), found.start, f"{found.reason}; passed over up to {end}", torn=found.torn)
                order.lost()
            else:
                self.frames += 1
                self._frame(found, str(path), partition, order)
        if order.missing:
            self.tell(str(log.path(content, partition)), 0, order.missing)

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
        is_ours = entry.topic != COMMAND or (is_planned(event) and order.expected(event) == event.n)
        reason = (self._wrong(entry, event) if is_ours else "") or order.wrong(entry, event)
        if reason:
            self.tell(place, start, f"{where}: {reason}")

    def _wrong(self, entry: Entry, event: Event | UnknownEvent) -> str:
        """What of key, time and partition does not follow from the value."""
        if entry.key.decode(errors="replace") != event.host:
            return f"key {entry.key!r}, the event is of {event.host!r}"
        if entry.timestamp_ms != self._epoch_ms + event.time_ns // NS_PER_MS:
            return f"timestamp {entry.timestamp_ms}, the event is of {event.time_ns} ns"
        if event.host and partition_of(event.host, self._partitions) != entry.partition:
            return f"host {event.host} belongs to another partition"
        return ""


class Order:
    """Positions and sequences of one partition as they come. Behind damage they are taken up anew."""

    def __init__(self) -> None:
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
        if entry.offset != expected:
            return f"offset {expected} is missing"
        if entry.topic == COMMAND:
            return self._wrong_command(event)
        if event.n != entry.offset:
            return f"the event says that it is the {event.n}th"
        if not isinstance(event, ClockAdvanced | CommandRefused):
            self._of_frame.setdefault(event.host, []).append(event.sequence)
        return ""

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


def compare_counts(checker: Checker, summary: Summary, place_of: Callable[[str, int], str]) -> None:
    """Every partition holds what the run wrote; commands that were sent to it later wait to be handled."""
    for topic, counts in summary.counts.items():
        for partition, count in enumerate(counts):
            found = checker.digests[topic, partition].count
            if topic == COMMAND and found > count:
                checker.waiting += found - count
            elif found != count:
                place = place_of(topic, partition)
                missing = "the file is missing: " if place.endswith(".log") and not Path(place).exists() else ""
                checker.tell(place, 0, f"{missing}{found} records of {topic}, the run wrote {count}")


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
    checker = Checker(log.manifest)
    for content in (COMMANDS, EVENTS):
        for partition in range(log.manifest.partitions):
            checker.partition(log, content, partition)
    for path in log.strangers():
        checker.tell(str(path), 0, "does not belong to this run")

    def place_of(topic: str, partition: int) -> str:
        return str(log.path(COMMANDS if topic == COMMAND else EVENTS, partition))

    return report_of(checker, log.title, log.summary(), place_of)
