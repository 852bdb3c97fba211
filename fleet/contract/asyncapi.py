"""A run's topics on Kafka as an AsyncAPI document: names, keys, partitions, settings, and every event by field.

Sources: AsyncAPI specification 3.0.0; its Kafka bindings 0.5.0.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from fleet import __version__
from fleet.contract.wire import COMMANDS, EVENTS, array_schema, plain
from fleet.log.kafka.topics import REPLICAS_MAX, SETTINGS
from nodes.events import COMMAND, CPER, DEAD_LETTER, OUTCOME, SYNDROME, ClockAdvanced, Event

CONTENT_TYPE: Final = "application/vnd.msgpack"
_BINDINGS: Final = "0.5.0"
_PARTITIONS: Final = 12  # unless the scenario says another number
_TOLD: Final = ("cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes")
_PLAIN: Final = re.compile(r"[A-Za-z$_/][\w$./-]*")  # a key of YAML that needs no quotes
_TOP: Final = """\
Events of a fleet of Arm servers whose hardware fails, simulated by rasfleet. A value is a MessagePack array with
its tag first: [tag, n, host, sequence, time_ns, ...]. Fields are only ever appended; an array may be longer than
it is described here, a reader passes over what it does not know, and over tags that it does not know. Partition:
murmur2 of the key as Java's client has it (librdkafka: partitioner=murmur2_random). A record may stand there more
than once: whoever has taken position n of a partition drops every record that is not above it."""


class _Channel(NamedTuple):
    topic: str
    action: str  # of rasfleet
    operation: str
    says: str


_CHANNELS: Final = {
    "commands": _Channel(
        COMMAND,
        "receive",
        "takeCommands",
        "What is done to hosts: the input of a run, and the truth. Anyone who may write here sends faults to it.",
    ),
    "syndromes": _Channel(
        SYNDROME, "send", "publishSyndromes", "What happened in the hardware and to PEs, with the register values."
    ),
    "statusBlocks": _Channel(CPER, "send", "publishStatusBlocks", "CPER records as bytes."),
    "outcomes": _Channel(OUTCOME, "send", "publishOutcomes", "What each level did."),
    "deadLetters": _Channel(
        DEAD_LETTER, "send", "publishDeadLetters", "Commands that were not done: why, and where they stand."
    ),
}


def document() -> dict[str, Any]:
    """The document."""
    kinds = {kind.__name__: kind for kind in (*EVENTS, *COMMANDS)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "rasfleet",
            "version": __version__,
            "description": _TOP,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"local": {"host": "localhost:9092", "protocol": "kafka", "description": "make kafka"}},
        "channels": {name: _channel(channel) for name, channel in _CHANNELS.items()},
        "operations": {of.operation: _operation(name, of) for name, of in _CHANNELS.items()},
        "components": {
            "messages": {name: _message(kind) for name, kind in kinds.items()},
            "schemas": {name: array_schema(kind) for name, kind in kinds.items()},
        },
    }


def _kinds(topic: str) -> list[type[Event]]:
    """What stands in a topic; the clock is in all but that of dead letters."""
    of_topic = [kind for kind in (*EVENTS, *COMMANDS) if kind.topic == topic and kind is not ClockAdvanced]
    return of_topic if topic == DEAD_LETTER else [ClockAdvanced, *of_topic]


def _channel(channel: _Channel) -> dict[str, Any]:
    settings = SETTINGS[channel.topic]
    told = {name: _setting(name, settings[name]) for name in _TOLD}
    return {
        "address": f"{{run}}.{channel.topic}",
        "description": channel.says,
        "parameters": {"run": {"description": "Name of the run: small letters, digits and '-'."}},
        "messages": {
            kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in _kinds(channel.topic)
        },
        "bindings": {
            "kafka": {
                "partitions": _PARTITIONS,
                "replicas": REPLICAS_MAX,
                "topicConfiguration": told,
                "bindingVersion": _BINDINGS,
            }
        },
    }


def _setting(name: str, value: str) -> list[str] | int:
    return [value] if name == "cleanup.policy" else int(value)


def _operation(name: str, channel: _Channel) -> dict[str, Any]:
    return {"action": channel.action, "channel": {"$ref": f"#/channels/{name}"}, "summary": channel.says}


def _message(kind: type[Event]) -> dict[str, Any]:
    key = {"type": "string", "description": "name of the host, UTF-8"}
    nobody = {"type": "string", "const": "", "description": "empty: no host is meant"}
    has_host = kind is not ClockAdvanced and kind.topic != DEAD_LETTER
    headers = {"headers": _letter_headers()} if kind.topic == DEAD_LETTER else {}
    return {
        "name": kind.__name__,
        "title": kind.__name__,
        "summary": plain(kind),
        "contentType": CONTENT_TYPE,
        **headers,
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "bindings": {"kafka": {"key": key if has_host else nobody, "bindingVersion": _BINDINGS}},
    }


def _letter_headers() -> dict[str, Any]:
    names = ("dlq_reason", "dlq_topic", "dlq_partition", "dlq_offset")
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": [*names]}


def text() -> str:
    """The document as YAML."""
    head = "# Made by `rasfleet schema asyncapi`; python -m tests.pin_schema renews it.\n"
    return head + "\n".join(_lines(document(), "")) + "\n"


def _lines(value: dict[str, Any] | list[Any], indent: str) -> Iterator[str]:
    """Blocks of YAML; what a block holds that is no block is JSON, which YAML is, too."""
    pairs = value.items() if isinstance(value, dict) else [(None, item) for item in value]
    for key, item in pairs:
        head = f"{indent}-" if key is None else f"{indent}{key if _PLAIN.fullmatch(key) else json.dumps(key)}:"
        if item and isinstance(item, dict | list):
            yield head
            yield from _lines(item, indent + "  ")
        else:
            yield f"{head} {json.dumps(item, ensure_ascii=False)}"
