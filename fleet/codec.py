"""Events and commands as MessagePack, and back.

An event is an array with its tag first. Fields that a newer program appended are passed over; fields that an
older one did not write take their defaults. An unknown tag is no fault: it is counted and passed over. A value
that is no event at all is ``Malformed``.

Sources: the design's section 4, "Event"; MessagePack specification.
"""

from typing import Any, Final, Union

import msgpack
import msgspec

from nodes.events import COMMAND, HOST_EVENTS, SHARD_TOPICS, ClockAdvanced, CommandRefused, Event
from nodes.events.commands import HOST_COMMANDS, Command
from nodes.spec.layout import Malformed

EVENT_SIZE_MAX: Final = 64 * 1024  # bytes; a larger value is refused when it is written and when it is read

encode: Final = msgspec.msgpack.Encoder().encode
_SHARD_EVENT: Final[Any] = Union[(*HOST_EVENTS, CommandRefused)]
_COMMAND: Final[Any] = Union[(ClockAdvanced, *HOST_COMMANDS)]
_EVENTS: Final = msgspec.msgpack.Decoder(_SHARD_EVENT)
_COMMANDS: Final = msgspec.msgpack.Decoder(_COMMAND)
_TAGS: Final = {kind.__struct_config__.tag for kind in (*HOST_EVENTS, CommandRefused, *HOST_COMMANDS)}
NO_TAG: Final = -1  # of what is no event at all
TOPICS: Final = (COMMAND, *SHARD_TOPICS)


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event with a tag that this program does not know."""

    tag: int
    n: int
    host: str
    sequence: int
    time_ns: int
    fields: tuple[Any, ...]


def decode_event(value: bytes) -> Event | UnknownEvent:
    """An event of a host, or a dead letter."""
    event: Event | UnknownEvent = _decoded(_EVENTS, value)
    return event


def decode_command(value: bytes) -> Command | ClockAdvanced | UnknownEvent:
    """A command, or the clock's."""
    command: Command | ClockAdvanced | UnknownEvent = _decoded(_COMMANDS, value)
    return command


def decode_any(topic: str, value: bytes) -> Event | UnknownEvent:
    """A value of a run's topic. What stands among commands and is none has NO_TAG, and its bytes for fields."""
    if topic != COMMAND:
        return decode_event(value)
    try:
        return decode_command(value)
    except Malformed:
        return UnknownEvent(NO_TAG, 0, "", 0, 0, (value,))


def _decoded(decoder: Any, value: bytes) -> Any:
    if len(value) > EVENT_SIZE_MAX:
        raise Malformed("event", 0, f"{len(value)} bytes, at most {EVENT_SIZE_MAX}")
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return _unknown(value, str(fault))


def _unknown(value: bytes, reason: str) -> UnknownEvent:
    """The value as an event of a tag that nobody here knows; Malformed when it is none."""
    try:
        items = msgpack.unpackb(value, strict_map_key=False)  # a key of any type: the shape is not ours
    except (ValueError, TypeError, msgpack.UnpackException) as fault:
        raise Malformed("event", 0, f"no MessagePack: {fault}") from None
    head = (int, int, str, int, int)
    if not isinstance(items, list) or len(items) < len(head):
        raise Malformed("event", 0, "no array of tag, n, host, sequence and time")
    if not all(type(item) is kind for item, kind in zip(items, head, strict=False)):
        raise Malformed("event", 0, "tag, n, host, sequence and time have other types")
    if items[0] in _TAGS:
        raise Malformed("event", 0, reason)
    tag, n, host, sequence, time_ns, *fields = items
    return UnknownEvent(tag, n, host, sequence, time_ns, tuple(fields))
