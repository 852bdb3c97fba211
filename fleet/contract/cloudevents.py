"""Events as CloudEvents 1.0: for a copy of a run's log that others read without knowing this program.

On Kafka in binary mode: the value is what it was, and headers carry the attributes. In a file in structured mode:
a JSON object a line, its ``data`` as ``rasfleet tail --json`` prints it. An event has the same ``id`` in every
copy. Nothing says which fault is behind an event: that is in the topic of commands.

The subject is the component that an event is about, as far as the event names it: ``dimm3``, ``core5/cache``,
``core5``, ``socket0/interconnect``, ``source0``, ``kernel``, ``firmware``; of a guest ``guest2``,
``guest2/kernel``, ``guest2/source1``. The clock, dead letters, resets of a whole host and its watchdog have none,
and neither has what names an address of the host alone: poison that comes and goes, reads by the host, faults.
Which DIMM that is, and of which socket a DIMM or a PE, follows from the host's shape, which no event carries.

Sources: CloudEvents 1.0.2 (core, Kafka binding, JSON format), its extensions partitioning and sequence; RFC 3339.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fleet.codec import UnknownEvent, decode_any
from fleet.log.protocol import Entry, Record
from fleet.view.present import entry_object, level_of, shown
from nodes.events import COMMAND, NO_GUEST, Event, HostReset, Level
from nodes.events.commands import Command, InjectFault, PresentBlock, ReadMemory, RunBarrier
from nodes.hardware.ras_nodes import INSTANCE_MASK, KIND_SHIFT, RasNodeKind

CONTENT_TYPE: Final = "application/vnd.msgpack"
STRUCTURED: Final = "application/cloudevents+json"  # content type of a line, for who sends it on
SCHEMA: Final = {True: "urn:rasfleet:command", False: "urn:rasfleet:event"}  # $id in rasfleet schema; of commands?
_DIGITS: Final = 20  # of a sequence: a string that sorts
_SUBJECT: Final = {  # by kind of RAS node
    RasNodeKind.MEMORY: "dimm{}",
    RasNodeKind.CACHE: "core{}/cache",
    RasNodeKind.TLB: "core{}/tlb",
    RasNodeKind.BUS: "socket{}/interconnect",
    RasNodeKind.PCIE: "pcie{}",
}
Attributes = dict[str, str]


class Described:
    """The attributes of a run's events. ``run``: its name; ``epoch_ns``: real time of virtual time 0."""

    def __init__(self, run: str, epoch_ns: int) -> None:
        self._run = run
        self._start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=epoch_ns // 1000)

    def attributes(self, topic: str, partition: int, event: Event | UnknownEvent) -> Attributes:
        """What describes an event, but for its data's content type; nothing empty."""
        kind = type(event).__name__
        when = self._start + timedelta(microseconds=event.time_ns // 1000)
        host = f"/hosts/{event.host}" if event.host else ""
        found = {
            "specversion": "1.0",
            "id": f"{partition}-{topic}-{_number(topic, event)}",
            "source": f"/runs/{self._run}{host}",
            "type": f"io.rasfleet.{topic.split('.')[1]}.{kind}.v1",
            "time": f"{when:%Y-%m-%dT%H:%M:%S.%f}Z",
            "subject": _subject(event),
            "dataschema": SCHEMA[topic == COMMAND],
            "partitionkey": event.host,
            "runid": self._run,
            "host": event.host,
            "sequence": f"{event.sequence:0{_DIGITS}}" if event.host else "",
            "vtime": str(event.time_ns),
        }
        return {name: value for name, value in found.items() if value}

    def headers(self, topic: str, partition: int) -> Callable[[Record], list[tuple[str, bytes]]]:
        """What gives a record its headers in binary mode. What is no event has none."""

        def of(record: Record) -> list[tuple[str, bytes]]:
            event = decode_any(topic, record[2])
            if not is_told(event):
                return []
            told = self.attributes(topic, partition, event)
            return [
                *((f"ce_{name}", value.encode()) for name, value in told.items()),
                ("content-type", CONTENT_TYPE.encode()),
            ]

        return of

    def structured(self, entry: Entry) -> dict[str, Any] | None:
        """A record as one object; None for what is no event."""
        event = decode_any(entry.topic, entry.value)
        if not is_told(event):
            return None
        told = self.attributes(entry.topic, entry.partition, event)
        return told | {"datacontenttype": "application/json", "data": entry_object(entry, event)}


def is_told(event: Event | UnknownEvent) -> bool:
    """Whether it is an event of this program, at a time that a date can say."""
    return isinstance(event, Event) and 0 <= event.time_ns < 1 << 63


def _number(topic: str, event: Event | UnknownEvent) -> str:
    """What tells an event from all others of its partition: its position; of a command its sender and number."""
    if isinstance(event, Command):
        return f"{event.origin}-{event.sequence}"
    return f"clock-{event.n}" if topic == COMMAND else str(event.n)


def _subject(event: Event | UnknownEvent) -> str:
    """The component that an event is about: empty where it names none."""
    if isinstance(event, UnknownEvent):
        return ""
    node = getattr(event, "ras_node", None)
    if node is not None:
        known = node >> KIND_SHIFT in RasNodeKind._value2member_map_
        return _SUBJECT[RasNodeKind(node >> KIND_SHIFT)].format(node & INSTANCE_MASK) if known else ""
    if isinstance(event, Command):
        return _target(event)
    pe, guest = getattr(event, "pe", None), getattr(event, "guest", NO_GUEST)
    if pe is not None:
        return f"core{pe}"
    return "/".join(part for part in ("" if guest == NO_GUEST else f"guest{guest}", _part(event, guest)) if part)


def _part(event: Event, guest: int) -> str:
    """The component within a guest, or within the host: a source, a device, a kernel, firmware."""
    for name, written in _PARTS.items():
        if getattr(event, name, -1) >= 0:  # of a source -1: it is not known which
            return written.format(shown(type(event), name)(getattr(event, name)))
    level = _level(event)
    if level is Level.GUEST_KERNEL or (level is Level.HYPERVISOR and guest == NO_GUEST):
        return "kernel"
    return "firmware" if level in (Level.EL3, Level.GUEST_FIRMWARE) else ""


def _level(event: Event) -> Level | None:
    if isinstance(event, HostReset):
        return None  # it is about the whole host
    try:
        return level_of(event)
    except ValueError:
        return None  # a newer program may know more of them


def _target(command: Command) -> str:
    """What a command is done to."""
    if isinstance(command, PresentBlock):  # its guest is what runs meanwhile
        return f"source{command.source_id}"
    pe, guest = getattr(command, "pe", None), getattr(command, "guest", NO_GUEST)
    if pe is not None and not isinstance(command, _OF_GUESTS):
        return f"core{pe}"
    if guest != NO_GUEST:
        return f"guest{guest}"
    return f"core{pe}" if isinstance(command, RunBarrier) else ""


_OF_GUESTS: Final = (InjectFault, ReadMemory, RunBarrier)  # where a guest is meant first
_PARTS: Final = {"source_id": "source{}", "device": "pcie{}"}
