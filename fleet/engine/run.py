"""A run in one process: a writer of commands and a shard for each partition.

The commands of a batch are durable before a shard sees them, so that whatever was done can be done again. A run
that is stopped handles no further commands; what its shards made of the others is written, and the rest waits in
the log until the run is resumed.

Source: the design's sections 3 (actor) and 4 (commands, events).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fleet.codec import TOPICS
from fleet.digest import run_digest
from fleet.engine.pace import Pace
from fleet.engine.shard import Shard, ShardSummary, first_of
from fleet.engine.writer import AHEAD_MAX, CommandWriter, Source
from fleet.log.protocol import Log
from fleet.manifest import Summary
from nodes.events import HOST_TOPICS, Level
from nodes.ledger import Ledger, ledger_json


class Progress(NamedTuple):
    """How far a run is."""

    commands: int  # handled
    time_ns: int  # virtual; of the shard that is furthest behind


class Run:
    """One run in one process. ``order``: in which its shards are made and get to work; it changes nothing."""

    def __init__(
        self,
        log: Log,
        source: Source,
        *,
        order: Sequence[int] | None = None,
        pace: Pace | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        partitions = range(log.manifest.partitions)
        self._report = report
        self._stopped = False
        self._handled = asyncio.Event()
        self.writer = CommandWriter(log, source, pace)
        self.shards = {
            partition: Shard(partition, source.roster, log, source.epoch_ns)
            for partition in (partitions if order is None else order)
        }

    def stop(self) -> None:
        """Handle no further commands; what those that were handled set off is written."""
        self._stopped = True
        self.writer.stop()
        self._handled.set()
        for shard in self.shards.values():
            shard.stop()

    async def run(self) -> None:
        """Run to the end, or until it is stopped. Raises LogError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for shard in self.shards.values():
                    shard.actors.done = self._advanced
                    tasks.create_task(shard.run())
                tasks.create_task(self._write())
        except BaseExceptionGroup as faults:
            raise first_of(faults) from None

    async def _write(self) -> None:
        if await self.writer.run(self._room):
            for partition, shard in self.shards.items():
                shard.finish(self.writer.offsets[partition])

    async def _room(self, written: int) -> None:
        """Wait until the writer is not too far ahead."""
        while written - self._place().commands > AHEAD_MAX and not self._stopped:
            self._handled.clear()
            await self._handled.wait()

    def _advanced(self) -> None:
        self._handled.set()
        if self._report is not None:
            self._report(self._place())

    def _place(self) -> Progress:
        places = [shard.place() for shard in self.shards.values()]
        return Progress(sum(place.commands for place in places), min(place.time_ns for place in places))

    def summary(self) -> Summary:
        """What the run came to."""
        interrupted = self._stopped and any(
            shard.offset < self.writer.offsets[partition] or not self.writer.done
            for partition, shard in self.shards.items()
        )
        return summary_of([shard.summary() for shard in self.shards.values()], interrupted=interrupted)


def summary_of(shards: Iterable[ShardSummary], *, interrupted: bool) -> Summary:
    """What all shards of a run came to together."""
    shards = sorted(shards, key=lambda shard: shard.partition)
    digests = {(topic, shard.partition): part for shard in shards for topic, part in shard.digests.items()}
    outcomes: Counter[tuple[str, str]] = Counter()
    letters: Counter[str] = Counter()
    for shard in shards:
        letters.update(shard.letters)
        for level, kind, count in shard.outcomes:
            outcomes[level, kind] += count
    return Summary(
        digest=run_digest(digests),
        faults=sum(shard.faults for shard in shards),
        commands=sum(shard.commands for shard in shards),
        events={topic: sum(shard.digests[topic].count for shard in shards) for topic in HOST_TOPICS},
        outcomes={
            level.name.lower(): named for level in Level if (named := _of_level(outcomes, level.name.lower()))
        },
        ledger=_total([shard.ledger for shard in shards]) | {"guests": _total([shard.guests for shard in shards])},
        counts={topic: [shard.digests[topic].count for shard in shards] for topic in TOPICS},
        interrupted=interrupted,
        dead_letters=dict(sorted(letters.items())),
    )


def _of_level(outcomes: Counter[tuple[str, str]], level: str) -> dict[str, int]:
    return {event: count for (of, event), count in sorted(outcomes.items()) if of == level}


def _total(ledgers: Sequence[Sequence[int]]) -> dict[str, object]:
    """Several ledgers as one, for JSON."""
    whole = [0] * len(Ledger())
    for ledger in ledgers:
        whole = [total + count for total, count in zip(whole, ledger, strict=True)]
    return ledger_json(whole)
