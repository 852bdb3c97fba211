"""The topics of a run: their names, their settings, and how they are made.

Virtual time is not the broker's: a broker would delete at once what is stamped long ago, refuse what is stamped
ahead, and begin a segment wherever a stamp jumps by a week. So nothing here depends on a record's time.

Sources: the design's section 4 (topics, retention); Apache Kafka 4.1, topic configuration.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from fleet.codec import TOPICS
from fleet.log.kafka.acls import TOPIC, forbidden
from fleet.log.kafka.connection import TROUBLE, said
from fleet.log.kafka.names import CHECKPOINT, RUNS, topic_of
from fleet.log.kafka.refused import FORBIDDEN_CODES
from fleet.log.protocol import LogError
from nodes.events import COMMAND

REPLICAS_MAX: Final = 3
APPEAR_S: Final = 60.0  # on busy machines, until every broker knows of a topic that was made
LOOK_S: Final = 0.1  # between two looks
_EXISTS: Final = 36  # org.apache.kafka.common.protocol.Errors
_LONGEST: Final = str(2**63 - 1)
_EVERY: Final = {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.ms": _LONGEST,
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": _LONGEST,
    "message.timestamp.after.max.ms": _LONGEST,
    "max.message.bytes": str(1 << 20),  # of a record batch; ours are at most half of it
    "compression.type": "producer",
    "unclean.leader.election.enable": "false",  # what was acknowledged is never given up to go on sooner
}
KEEPS: Final = ("cleanup.policy", "retention.bytes", "retention.ms")  # what says how long records stay
_KEPT: Final = {"cleanup.policy": "delete"}
_COMPACTED: Final = {  # the segment that is written to is not compacted, so it is small
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.2",
    "segment.bytes": str(16 << 20),
}
_FROM_ANYONE: Final = {"compression.type": "uncompressed"}  # the bound of a batch bounds what it becomes, for all
SETTINGS: Final = (
    dict.fromkeys(TOPICS, _EVERY | _KEPT)
    | dict.fromkeys((CHECKPOINT, RUNS), _EVERY | _COMPACTED)
    | {COMMAND: _EVERY | _KEPT | _FROM_ANYONE, RUNS: _EVERY | _COMPACTED | _FROM_ANYONE}
)


def partitions_of(topic: str, partitions: int) -> int:
    """How many partitions a topic has in a run with so many."""
    return 1 if topic == RUNS else partitions


def copies(brokers: int) -> tuple[int, int]:
    """Replicas of a topic, and how many must have a record: as many as still are there when one is not."""
    replicas = min(REPLICAS_MAX, brokers)
    return replicas, max(1, replicas - 1)


class Place(NamedTuple):
    """A partition of a run's topic."""

    run: str
    topic: str
    partition: int

    @property
    def name(self) -> str:
        """Of the topic, on the broker."""
        return topic_of(self.run, self.topic)

    def __str__(self) -> str:
        return f"{self.name}, partition {self.partition}"


class Topics:
    """Looks after topics."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def ensure(self, run: str, topics: Sequence[str], partitions: int) -> None:
        """Every topic is there, with its partitions; those that are missing are made. Raises LogError."""
        expected = {topic_of(run, topic): partitions_of(topic, partitions) for topic in topics}
        try:
            async with asyncio.timeout(APPEAR_S):
                while (found := await self._counts(list(expected))).keys() != expected.keys():
                    await self._make(run, topics, partitions)
                    await asyncio.sleep(LOOK_S)
        except TROUBLE as fault:
            raise LogError(f"topics {', '.join(expected)}: cannot be made or looked at ({said(fault)})") from None
        for name, count in expected.items():
            if found[name] != count:
                raise LogError(f"topic {name}: {found[name]} partitions, the run's manifest says {count}")

    async def loses(self, run: str, topics: Sequence[str]) -> list[str]:
        """What settings would make a broker remove records, as far as this user may see them."""
        names = {topic_of(run, topic): SETTINGS[topic] for topic in topics}
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        try:
            answers = await self._admin.describe_configs(asked)
        except TROUBLE:
            return []
        found = []
        for code, _, _, name, settings in (part for answer in answers for part in answer.resources):
            there = {} if code else {setting[0]: setting[1] for setting in settings}
            found += [
                f"topic {name} has {key}={there[key]}, a run's has {names[name][key]}: brokers remove records"
                for key in KEEPS
                if there.get(key, names[name][key]) != names[name][key]
            ]
        return sorted(found)

    async def check_shown(self, run: str, names: Sequence[str]) -> None:
        """Brokers list no topic that a user may not see. Raises LogError where one of these is such a one."""
        for topic in await self._admin.describe_topics(list(names)):
            if topic["error_code"] in FORBIDDEN_CODES:
                raise LogError(forbidden(run, "Describe", TOPIC, topic["topic"]))

    async def claim(self, run: str, partitions: int) -> None:
        """Make the first topic of a new run: of those that begin it at once, one can. Raises LogError.

        Nor does a run share topics with another: none may have its name.
        """
        there = [name for name in await self._admin.list_topics() if name.startswith(f"{run}.")]
        if there:
            raise LogError(
                f"run {run}: topic {min(there)} is there already, and no run has it: made by hand, or by a start "
                f"that was cut off; choose another name, or remove it: rasfleet topics {run} --delete"
            )
        if await self._create(run, [COMMAND], partitions):
            raise LogError(f"run {run}: somebody else began it at this moment; choose another name")

    async def unclaim(self, run: str) -> None:
        """Take that topic away: the run was not begun after all."""
        with suppress(*TROUBLE):
            await self._admin.delete_topics([topic_of(run, COMMAND)])

    async def _create(self, run: str, topics: Sequence[str], partitions: int) -> list[str]:
        """Make topics; those that somebody else made meanwhile. Raises LogError."""
        replicas, least = copies(await self._brokers())
        wanted = [
            NewTopic(
                topic_of(run, topic),
                partitions_of(topic, partitions),
                replicas,
                topic_configs=SETTINGS[topic] | {"min.insync.replicas": str(least)},
            )
            for topic in topics
        ]
        answer = await self._admin.create_topics(wanted)
        others = []
        for name, code, *_ in answer.topic_errors:
            if code == _EXISTS:
                others.append(name)
            if code in FORBIDDEN_CODES:
                raise LogError(f"topic {name} is not there yet; {forbidden(run, 'Create', TOPIC, name)}")
            if code not in (0, _EXISTS):
                raise LogError(f"topic {name}: cannot be made ({for_code(code).__name__} {code})")
        return others

    async def _make(self, run: str, topics: Sequence[str], partitions: int) -> None:
        """Make what is not there. What was just removed is shown for a moment, what was just made is not."""
        there = set(await self._admin.list_topics())
        missing = [topic for topic in topics if topic_of(run, topic) not in there]
        if missing:
            await self.check_shown(run, [topic_of(run, topic) for topic in missing])
            await self._create(run, missing, partitions)

    async def _counts(self, names: list[str]) -> dict[str, int]:
        described = await self._admin.describe_topics(names)
        return {
            topic["topic"]: len(topic["partitions"])
            for topic in described
            if not topic["error_code"] and all(part["leader"] >= 0 for part in topic["partitions"])
        }

    async def _brokers(self) -> int:
        return len((await self._admin.describe_cluster())["brokers"])
