"""A run: commands become durable, go through the shards, and every event is written before the run ends.

The commands of a batch are on the disk before a shard sees them, so that whatever was done can be done again. A
stop takes no further commands; what was taken goes through to its end and is written.

Source: the design's sections 3 (actor) and 4 (commands, events).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from fleet.codec import encode
from fleet.digest import PartitionDigest, run_digest
from fleet.log.protocol import Log, LogError, Written
from fleet.manifest import Summary
from fleet.shard import NS_PER_MS, Shard
from nodes.actor import Roster
from nodes.events import COMMAND, HOST_TOPICS, ClockAdvanced, Level
from nodes.events.commands import FAULT_COMMANDS, Command
from nodes.ledger import Ledger, ledger_json

Commands = dict[int, list[Command | ClockAdvanced]]  # by partition, in order


class Source(Protocol):
    """Where a run's commands come from: a scenario's plan, or a recording."""

    epoch_ns: int  # real time of virtual time 0, ns since 1970

    @property
    def roster(self) -> Roster:
        """Which hosts there are."""

    def batches(self) -> Iterator[Commands]:
        """Every command, in order."""


class Progress(NamedTuple):
    """How far a run is."""

    commands: int
    time_ns: int  # virtual time of the last command


class Run:
    """One run in one process: a writer of commands and a shard for each partition."""

    def __init__(
        self,
        log: Log,
        source: Source,
        *,
        order: Sequence[int] | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        partitions = range(log.manifest.partitions)
        self._log = log
        self._source = source
        self._report = report
        self._stopped = False
        self.shards = {
            partition: Shard(partition, source.roster, log.writer(partition), source.epoch_ns)
            for partition in (partitions if order is None else order)
        }
        self._digests = {partition: PartitionDigest() for partition in partitions}
        self.faults = 0
        self.commands = 0

    def stop(self) -> None:
        """Take no further commands; those that were taken go through."""
        self._stopped = True

    async def run(self) -> None:
        """Run to the end, or until it is stopped. Raises LogError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for shard in self.shards.values():
                    tasks.create_task(shard.run())
                tasks.create_task(self._write())
        except* LogError as faults:
            raise faults.exceptions[0] from None

    async def _write(self) -> None:
        """Every batch of commands: onto the disk, then to the shards."""
        try:
            for batch in self._source.batches():
                if self._stopped:
                    break
                await asyncio.gather(*(self._take(partition, commands) for partition, commands in batch.items()))
                if self._report is not None:
                    self._report(self._progress(batch))
            else:
                self._stopped = False
        finally:
            for shard in self.shards.values():
                await shard.actors.close()

    async def _take(self, partition: int, commands: list[Command | ClockAdvanced]) -> None:
        if not commands:
            return
        epoch_ms = self._source.epoch_ns // NS_PER_MS
        values = [encode(command) for command in commands]
        await self._log.append_commands(
            partition,
            [
                Written(epoch_ms + command.time_ns // NS_PER_MS, command.host.encode(), value)
                for command, value in zip(commands, values, strict=True)
            ],
        )
        self._digests[partition].add(values)
        self.commands += len(commands)
        self.faults += sum(isinstance(command, FAULT_COMMANDS) for command in commands)
        await self.shards[partition].actors.send(commands)

    def _progress(self, batch: Commands) -> Progress:
        return Progress(self.commands, max((part[-1].time_ns for part in batch.values() if part), default=0))

    def summary(self) -> Summary:
        """What the run came to."""
        digests = {(COMMAND, partition): digest for partition, digest in self._digests.items()}
        outcomes: Counter[tuple[str, str]] = Counter()
        events = dict.fromkeys(HOST_TOPICS, 0)
        for partition, shard in self.shards.items():
            for topic, output in shard.outlet.outputs.items():
                digests[topic, partition] = output.digest
                events[topic] += output.n
            for (kind, level), count in shard.outlet.outcomes.items():
                outcomes[Level(level).name.lower(), kind.__name__] += count
        return Summary(
            digest=run_digest(digests),
            faults=self.faults,
            commands=self.commands,
            events=events,
            outcomes={
                level.name.lower(): named for level in Level if (named := _of_level(outcomes, level.name.lower()))
            },
            ledger=self.ledger(),
            interrupted=self._stopped,
        )

    def ledger(self) -> dict[str, object]:
        """Where every error is, over all hosts."""
        hosts, guests = Ledger(), Ledger()
        for shard in self.shards.values():
            for whole, part in zip((hosts, guests), shard.ledgers(), strict=True):
                whole.add(part)
        return ledger_json(hosts) | {"guests": ledger_json(guests)}


def _of_level(outcomes: Counter[tuple[str, str]], level: str) -> dict[str, int]:
    return {event: count for (of, event), count in sorted(outcomes.items()) if of == level}
