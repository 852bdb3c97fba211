"""Topics on Kafka as an AsyncAPI document: names, keys, partitions, settings, every event by field, and logins.

Sources: AsyncAPI specification 3.0.0; its Kafka bindings 0.5.0.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from fleet import __version__
from fleet.contract.kept import KEPT, Kept
from fleet.contract.kept import schemas as schemas_of_kept
from fleet.contract.wire import COMMANDS, EVENTS, array_schema, plain
from fleet.log.kafka.names import CHECKPOINT, RUNS, topic_of
from fleet.log.kafka.topics import REPLICAS_MAX, SETTINGS, partitions_of
from nodes.events import COMMAND, CPER, DEAD_LETTER, OUTCOME, SYNDROME, ClockAdvanced, Event

CONTENT_TYPE: Final = "application/vnd.msgpack"
_BINDINGS: Final = "0.5.0"
_PARTITIONS: Final = 12  # unless the scenario says another number
_TOLD: Final = ("cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes")
_PLAIN: Final = re.compile(r"[A-Za-z$_/][\w$./-]*")  # a key of YAML that needs no quotes
_TOP: Final = """\
Events of a fleet of Arm servers whose hardware fails, simulated by rasfleet. An event or a command is a
MessagePack array with its tag first: [tag, n, host, sequence, time_ns, ...]. Fields are only ever appended; an
array may be longer than it is described here, a reader passes over what it does not know, and over tags that it
does not know. Partition: murmur2 of the key as Java's client has it (librdkafka: partitioner=murmur2_random). A
record may stand there more than once: whoever has taken position n of a partition drops every record that is not
above it."""


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
    "checkpoints": _Channel(
        CHECKPOINT,
        "send",
        "keepCheckpoints",
        "Where shards stood, for workers that go on from there. Compacted: the last value of a key counts.",
    ),
    "runs": _Channel(
        RUNS,
        "send",
        "tellRuns",
        "What each run is, where its commands end, and what it came to: one topic for all runs, JSON. Compacted: "
        "the last value of a key counts, and an empty one takes it away.",
    ),
}
_BEARER_SAYS: Final = (
    "SASL OAUTHBEARER: a token of whoever gives them for the brokers, read from a file (token_file). The address "
    "stands for yours."
)
_LOGINS: Final[dict[str, dict[str, Any]]] = {
    "scram": {"type": "scramSha512", "description": "SASL SCRAM-SHA-512: user and password."},
    "plain": {"type": "plain", "description": "SASL PLAIN: user and password, over TLS alone."},
    "bearer": {
        "type": "oauth2",
        "description": _BEARER_SAYS,
        "flows": {"clientCredentials": {"tokenUrl": "https://login.example/token", "availableScopes": {}}},
    },
}
_SERVERS: Final[dict[str, dict[str, Any]]] = {
    "local": {"host": "localhost:9092", "protocol": "kafka", "description": "make kafka"},
    "secured": {
        "host": "kafka.example:9093",
        "protocol": "kafka-secure",
        "description": "Brokers elsewhere: SASL_SSL, with one of the logins; rasfleet topics RUN --acls has the "
        "rights. The address stands for yours.",
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _LOGINS],
    },
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
        "servers": _SERVERS,
        "channels": {name: _channel(channel) for name, channel in _CHANNELS.items()},
        "operations": {of.operation: _operation(name, of) for name, of in _CHANNELS.items()},
        "components": {
            "messages": {name: _message(kind) for name, kind in kinds.items()}
            | {kept.name: _message_of(kept) for kept in KEPT},
            "schemas": {name: array_schema(kind) for name, kind in kinds.items()} | schemas_of_kept(),
            "securitySchemes": _LOGINS,
        },
    }


def _names(topic: str) -> list[str]:
    """The messages of a topic."""
    kept = [kept.name for kept in KEPT if kept.topic == topic]
    return kept or [kind.__name__ for kind in _kinds(topic)]


def _kinds(topic: str) -> list[type[Event]]:
    """The events of a topic; the clock is in all but that of dead letters."""
    of_topic = [kind for kind in (*EVENTS, *COMMANDS) if kind.topic == topic and kind is not ClockAdvanced]
    return of_topic if topic == DEAD_LETTER else [ClockAdvanced, *of_topic]


def _channel(channel: _Channel) -> dict[str, Any]:
    settings = SETTINGS[channel.topic]
    told = {name: _setting(name, settings[name]) for name in _TOLD}
    run = {"run": {"description": "Name of the run: small letters, digits and '-'."}}
    return {
        "address": topic_of("{run}", channel.topic),
        "description": channel.says,
        **({} if channel.topic == RUNS else {"parameters": run}),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(channel.topic)},
        "bindings": {
            "kafka": {
                "partitions": partitions_of(channel.topic, _PARTITIONS),
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


def _message_of(kept: Kept) -> dict[str, Any]:
    key = {"type": "string", "pattern": kept.key, "description": kept.of_key}
    return {
        "name": kept.name,
        "title": kept.name,
        "summary": kept.says,
        "contentType": kept.content_type,
        "payload": kept.payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDINGS}},
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
