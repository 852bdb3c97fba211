"""A run's log copied to another place, from files to Kafka, back, or among either.

The copy holds the same commands and events, and what the run came to. Where its shards stood is not copied: who
carries an unfinished copy on goes through its commands from the first one, and compares.

Source: the design's section 4.
"""

import asyncio
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from fleet.codec import TOPICS
from fleet.contract.cloudevents import Described
from fleet.log.protocol import Entry, LogError, RunLog, Written
from fleet.scenario.scenario import epoch_ns
from nodes.events import COMMAND, DEAD_LETTER, HOST_TOPICS

BATCH: Final = 4096  # records that are written at once


class Copied(NamedTuple):
    """What a copy holds."""

    records: dict[str, int]  # by topic


def copy(source: RunLog, target: RunLog) -> Copied:
    """Copy everything into a new log, and close that one. Raises LogError."""
    copied = asyncio.run(_copy(source, target))
    summary = source.summary()
    if summary is not None:
        target.finish(summary)
    return copied


def described(source: RunLog) -> Described:
    """What makes CloudEvents of a run's events: named after the run, whatever its copy is called."""
    return Described(source.title.removeprefix("run ").rpartition("/")[2], epoch_ns(source.manifest.start))


def structured(source: RunLog, target: Path) -> Copied:
    """Copy the events into a new file as CloudEvents, one a line, partition by partition. Raises LogError."""
    of = described(source)
    records = dict.fromkeys(HOST_TOPICS, 0)
    try:
        with target.open("x") as file:
            for partition in range(source.manifest.partitions):
                for topic in HOST_TOPICS:
                    for entry in source.read(topic, partition):
                        told = of.structured(entry)
                        if told is not None:
                            file.write(json.dumps(told) + "\n")
                            records[topic] += 1
    except OSError as fault:
        raise LogError(f"{target}: {fault.strerror or fault}") from None
    return Copied(records)


async def _copy(source: RunLog, target: RunLog) -> Copied:
    records = dict.fromkeys(TOPICS, 0)
    try:
        for partition in range(source.manifest.partitions):
            for part in _parts(source.read(COMMAND, partition)):
                await target.append_commands(partition, part)
                records[COMMAND] += len(part)
            await _copy_events(source, target, partition, records)
    finally:
        await target.close()
    return Copied(records)


async def _copy_events(source: RunLog, target: RunLog, partition: int, records: dict[str, int]) -> None:
    writer = target.writer(partition)
    writer.take_over()
    spans = _spans(
        {topic: source.read(topic, partition) for topic in HOST_TOPICS}, whole=source.summary() is not None
    )
    batches: dict[str, list[Written]] = {topic: [] for topic in HOST_TOPICS}
    try:
        for span in spans:
            for topic, part in span.items():
                batches[topic] += part
                records[topic] += len(part)
            if sum(map(len, batches.values())) >= BATCH:
                await writer.commit(batches)
                batches = {topic: [] for topic in HOST_TOPICS}
        await writer.commit(batches)
        for letters in _parts(source.read(DEAD_LETTER, partition)):
            await writer.commit({DEAD_LETTER: letters})
            records[DEAD_LETTER] += len(letters)
    finally:
        await writer.close()


def _spans(topics: dict[str, Iterator[Entry]], *, whole: bool) -> Iterator[dict[str, list[Written]]]:
    """What lies between two advances of the clock, which all topics have: there the events of hosts are complete.

    Behind the last one a run that is not over may have written one topic and not another; that is left out.
    """
    while True:
        span = {topic: list(_up_to_clock(entries)) for topic, entries in topics.items()}
        ended = all(part and not part[-1].key for part in span.values())
        if ended or whole:
            yield span
        if not ended:
            return


def _up_to_clock(entries: Iterator[Entry]) -> Iterator[Written]:
    for entry in entries:
        yield Written(*entry[3:])
        if not entry.key:
            return


def _parts(entries: Iterator[Entry]) -> Iterator[list[Written]]:
    while part := [Written(*entry[3:]) for entry in islice(entries, BATCH)]:
        yield part
