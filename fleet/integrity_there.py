"""The integrity of a run's log on Kafka: the checks of ``fleet.integrity`` on every record, each event once.

Brokers check what they store, and a reader checks it again; what is left is that events stand gap-free at the
positions that they say, that the sequences of each host have no gap over the topics, that keys, times and
partitions follow from the values, and that all of it is what the run had. Behind damage the rest of a partition
is not looked at. Not every offset has a record: commands are taken as they stand, and that one of the plan's is
missing is seen by their numbers. Topics have no common commit: while a run is not over, one may be ahead of
another, and a host's sequence has a gap at its end that is no damage.

Source: the design's section 4 (events).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from fleet.codec import TOPICS
from fleet.digest import PartitionDigest
from fleet.integrity import Checker, Order, Report, handled_of, report_of
from fleet.log.kafka.log import KafkaLog
from fleet.log.kafka.topics import Place
from fleet.log.protocol import CorruptLog, Entry
from fleet.manifest import Summary
from nodes.events import COMMAND, SHARD_TOPICS

BATCH: Final = 4096  # records that are hashed at once


def check_there(log: KafkaLog) -> Report:
    """Check a whole log on Kafka. Raises LogError when it cannot be read at all."""
    checker = Checker(log.manifest)
    checker.digests = {
        (topic, partition): PartitionDigest() for topic in TOPICS for partition in range(log.manifest.partitions)
    }
    summary = log.summary()
    for partition in range(log.manifest.partitions):
        for topics in ((COMMAND,), SHARD_TOPICS):
            _check(checker, log, topics, partition, summary)

    def place_of(topic: str, partition: int) -> str:
        return str(Place(log.run, topic, partition))

    return report_of(checker, log.title, summary, place_of)


def _check(
    checker: Checker, log: KafkaLog, topics: tuple[str, ...], partition: int, summary: Summary | None
) -> None:
    """Topics of one partition whose hosts count together."""
    order = Order(handled_of(summary, partition), holes=True)
    for topic in topics:
        place = str(Place(log.run, topic, partition))
        try:
            for part in _parts(log.read(topic, partition)):
                for entry in part:
                    checker.entry(entry, place, entry.offset, order)
                checker.digests[topic, partition].add([entry.value for entry in part])
        except CorruptLog as fault:
            checker.tell(place, fault.offset, fault.reason)
            order.lost()
    if order.missing:
        checker.tell(str(Place(log.run, topics[0], partition)), 0, order.missing)
    for reason in order.checked():
        checker.tell(str(Place(log.run, topics[0], partition)), 0, reason, torn=summary is None)


def _parts(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while part := list(islice(entries, BATCH)):
        yield part
