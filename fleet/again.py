"""A run again: its commands from the log go through the same hosts, and every record is compared.

Source: the design's section 4 ("Resume = run again and skip": every recovery is a test of determinism).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from fleet.codec import UnknownEvent, decode_command, decode_event, encode
from fleet.log.files import FileLog
from fleet.log.protocol import Entry, LogError, Written
from fleet.manifest import BEHAVIOUR, SCENARIO, Manifest
from fleet.plan import plan_of
from fleet.present import entry_object
from fleet.run import Commands, Run
from nodes.events import COMMAND, HOST_TOPICS, ClockAdvanced
from nodes.events.commands import Command

BATCH: Final = 1024  # commands of a partition that are read at a time
DIFFERENCES_MAX: Final = 20  # told one by one


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
    differences: list[Difference]
    difference_count: int
    missing: int  # records that came again and that the log does not hold, because it was cut off
    digest: str


class Logged:
    """The commands of a run, from its log."""

    def __init__(self, log: FileLog) -> None:
        plan = plan_of(log.manifest)
        self._log = log
        self.roster = plan.roster
        self.epoch_ns = plan.epoch_ns

    def batches(self) -> Iterator[Commands]:
        """Every command, partition by partition in parts."""
        streams = {
            partition: commands_of(self._log, partition) for partition in range(self._log.manifest.partitions)
        }
        while streams:
            batch = {partition: list(islice(stream, BATCH)) for partition, stream in streams.items()}
            streams = {partition: streams[partition] for partition, commands in batch.items() if commands}
            yield batch


def commands_of(log: FileLog, partition: int) -> Iterator[Command | ClockAdvanced]:
    """The commands of a partition that this program knows."""
    for entry in log.read(COMMAND, partition):
        command = decode_command(entry.value)
        if isinstance(command, UnknownEvent):
            raise LogError(f"{log.folder}: a command with tag {command.tag}, which this program does not know")
        yield command


class _Comparing:
    """A log that writes nothing: what comes is compared with what is there."""

    def __init__(self, log: FileLog) -> None:
        self._log = log
        self.manifest: Manifest = log.manifest
        self.records = 0
        self.missing = 0
        self.differences: list[Difference] = []
        self.difference_count = 0
        self._cut_off = log.summary() is None

    async def append_commands(self, partition: int, commands: Sequence[Written]) -> None:
        """Commands come from the log itself."""

    def writer(self, partition: int) -> "_Comparer":
        """What compares one partition."""
        return _Comparer(self, partition, {topic: self._log.read(topic, partition) for topic in HOST_TOPICS})

    def read(self, topic: str, partition: int) -> Iterator[Entry]:
        """What is there."""
        return self._log.read(topic, partition)

    def tell(self, topic: str, partition: int, offset: int, logged: bytes | None, again: bytes | None) -> None:
        """One record that differs."""
        if logged is None and self._cut_off:
            self.missing += 1
            return
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(Difference(topic, partition, offset, logged, again))

    def compare_plan(self) -> None:
        """The scenario must give the commands that were logged; a run that was stopped holds their beginning."""
        planned = plan_of(self.manifest)
        logged = {partition: self._log.read(COMMAND, partition) for partition in range(self.manifest.partitions)}
        for batch in planned.batches():
            for partition, commands in batch.items():
                self._compare_commands(partition, commands, logged)
        for partition, rest in logged.items():
            for entry in rest:
                self.tell(COMMAND, partition, entry.offset, entry.value, None)

    def _compare_commands(
        self, partition: int, commands: list[Command | ClockAdvanced], logged: dict[int, Iterator[Entry]]
    ) -> None:
        for command in commands:
            entry = next(logged[partition], None)
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

    async def commit(self, batches: Mapping[str, Sequence[Written]]) -> None:
        """Compare what would have been written."""
        for topic, records in batches.items():
            for record in records:
                entry = next(self._logged[topic], None)
                self._whole.records += entry is not None
                if entry is None or (entry.timestamp_ms, entry.key, entry.value) != record:
                    logged = None if entry is None else entry.value
                    self._whole.tell(topic, self._partition, self._offsets[topic], logged, record.value)
                self._offsets[topic] += 1

    async def close(self) -> None:
        """What the log holds beyond the last event did not come again."""
        for topic, rest in self._logged.items():
            for entry in rest:
                self._whole.tell(topic, self._partition, entry.offset, entry.value, None)


def run_again(log: FileLog) -> Compared:
    """Run a run again and compare every record. Raises LogError, CorruptLog."""
    check_behaviour(log)
    comparing = _Comparing(log)
    run = Run(comparing, Logged(log))
    asyncio.run(run.run())
    if log.manifest.source == SCENARIO:
        comparing.compare_plan()
    return Compared(
        comparing.records,
        comparing.differences,
        comparing.difference_count,
        comparing.missing,
        run.summary().digest,
    )


def check_behaviour(log: FileLog) -> None:
    """Raises LogError unless this program behaves as the one that made the run."""
    made_by = log.manifest.behaviour
    if made_by != BEHAVIOUR:
        raise LogError(
            f"{log.folder}: made with behaviour {made_by}, this program has {BEHAVIOUR}; "
            f"run it again with rasfleet {log.manifest.version}"
        )


def told(difference: Difference) -> Iterator[str]:
    """A difference in lines: the place, then both records by field where they differ."""
    yield f"{difference.topic} {difference.partition} at offset {difference.offset}:"
    objects = [_object(difference, value) for value in (difference.logged, difference.again)]
    for name in dict.fromkeys([*objects[0], *objects[1]]):
        logged, again = (found.get(name, "-") for found in objects)
        if logged != again:
            yield f"  {name}: logged {logged}, again {again}"


def _object(difference: Difference, value: bytes | None) -> dict[str, object]:
    if value is None:
        return {}
    event = decode_command(value) if difference.topic == COMMAND else decode_event(value)
    entry = Entry(difference.topic, difference.partition, difference.offset, 0, b"", value)
    return entry_object(entry, event)
