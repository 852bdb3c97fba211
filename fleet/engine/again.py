"""A run again: its commands from the log go through the same hosts, and every record is compared.

Source: the design's section 4 ("Resume = run again and skip": every recovery is a test of determinism).
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from fleet import __version__
from fleet.codec import decode_any, encode
from fleet.engine.offsets import runs_of
from fleet.engine.run import summary_of
from fleet.engine.shard import Shard
from fleet.engine.writer import is_planned
from fleet.log.protocol import Checkpoint, Commands, Entry, LogError, Record, RunLog, Standing, Unusable, usable
from fleet.manifest import BEHAVIOUR, SCENARIO, Manifest
from fleet.scenario.plan import plan_of, roster_of
from fleet.view.present import entry_object
from nodes.events import COMMAND, SHARD_TOPICS, ClockAdvanced
from nodes.events.commands import Command

BATCH: Final = 1024  # commands of a partition that are read at a time
DIFFERENCES_MAX: Final = 20  # partitions of which the first difference is told; all are counted
FIELDS_MAX: Final = 4  # of one difference that are told
VALUE_MAX: Final = 60  # characters of one value


class Difference(NamedTuple):
    """A record that is not what it was."""

    topic: str
    partition: int
    offset: int
    logged: bytes | None  # None: the log ends before it
    again: bytes | None  # None: it does not come again

    def as_object(self) -> dict[str, object]:
        """For JSON: records as hex."""
        records = {"logged": self.logged, "again": self.again}
        return self._asdict() | {side: value and value.hex() for side, value in records.items()}


class Compared(NamedTuple):
    """What came of running again."""

    records: int  # compared
    differences: list[Difference]  # the first one of each partition
    difference_count: int
    missing: int  # records that came again and that the log does not hold, because it was cut off
    digest: str


def commands_of(log: RunLog, partition: int) -> Iterator[Command | ClockAdvanced]:
    """The commands of a partition; what is none was refused, as a dead letter says."""
    for entry in log.read(COMMAND, partition):
        command = decode_any(COMMAND, entry.value)
        if isinstance(command, Command | ClockAdvanced):
            yield command


class _Stored:
    """The commands that a partition holds, and no more (fleet.log.protocol.CommandFeed)."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._runs: deque[Commands] = deque()

    async def next(self) -> Commands:
        """Further commands; empty at the end."""
        if not self._runs:
            self._runs.extend(runs_of(islice(self._entries, BATCH)))
        return self._runs.popleft() if self._runs else Commands(0, [], [])

    def finish(self, offset: int) -> None:
        """They end where they end."""

    def stop(self) -> None:
        """No more are wanted."""
        self._entries = iter(())
        self._runs.clear()

    def close(self) -> None:
        """Be done with it."""


class _Comparing:
    """A log that writes nothing: what comes is compared with what is there."""

    def __init__(self, log: RunLog) -> None:
        self._log = log
        self.manifest: Manifest = log.manifest
        self.records = 0
        self.missing = 0
        self.differences: dict[int, Difference] = {}  # by partition
        self.difference_count = 0
        summary = log.summary()
        self._cut_off = summary is None
        self._handled = None if summary is None else summary.counts[COMMAND]  # by partition; others wait

    async def append_commands(self, partition: int, commands: Sequence[Record]) -> int:
        """Commands come from the log itself."""
        raise AssertionError(f"{len(commands)} commands for partition {partition} of a run that is over")

    def commands_backwards(self, partition: int) -> Iterator[Entry]:
        """What is there."""
        return self._log.commands_backwards(partition)

    def feed(self, partition: int, offset: int) -> _Stored:
        """The commands of a partition that the run handled."""
        entries = self._log.read(COMMAND, partition, start=offset)
        return _Stored(entries if self._handled is None else islice(entries, self._handled[partition] - offset))

    def writer(self, partition: int) -> "_Comparer":
        """What compares one partition."""
        return _Comparer(self, partition, {topic: self._log.read(topic, partition) for topic in SHARD_TOPICS})

    def read(self, topic: str, partition: int, *, start: int = 0) -> Iterator[Entry]:
        """What is there."""
        return self._log.read(topic, partition, start=start)

    def tell(self, topic: str, partition: int, offset: int, logged: bytes | None, again: bytes | None) -> None:
        """One record that differs."""
        if logged is None and self._cut_off:
            self.missing += 1
            return
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.setdefault(partition, Difference(topic, partition, offset, logged, again))

    def compare_plan(self) -> None:
        """The scenario must give its commands as they were logged; a run that was stopped holds their beginning.

        Between them and behind them may be others: those that were sent to the run, and a clock that goes on.
        """
        logged = {partition: self._planned(partition) for partition in range(self.manifest.partitions)}
        for batch in plan_of(self.manifest).batches():
            for partition, commands in batch.items():
                self._compare_commands(partition, commands, logged[partition])
        for partition, rest in logged.items():
            for entry, command in rest:
                if not isinstance(command, ClockAdvanced):
                    self.tell(COMMAND, partition, entry.offset, entry.value, None)

    def _planned(self, partition: int) -> Iterator[tuple[Entry, Command | ClockAdvanced]]:
        """The commands of the plan that a partition holds; one that is not the next was refused."""
        planned = 0
        for entry in self._log.read(COMMAND, partition):
            command = decode_any(COMMAND, entry.value)
            if is_planned(command) and command.n == planned:
                planned += 1
                yield entry, command

    def _compare_commands(
        self,
        partition: int,
        commands: list[Command | ClockAdvanced],
        logged: Iterator[tuple[Entry, Command | ClockAdvanced]],
    ) -> None:
        for command in commands:
            entry, _ = next(logged, (None, None))
            if entry is None:
                return
            self.records += 1
            value = encode(command)
            if entry.value != value:
                self.tell(COMMAND, partition, entry.offset, entry.value, value)


