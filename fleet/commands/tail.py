"""``rasfleet tail``: the events of a run, in the order of time."""

import heapq
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import click

from fleet.place import of_brokers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.codec import UnknownEvent
    from fleet.log.frames import Damage
    from fleet.log.kafka.log import KafkaLog
    from fleet.log.protocol import Entry
    from fleet.place import AnyLog
    from nodes.events import Event

    Decoded = tuple[Entry, Event | UnknownEvent]
    OnDamage = Callable[[Path, Damage], None]

CORRUPT: Final = 4
PAUSE_S: Final = 0.1  # between two looks at a run that is written
TOPICS: Final = {
    "command": "ras.command.v1",
    "syndrome": "ras.syndrome.v1",
    "cper": "ras.cper.v1",
    "outcome": "ras.outcome.v1",
    "dead-letter": "ras.command.v1.dlq",
}


class Given(TypedDict):
    """The other options of the command line."""

    kafka: str | None
    host: str | None
    since: str | None
    follow: bool
    as_json: bool


@click.command()
@click.argument("run")
@of_brokers
@click.option(
    "--topic",
    "topics",
    multiple=True,
    type=click.Choice([*TOPICS, *TOPICS.values()]),
    metavar="T",
    help="syndrome, cper, outcome (these three by default), command or dead-letter; may be given several times.",
)
@click.option("--host", help="Events of one host.")
@click.option("--since", help="From this virtual time on: 90, 1.5h, 2026-01-01T00:20:00Z.")
@click.option("--follow", is_flag=True, help="Go on while the run is written, until it is over.")
@click.option("--json", "as_json", is_flag=True, help="NDJSON: one object a line.")
def tail(run: str, topics: tuple[str, ...], **given: Unpack[Given]) -> None:
    """Print the events of RUN, by time: registers and blocks as hex.

    Damage is told on stderr and passed over; the exit code is 4 then. With --follow it ends what is printed.
    """
    from fleet.place import opened
    from fleet.view.look import check_host

    damaged: list[str] = []

    def on_damage(path: Path, damage: "Damage") -> None:
        if not damage.torn:
            damaged.append(f"{path}: at byte {damage.start}: {damage.reason}")

    host = given["host"]
    named = [TOPICS.get(topic, topic) for topic in topics] or list(TOPICS.values())[1:4]
    with opened(run, given["kafka"]) as log:
        if host is not None and "ras.command.v1" not in named:  # anyone may send a command to a host that is none
            check_host(log, host)
        found = _followed(log, named, host) if given["follow"] else _events(log, named, host, on_damage)
        _print(found, _since_ns(log, given["since"]), as_json=given["as_json"])
    for line in dict.fromkeys(damaged):
        click.echo(f"rasfleet: {line}", err=True)
    if damaged:
        sys.exit(CORRUPT)


def _since_ns(log: "AnyLog", since: str | None) -> int:
    from fleet.scenario.scenario import epoch_ns
    from fleet.scenario.times import virtual_ns

    return 0 if since is None else virtual_ns(since, epoch_ns(log.manifest.start))


def _print(found: "Iterator[Decoded]", since_ns: int, *, as_json: bool) -> None:
    from fleet.view.present import entry_object

    write = sys.stdout.write
    for entry, event in found:
        if event.time_ns >= since_ns:
            told = entry_object(entry, event)
            write((json.dumps(told) if as_json else _line(told)) + "\n")
    sys.stdout.flush()


def _followed(log: "AnyLog", topics: list[str], host: str | None) -> "Iterator[Decoded]":
    """The records as they come."""
    from fleet.partition import partition_of
    from fleet.view.following import follow

    def pause() -> None:
        sys.stdout.flush()
        time.sleep(PAUSE_S)

    count = log.manifest.partitions
    partitions = list(range(count)) if host is None else [partition_of(host, count)]
    return follow(log, partitions, topics, host, pause=pause)


def _events(log: "AnyLog", topics: list[str], host: str | None, on_damage: "OnDamage") -> "Iterator[Decoded]":
    """The records of several topics, merged by time."""
    from fleet.partition import partition_of
    from fleet.view.following import order

    count = log.manifest.partitions
    partitions = range(count) if host is None else [partition_of(host, count)]
    streams = [_decoded(log, topic, part, host, on_damage) for part in partitions for topic in topics]
    yield from heapq.merge(*streams, key=order)


def _decoded(
    log: "AnyLog", topic: str, partition: int, host: str | None, on_damage: "OnDamage"
) -> "Iterator[Decoded]":
    from fleet.codec import decode_any
    from fleet.log.files import FileLog

    if isinstance(log, FileLog):
        entries = log.read(topic, partition, on_damage=on_damage)
    else:
        entries = log.read(topic, partition)
        if partition == 0:
            _check_allowed(log, topic)
    for entry in entries:
        if host is None or entry.key == host.encode():
            yield entry, decode_any(topic, entry.value)


def _check_allowed(log: "KafkaLog", topic: str) -> None:
    """Raises LogError where this user may not read a topic, though it may hold nothing yet."""
    reader = log.reader(topic, 0, 0)
    try:
        log.loop.call(reader.check_allowed())
    finally:
        log.loop.call(reader.close())


def _line(told: dict[str, object]) -> str:
    head = [str(told.pop(name, "")) for name in ("time_ns", "host", "level", "event")]
    for name in ("topic", "partition", "n", "sequence"):
        told.pop(name)
    fields = " ".join(f"{name}={'-' if value is None else value}" for name, value in told.items())
    seconds = int(head[0]) / 1e9
    return f"{seconds:>16.9f} {head[1]:12} {head[2]:15}{head[3]:21} {fields}".rstrip()


command = tail
