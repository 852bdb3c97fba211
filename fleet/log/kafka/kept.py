"""What brokers keep of runs: which there are, and a run's topics: shown with their settings, made, removed.

Source: the design's section 4, "A run has a name and a manifest".
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.protocol.admin import DeleteGroupsRequest

from fleet.log.kafka.acls import GROUP, TOPIC, forbidden
from fleet.log.kafka.connection import TROUBLE, Brokers, parted, reached, said
from fleet.log.kafka.log import OF_A_RUN, asked
from fleet.log.kafka.loop import Loop
from fleet.log.kafka.manifests import Runs, decoded, manifest_in
from fleet.log.kafka.names import RUNS, checked_name, group_of, is_name, topic_of, word_of
from fleet.log.kafka.refused import FORBIDDEN_CODES
from fleet.log.kafka.topics import SETTINGS, Topics
from fleet.log.protocol import CorruptLog, LogError
from fleet.manifest import Manifest, Summary

Done = TypeVar("Done")
_GONE: Final = 3  # org.apache.kafka.common.protocol.Errors: UNKNOWN_TOPIC_OR_PARTITION
_NO_GROUP: Final = 69  # GROUP_ID_NOT_FOUND


class Kept(NamedTuple):
    """A run that brokers keep."""

    run: str
    manifest: Manifest
    summary: Summary | None
    ended: int  # shards that have


class Unread(NamedTuple):
    """A run that brokers keep and that cannot be read: somebody else wrote its manifest, or another program."""

    run: str
    why: str


class Removed(NamedTuple):
    """What was there of a run."""

    topics: int
    records: int  # keys of the topic of all runs


class Topic(NamedTuple):
    """A topic as it is there."""

    name: str
    partitions: int
    replicas: int
    settings: dict[str, str]  # those that a run asks for


def runs(brokers: Brokers) -> list[Kept | Unread]:
    """The runs that there are, by name. Raises LogError, Unreachable within 10 s."""

    async def found(admin: AIOKafkaAdminClient) -> list[Kept | Unread]:
        if not await _has_runs(admin):
            return []
        values = await asked(brokers, lambda _: None, lambda told: told.all())
        return [_kept(run, values) for run, value in sorted(values.items()) if "/" not in run and value]

    return _with_admin(brokers, found)


async def _has_runs(admin: AIOKafkaAdminClient) -> bool:
    """Whether the topic of all runs is there. Raises LogError where this user may not see it."""
    if RUNS in await admin.list_topics():
        return True
    await Topics(admin).check_shown("", [RUNS])
    return False


def _kept(run: str, values: dict[str, bytes]) -> Kept | Unread:
    if not is_name(run):
        return Unread(run, "no run has such a name")
    stored = values.get(f"{run}/summary")
    try:
        manifest = manifest_in(run, values[run])
        summary = decoded(f"{run}/summary", stored, Summary) if stored else None
    except CorruptLog as fault:
        return Unread(run, fault.reason)
    ended = sum(bool(value) for key, value in values.items() if key.startswith(f"{run}/shard/"))
    return Kept(run, manifest, summary, ended)


def topics(brokers: Brokers, run: str) -> list[Topic]:
    """The topics of a run as they are there. Raises LogError, Unreachable within 10 s."""

    async def found(admin: AIOKafkaAdminClient) -> list[Topic]:
        names = await _of_run(admin, run)
        if not names:
            raise LogError(f"run {run}: no topic has its name")
        described = await admin.describe_topics(names)
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
        settings = {part[3]: _settings(run, part) for answer in answers for part in answer.resources}
        return sorted(
            Topic(of["topic"], len(of["partitions"]), len(of["partitions"][0]["replicas"]), settings[of["topic"]])
            for of in described
        )

    return _with_admin(brokers, found)


def _settings(run: str, described: tuple[Any, ...]) -> dict[str, str]:
    if described[0] in FORBIDDEN_CODES:
        raise LogError(forbidden(run, "DescribeConfigs", TOPIC, described[3]))
    wanted = {name for settings in SETTINGS.values() for name in settings} | {"min.insync.replicas"}
    return {name: value for name, value, *_ in sorted(described[4]) if name in wanted}


async def _of_run(admin: AIOKafkaAdminClient, run: str) -> list[str]:
    there = set(await admin.list_topics())
    return [name for topic in OF_A_RUN if (name := topic_of(checked_name(run), topic)) in there]


def create(brokers: Brokers, run: str) -> None:
    """Make the topics of a run that are missing. Raises LogError, Unreachable within 10 s."""

    async def made(admin: AIOKafkaAdminClient) -> None:
        if not await _has_runs(admin):
            raise LogError(f"run {run}: there is none of this name")
        manifest = await asked(brokers, lambda _: None, lambda told: told.manifest(run))
        await Topics(admin).ensure(run, OF_A_RUN, manifest.partitions)

    _with_admin(brokers, made)


def delete(brokers: Brokers, run: str) -> Removed:
    """Remove a run: its group, its topics, then all that is said about it. Raises LogError.

    A name that no run may have has neither group nor topics, but somebody may have said something of it.
    """
    if "/" in run:
        raise LogError(f"run {word_of(run)}: no name, '/' stands behind one")

    async def removed(admin: AIOKafkaAdminClient) -> Removed:
        if not await _has_runs(admin):
            raise LogError(f"run {word_of(run)}: there is none of this name")
        names = []
        if is_name(run):
            await _disband(admin, run)
            names = await _of_run(admin, run)
            await _delete_topics(admin, run, names)
        records = await asked(brokers, lambda _: None, lambda told: _forget(told, run))
        if not names and not records:
            raise LogError(f"run {word_of(run)}: there is none of this name")
        return Removed(len(names), records)

    return _with_admin(brokers, removed)


async def _delete_topics(admin: AIOKafkaAdminClient, run: str, names: list[str]) -> None:
    answer = await admin.delete_topics(names) if names else None
    for name, code, *_ in answer.topic_error_codes if answer is not None else ():
        if code in FORBIDDEN_CODES:
            raise LogError(forbidden(run, "Delete", TOPIC, name))
        if code not in (0, _GONE):
            raise LogError(f"topic {name}: cannot be removed ({for_code(code).__name__} {code})")


async def _forget(told: Runs, run: str) -> int:
    """Take away all that is said about a run; how much that was."""
    values = await told.all()
    keys = [key for key, value in values.items() if value and (key == run or key.startswith(f"{run}/"))]
    for key in sorted(keys, reverse=True):  # the manifest last
        await told.put(key, None)
    return len(keys)


async def _disband(admin: AIOKafkaAdminClient, run: str) -> None:
    """Remove a run's group with what it committed. Raises LogError while somebody is in it."""
    group = group_of(checked_name(run))
    if group not in {name for name, *_ in await admin.list_consumer_groups()}:
        return
    asked_for = DeleteGroupsRequest([group])
    answer = await admin._send_request(asked_for, await admin.find_coordinator(group))  # noqa: SLF001 (it has no name for it)
    for name, code in answer.results:
        if code in FORBIDDEN_CODES:
            raise LogError(forbidden(run, "Delete", GROUP, name))
        if code not in (0, _NO_GROUP):
            raise LogError(
                f"group {name}: cannot be removed ({for_code(code).__name__} {code}); do workers go on?"
            )


def _with_admin(brokers: Brokers, work: Callable[[AIOKafkaAdminClient], Coroutine[Any, Any, Done]]) -> Done:
    async def whole() -> Done:
        admin = await reached(brokers)
        try:
            return await work(admin)
        except TROUBLE as fault:
            raise LogError(f"{brokers.servers}: {said(fault)}") from None
        finally:
            await parted(admin.close())

    loop = Loop()
    try:
        return loop.call(whole())
    finally:
        loop.stop()