class _Comparer:
    """Compares the events of one partition."""

    def __init__(self, whole: _Comparing, partition: int, logged: dict[str, Iterator[Entry]]) -> None:
        self._whole = whole
        self._partition = partition
        self._logged = logged
        self._offsets = dict.fromkeys(logged, 0)

    def take_over(self, unusable: Unusable = usable) -> Standing:  # noqa: ARG002 (there is none)
        """As if nothing stood there: everything comes again, and is compared."""
        return Standing(None, {})

    async def commit(
        self,
        batches: Mapping[str, Sequence[Record]],
        checkpoint: Checkpoint | None = None,  # noqa: ARG002 (nothing is written)
    ) -> None:
        """Compare what would have been written."""
        for topic, records in batches.items():
            for record in records:
                entry = next(self._logged[topic], None)
                self._whole.records += entry is not None
                if entry is None or (entry.timestamp_ms, entry.key, entry.value) != record:
                    logged = None if entry is None else entry.value
                    self._whole.tell(topic, self._partition, self._offsets[topic], logged, record[2])
                self._offsets[topic] += 1

    async def close(self) -> None:
        """What the log holds beyond the last event did not come again."""
        for topic, rest in self._logged.items():
            for entry in rest:
                self._whole.tell(topic, self._partition, entry.offset, entry.value, None)


def run_again(log: RunLog) -> Compared:
    """Run a run again and compare every record. Raises LogError, CorruptLog."""
    check_behaviour(log)
    comparing = _Comparing(log)
    roster, epoch = roster_of(log.manifest)
    shards = [Shard(partition, roster, comparing, epoch) for partition in range(log.manifest.partitions)]
    asyncio.run(_go_through(shards))
    if log.manifest.source == SCENARIO:
        comparing.compare_plan()
    return Compared(
        comparing.records,
        list(comparing.differences.values()),
        comparing.difference_count,
        comparing.missing,
        summary_of([shard.summary() for shard in shards], interrupted=False).digest,
    )


async def _go_through(shards: Sequence[Shard]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for shard in shards:
            tasks.create_task(shard.run())


def check_behaviour(log: RunLog) -> None:
    """Raises LogError unless this program behaves as the one that made the run."""
    made_by = log.manifest.behaviour
    if made_by != BEHAVIOUR:
        raise LogError(
            f"{log.title}: made with behaviour {made_by} (rasfleet {log.manifest.version or 'unknown'}), and this "
            f"program has behaviour {BEHAVIOUR} (rasfleet {__version__}), so it would not write the same; "
            f"go on with a program whose --version says behaviour {made_by}, or run it anew with this one"
        )


def told(difference: Difference) -> str:
    """A difference in a line: its place, and the fields that differ or the record that only one side has."""
    place = f"{difference.topic}, partition {difference.partition}, offset {difference.offset}"
    logged, again = (_object(difference, value) for value in (difference.logged, difference.again))
    if not logged or not again:
        one = logged or again
        what = f"{one['event']} of {one['host'] or 'the clock'} at {one['time_ns']} ns"
        return f"{place}: {what} " + ("does not come again" if logged else "comes, and the log ends before it")
    names = [name for name in {**logged, **again} if logged.get(name, "-") != again.get(name, "-")]
    fields = [
        f"{name} {_cut(logged.get(name, '-'))}, again {_cut(again.get(name, '-'))}" for name in names[:FIELDS_MAX]
    ]
    more = f"; and {len(names) - FIELDS_MAX} more fields" if names[FIELDS_MAX:] else ""
    return f"{place}: {'; '.join(fields) or 'another key or time'}{more}"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}..."


def _object(difference: Difference, value: bytes | None) -> dict[str, object]:
    if value is None:
        return {}
    event = decode_any(difference.topic, value)
    entry = Entry(difference.topic, difference.partition, difference.offset, 0, b"", value)
    return entry_object(entry, event)
