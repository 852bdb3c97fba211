"""Who works on which partition: the group of a run's workers, on the topic of commands.

The group only assigns. Commands are read by the feeds of the log, from the place that a checkpoint says, so the
group's own consumer is paused and hands out nothing; the offsets that are committed say how far the workers are,
to those who look at lag, and nothing is ever started from them.

A rebalance stops the world: everything is revoked, and assigned anew. Whoever works on partitions gets some
seconds to leave them; then they are taken away all the same, which costs nothing but work that is done twice.
What goes wrong while it leaves them is kept and raised at the next look, since the client would only log it.

Sources: the design's section 4, "Resume"; aiokafka issues 335, 848, 929, 933 (rebalance), 647, 773 (stop).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, GroupAuthorizationFailedError, KafkaConnectionError

from fleet.log.kafka.acls import GROUP, TOPIC, forbidden
from fleet.log.kafka.connection import CLIENT_ID, TROUBLE, Brokers, let_go, parted, reached
from fleet.log.kafka.names import group_of, topic_of
from fleet.log.kafka.refused import FORBIDDEN
from fleet.log.protocol import LogError, Unreachable
from nodes.events import COMMAND

SESSION_MS: Final = 10_000  # without a heartbeat, until the others get a worker's partitions
HEARTBEAT_MS: Final = 1_000
AWAY_S: Final = (SESSION_MS + HEARTBEAT_MS) / 1000  # until members that died are none any more
REBALANCE_MS: Final = 30_000  # for all members to join again; leaving the partitions takes 8 s of it at most
IDLE_MS: Final = 2**31 - 1  # a group's consumer hands nothing out, so it is idle for ever
LOOK_MS: Final = 500
START_S: Final = 8.0
ANSWER_S: Final = 10.0
ASK_S: Final = 2.0  # between two looks at where commands end, and for the answer
PAUSE_S: Final = 0.5  # after trouble
IDLE_S: Final = 30.0  # without a partition, until somebody looks whether there is one for everybody

Assigned = Callable[[frozenset[int]], None]  # partitions; called in the loop of the log
Revoked = Callable[[], Awaitable[None]]  # all of them; they are gone when it returns


class Group:
    """One worker's membership, in one loop. ``instance``: of a worker that is started again under this name."""

    def __init__(
        self, brokers: Brokers, run: str, assigned: Assigned, revoked: Revoked, *, instance: str | None = None
    ) -> None:
        self._brokers = brokers
        self._run = run
        self._group = group_of(run)
        self._topic = topic_of(run, COMMAND)
        self._instance = instance
        self._consumer: AIOKafkaConsumer | None = None
        self._closed = False
        self._closing = asyncio.Event()
        self._listener = _Listener(assigned, revoked)
        self._idle_since_s = 0.0  # the loop's time; 0: it has partitions
        self.made = 0  # consumers

    async def live(self) -> None:
        """Be a member until it is closed. What breaks on the way is made anew.

        Raises what its keeper raised, and LogError where the user may not.
        """
        while not self._closed:
            await self._look()
            self._listener.check()

    async def _look(self) -> None:
        try:
            consumer = await self._ready()
            async with asyncio.timeout((LOOK_MS + REBALANCE_MS) / 1000):
                await consumer.getmany(timeout_ms=LOOK_MS, max_records=1)
                await self._look_at_share(consumer)
        except FORBIDDEN as fault:
            of_group = isinstance(fault, GroupAuthorizationFailedError)
            kind, name = (GROUP, self._group) if of_group else (TOPIC, self._topic)
            raise LogError(forbidden(self._run, "Read", kind, name)) from None
        except (*TROUBLE, ConsumerStoppedError, Unreachable):
            if not self._closed:
                await self._leave()
                await asyncio.sleep(PAUSE_S)

    async def _look_at_share(self, consumer: AIOKafkaConsumer) -> None:
        """Raises when there are partitions for every member, and for a while this one has had none."""
        now_s = asyncio.get_running_loop().time()
        if consumer.assignment():
            self._idle_since_s = 0.0
            return
        self._idle_since_s = self._idle_since_s or now_s
        if now_s - self._idle_since_s < IDLE_S:
            return
        self._idle_since_s = 0.0
        partitions = consumer.partitions_for_topic(self._topic) or ()
        if await self._members() <= len(partitions):
            raise KafkaConnectionError("a member without a partition, and there are enough")

    async def _members(self) -> int:
        admin = await reached(self._brokers)
        try:
            (answer,) = await admin.describe_consumer_groups([self._group])
            return len(answer.groups[0][5])
        finally:
            await parted(admin.close())

    async def _ready(self) -> AIOKafkaConsumer:
        if self._consumer is not None:
            return self._consumer
        consumer = AIOKafkaConsumer(
            **self._brokers.client(),
            group_id=self._group,
            group_instance_id=self._instance,
            enable_auto_commit=False,
            auto_offset_reset="latest",  # nothing is read here
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            max_poll_interval_ms=IDLE_MS,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )
        self._consumer = self._listener.consumer = consumer
        self.made += 1
        consumer.subscribe([self._topic], listener=self._listener)
        async with asyncio.timeout(START_S + REBALANCE_MS / 1000):  # it joins before it has started
            await consumer.start()
        return consumer

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Say how far this worker is, for those who look at lag; of partitions that are still its own."""
        if self._consumer is None or not offsets:
            return
        mine = {of.partition for of in self._consumer.assignment()}
        told = {TopicPartition(self._topic, of): offset for of, offset in offsets.items() if of in mine}
        try:
            async with asyncio.timeout(ANSWER_S):
                if told:
                    await self._consumer.commit(told)
        except (*TROUBLE, AssertionError):
            return  # a rebalance, or no broker: the next one says it

    async def look_at_ends(
        self, of: Callable[[], Collection[int]], tell: Callable[[Mapping[int, int]], None]
    ) -> None:
        """Tell where the commands of some partitions end, whenever a broker answers, until it is closed."""
        while not self._closed:
            ends = await self._ends(of() or (0,))
            if ends is not None:
                tell(ends)
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await self._closing.wait()

    async def _ends(self, partitions: Collection[int]) -> Mapping[int, int] | None:
        if self._consumer is None:
            return None
        try:
            async with asyncio.timeout(ASK_S):
                found = await self._consumer.end_offsets([TopicPartition(self._topic, of) for of in partitions])
        except (*TROUBLE, AssertionError):
            return None
        return {place.partition: offset for place, offset in found.items()}

    async def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        await self._listener.gone()
        if consumer is not None:
            await let_go(consumer)

    async def close(self) -> None:
        """Leave the partitions, and the group: others get the partitions at once."""
        self._closed = True
        self._closing.set()
        if self._consumer is not None and self._consumer._coordinator is not None:  # noqa: SLF001
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001 (else it stays until its session ends)
        await self._leave()


async def wait_for_nobody(brokers: Brokers, run: str, say: Callable[[str], None]) -> None:
    """Wait until no program carries a run out; one that died is forgotten within a session.

    Raises LogError where one does, Unreachable.
    """
    end_s = asyncio.get_running_loop().time() + AWAY_S
    is_told = False
    while where := await supervised(brokers, run):
        if asyncio.get_running_loop().time() > end_s:
            raise LogError(
                f"run {run}: another program carries it out, with workers at {', '.join(where)}; stop that one, "
                "or say --take-over"
            )
        if not is_told:
            say(f"run {run}: waiting until the workers of the program that carried it out are gone")
            is_told = True
        await asyncio.sleep(PAUSE_S)


async def supervised(brokers: Brokers, run: str) -> list[str]:
    """Where the members are that a program carries the run out with; who joined by itself is none of them.

    Nobody is told of where this user may not look. Raises Unreachable.
    """
    admin = await reached(brokers)
    try:
        (answer,) = await admin.describe_consumer_groups([group_of(run)])
        members = answer.groups[0][5]
    except TROUBLE:
        return []
    finally:
        await parted(admin.close())
    own = f"{CLIENT_ID}-"  # how brokers name a member that has no name of its own
    return sorted({where.lstrip("/") for member, _, where, *_ in members if not member.startswith(own)})


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """What a rebalance does."""

    def __init__(self, assigned: Assigned, revoked: Revoked) -> None:
        self._assigned = assigned
        self._revoked = revoked
        self._fault: Exception | None = None
        self.consumer: AIOKafkaConsumer | None = None

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002 (it is all of them)
        await self.gone()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        try:
            assert self.consumer is not None, "somebody joined"
            self.consumer.pause(*assigned)
            self._assigned(frozenset(of.partition for of in assigned))
        except Exception as fault:  # noqa: BLE001 (the client would swallow it)
            self._fault = fault

    async def gone(self) -> None:
        """Everything is left."""
        try:
            await self._revoked()
        except Exception as fault:  # noqa: BLE001 (the client would swallow it)
            self._fault = fault

    def check(self) -> None:
        """Raises what went wrong in a rebalance."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
