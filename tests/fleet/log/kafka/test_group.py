"""Membership of a run's group: partitions for everybody while there are enough."""

import asyncio

import pytest

from fleet.log.kafka import group
from fleet.log.kafka.group import RoundRobinPartitionAssignor
from fleet.log.protocol import LogError

REAL = RoundRobinPartitionAssignor.assign


@pytest.fixture
def given():
    """The partitions that members were given, one time after another."""
    return []


async def lived(log, given, enough, instance=None):
    """A member until it was given enough; returns it."""

    async def revoked():
        pass

    async def whole():
        member = log.group(given.append, revoked, instance=instance)
        living = asyncio.ensure_future(member.live())
        while not enough():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)
        await member.close()
        await living
        return member

    return await log.loop.wait(whole())


async def test_a_member_without_a_partition_where_there_are_enough_joins_anew(log, given, monkeypatch):
    calls = []

    def assigned(cluster, members):
        calls.append(1)
        return REAL(cluster if len(calls) > 1 else NoPartitions(), members)

    monkeypatch.setattr(RoundRobinPartitionAssignor, "assign", assigned)
    monkeypatch.setattr(group, "IDLE_S", 0.5)
    member = await lived(log, given, lambda: given and given[-1])

    assert given == [frozenset(), frozenset({0, 1, 2})]
    assert member.made == 2


class NoPartitions:
    """A cluster that knows of none yet."""

    def partitions_for_topic(self, _):
        return None


async def test_members_that_are_more_than_the_partitions_stay(log, given, monkeypatch):
    looked = []

    async def many(_):
        looked.append(1)
        return 4

    monkeypatch.setattr(group, "IDLE_S", 0.0)
    monkeypatch.setattr(group.Group, "_members", many)
    monkeypatch.setattr(RoundRobinPartitionAssignor, "assign", lambda _, members: REAL(NoPartitions(), members))
    member = await lived(log, given, lambda: len(looked) > 1)

    assert given == [frozenset()]
    assert member.made == 1


@pytest.mark.parametrize(("instance", "refused"), [("1234abcd-0", True), (None, False)])
async def test_a_run_that_a_program_carries_out_is_told_from_one_that_somebody_joined(
    log, given, monkeypatch, instance, refused
):
    monkeypatch.setattr(group, "AWAY_S", 0.0)
    gone = []
    living = asyncio.ensure_future(lived(log, given, lambda: gone, instance))
    while not (given and given[-1]):  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.05)
    try:
        await asyncio.to_thread(log.wait_for_nobody)
        found = ""
    except LogError as fault:
        found = str(fault)
    gone.append(True)
    await living

    assert ("another program carries it out, with workers at 127.0.0.1" in found) == refused
    await asyncio.to_thread(log.wait_for_nobody)
