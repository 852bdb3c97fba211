"""How the brokers are reached, and how a client is let go of.

Sources: aiokafka 0.14's client, producer and consumer; issues 647 and 773 (stop), 1101 (a sender that stays).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownError, kafka_errors
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy

from fleet.log.kafka.refused import reason
from fleet.log.kafka.security import COMPRESSIONS, check_loopback
from fleet.log.protocol import LogError, Unreachable

GONE_S: Final = 5.0  # between two looks for a topic
CLIENT_ID: Final = "rasfleet"
CONNECT_S: Final = 6.0  # until brokers that do not answer are called unreachable; then CLOSE_S and PROBE_S go by
REQUEST_MS: Final = 10_000  # a broker that does not answer for so long is asked again
PART_S: Final = 5.0  # that a client gets to close; then it is dropped
CLOSE_S: Final = 1.0  # the same, of one that never began
TROUBLE: Final = (KafkaError, OSError, TimeoutError)  # what brokers and the way to them may answer

for _code in range(73, 150):  # that aiokafka has no names for: a number says more than "unknown"
    kafka_errors.setdefault(_code, type("UnknownError", (UnknownError,), {"errno": _code}))
logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what people are to know is said by us
logging.getLogger("aiokafka.conn").setLevel(logging.INFO)  # below it stands what is sent, PLAIN's password, too


@dataclass(frozen=True)
class Brokers:
    """Which brokers, and how they are talked to."""

    servers: str  # host:port, separated by commas
    compression: str = "none"  # of record batches
    security: Mapping[str, object] = field(default_factory=dict, repr=False)  # what every client is given besides
    loopback_only: bool = False  # it is plain text, and nobody asked for it elsewhere

    def __post_init__(self) -> None:
        module = COMPRESSIONS.get(self.compression)
        if module is None:
            raise LogError(f"compression {self.compression}: one of {', '.join(COMPRESSIONS)}")
        if module and find_spec(module) is None:
            raise LogError(f"compression {self.compression} needs {module}: pip install 'aiokafka[lz4,zstd]'")

    def client(self) -> dict[str, Any]:
        """What a client of any kind is given."""
        return {
            "bootstrap_servers": self.servers.split(","),
            "client_id": CLIENT_ID,
            "request_timeout_ms": REQUEST_MS,
            "metadata_max_age_ms": 60_000,
            **self.security,
        }


class Outage:
    """Says once that brokers are waited for, and once that one answers again, whoever asks."""

    def __init__(self, servers: str, say: Callable[[str], None]) -> None:
        self._servers = servers
        self._say = say
        self._lasts = False

    @property
    def is_on(self) -> bool:
        """Whether brokers are waited for."""
        return self._lasts

    def lasts(self, reason: str) -> None:
        """Nobody has answered for a while."""
        if not self._lasts:
            self._lasts = True
            self._say(f"{self._servers}: no broker answers ({reason}); waiting for one")

    def is_over(self) -> None:
        """A broker answers."""
        if self._lasts:
            self._lasts = False
            self._say(f"{self._servers}: a broker answers again")


def is_slow() -> bool:
    """Whether aiokafka came without its C extensions: it is 18 to 28 times slower then."""
    return DefaultRecordBatch is _DefaultRecordBatchPy


async def reached(brokers: Brokers) -> AIOKafkaAdminClient:
    """A connection for looking after topics. Raises Unreachable, and says why nobody is let in."""
    admin = AIOKafkaAdminClient(**brokers.client())
    try:
        async with asyncio.timeout(CONNECT_S):
            await admin.start()
    except TROUBLE as fault:
        await parted(admin.close(), within_s=CLOSE_S)
        raise Unreachable(
            f"{brokers.servers}: {await why(brokers, fault) or f'no broker answers ({said(fault)})'}"
        ) from None
    if brokers.loopback_only:
        try:
            check_loopback(broker.host for broker in admin._client.cluster.brokers())  # noqa: SLF001
        except LogError:
            await parted(admin.close())
            raise
    return admin


async def check_there(brokers: Brokers, name: str) -> None:
    """Raises LogError where brokers answer, and two looks do not find a topic: clients wait for one for ever."""
    for wait_s in (0.0, GONE_S):
        await asyncio.sleep(wait_s)
        if await _is_listed(brokers, name):
            return
    raise LogError(f"topic {name}: it is not there any more, and without it the run cannot go on")


async def _is_listed(brokers: Brokers, name: str) -> bool:
    """Whether a topic is there, as far as a broker answers."""
    try:
        admin = await reached(brokers)
    except LogError:
        return True
    try:
        async with asyncio.timeout(CONNECT_S):
            return name in await admin.list_topics()
    except TROUBLE:
        return True
    finally:
        await parted(admin.close())


async def why(brokers: Brokers, fault: Exception) -> str:
    """What keeps a client from beginning, if a broker says it: the client itself only says that it did not."""
    return await reason(brokers.client()) if isinstance(fault, KafkaConnectionError) else ""


def said(fault: BaseException) -> str:
    """An error of a broker in a few words, with its number where it has one."""
    number = getattr(fault, "errno", None)
    name = type(fault).__name__
    return f"{name} {number}" if isinstance(number, int) and number >= 0 else name


async def parted(closing: Coroutine[Any, Any, object], *, within_s: float = PART_S) -> None:
    """Let a client close, for a while. What comes of it ends here, a cancellation of its own included."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait({task}, timeout=within_s)
    finally:
        task.cancel()
        task.add_done_callback(_heard)


def _heard(task: asyncio.Future[object]) -> None:
    if not task.cancelled():
        task.exception()


async def let_go(consumer: AIOKafkaConsumer) -> None:
    """Be done with a consumer. With its broker gone, stopping ends early and leaves the client's task behind."""
    await parted(consumer.stop())
    await parted(consumer._client.close())  # noqa: SLF001 (there is no other way)


async def discard(producer: AIOKafkaProducer) -> None:
    """Be done with a producer, so that nothing of it is sent any more: its own stop would wait for the broker."""
    producer._closed = True  # noqa: SLF001
    sender = producer._sender.sender_task  # noqa: SLF001
    if sender is not None:
        sender.cancel()
        await asyncio.wait({sender}, timeout=PART_S / 5)  # it waits for the request that is under way
    await parted(producer.client.close())
    if sender is not None:
        await asyncio.wait({sender}, timeout=PART_S)
        sender.add_done_callback(_heard)
