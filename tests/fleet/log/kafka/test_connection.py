"""Brokers that do not answer: at the start it is said soon, later they are waited for."""

import asyncio
import socket
from contextlib import ExitStack

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, for_code

from fleet.__main__ import UNREACHABLE, _explained
from fleet.log.kafka.connection import Brokers, parted, reached, said
from fleet.log.kafka.log import KafkaLog
from fleet.log.kafka.producer import QUIET_S
from fleet.log.kafka.refused import reason
from fleet.log.protocol import Unreachable
from nodes.events import COMMAND, SYNDROME
from tests.fleet.log.contract import entries, events, manifest_of, read, record


@pytest.fixture
def nobody():
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent():
    """A port where somebody listens who never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_brokers_that_refuse_are_unreachable_at_once(nobody):
    with pytest.raises(Unreachable, match=rf"{nobody}: no broker answers") as refused:
        KafkaLog.open(Brokers(nobody), "run")

    code, said = _explained(refused.value)
    assert code == UNREACHABLE == 3
    assert "\n" not in said


def test_brokers_that_say_nothing_are_unreachable_once_their_time_is_over(silent, capfd, monkeypatch):
    monkeypatch.setattr("fleet.log.kafka.connection.CONNECT_S", 0.2)
    with pytest.raises(Unreachable, match=r"no broker answers \(TimeoutError\)"):
        KafkaLog.create(Brokers(silent), "run", manifest_of())

    assert capfd.readouterr() == ("", "")


@pytest.fixture
def waits(monkeypatch):
    """The seconds that are given to what is waited for, one after another; each is much shorter here."""
    asked = []
    timeout, wait = asyncio.timeout, asyncio.wait

    def short_timeout(seconds):
        asked.append(seconds)
        return timeout(seconds / 50)

    def short_wait(tasks, **given):
        asked.append(given["timeout"])
        return wait(tasks, timeout=given["timeout"] / 50)

    monkeypatch.setattr(asyncio, "timeout", short_timeout)
    monkeypatch.setattr(asyncio, "wait", short_wait)
    return asked


async def refusing(_):
    raise KafkaConnectionError


@pytest.mark.parametrize("addresses", [1, 3])
@pytest.mark.parametrize("start", [AIOKafkaAdminClient.start, refusing], ids=["silent", "refused"])
async def test_whatever_brokers_do_not_say_it_is_over_within_9_s(waits, monkeypatch, addresses, start):
    monkeypatch.setattr(AIOKafkaAdminClient, "start", start)
    with ExitStack() as kept:
        servers = [kept.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(addresses)]
        named = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in servers)
        with pytest.raises(Unreachable):
            await reached(Brokers(named))

    assert len(waits) >= 2
    assert sum(waits) <= 9


async def test_of_several_addresses_the_one_that_gives_a_reason_is_heard_behind_a_silent_one(silent):
    closing = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with closing:
        port = closing.sockets[0].getsockname()[1]

        assert "it may want TLS" in await reason(Brokers(f"{silent},127.0.0.1:{port}").client())


def test_an_error_that_the_client_has_no_name_for_is_told_by_its_number():
    assert said(for_code(87)()) == "UnknownError 87"
    assert said(for_code(10)()) == "MessageSizeTooLargeError 10"
    assert said(OSError(111, "refused")) == "ConnectionRefusedError 111"


async def test_a_client_that_is_cancelled_while_it_closes_does_not_cancel_us():
    async def closing():
        raise asyncio.CancelledError

    await parted(closing())


async def test_one_who_is_cancelled_while_a_client_closes_is_cancelled():
    parting = asyncio.ensure_future(parted(asyncio.sleep(60)))
    await asyncio.sleep(0)
    parting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await parting


async def test_brokers_that_go_and_come_back_are_waited_for(broker, fresh, opened):
    told = []
    log = opened(KafkaLog.create(Brokers(broker.bootstrap), fresh, manifest_of(), say=told.append))
    writer, feed = log.writer(0), log.feed(0, 0)
    await writer.commit({SYNDROME: events(5)})
    await log.append_commands(0, [record(0)])
    first = await feed.next()
    broker.kill(1)
    waiting = asyncio.gather(
        writer.commit({SYNDROME: events(5, 5000)}), log.append_commands(0, [record(1)]), feed.next()
    )
    await asyncio.sleep(QUIET_S + 1)
    assert not waiting.done()
    await asyncio.to_thread(broker.restart, 1)
    _, offset, second = await waiting

    assert offset == 2
    assert told
    assert all(said.startswith(f"{broker.bootstrap}: no broker answers (") for said in told[::2])
    assert told[1::2] == [f"{broker.bootstrap}: a broker answers again"] * (len(told) // 2)
    assert len(told) % 2 == 0
    assert (first.values, second.values) == ([record(0).value], [record(1).value])
    assert read(log, SYNDROME) == entries(SYNDROME, 0, events(5000))
    assert read(log, COMMAND) == entries(COMMAND, 0, [record(0), record(1)])


async def test_a_feed_can_be_stopped_and_a_log_closed_while_no_broker_is_there(broker, fresh, opened):
    log = opened(KafkaLog.create(Brokers(broker.bootstrap), fresh, manifest_of()))
    feed = log.feed(0, 0)
    writer = log.writer(0)
    await writer.commit({SYNDROME: events(5)})
    waiting = asyncio.ensure_future(feed.next())
    broker.kill(1)
    await asyncio.sleep(1)
    feed.stop()

    async with asyncio.timeout(30):
        assert (await waiting).values == []
        await writer.close()
        feed.close()
        await log.close()


async def test_a_broker_that_is_held_up_longer_than_a_send_may_take_gets_every_record_once(broker, fresh, opened):
    log = opened(KafkaLog.create(Brokers(broker.bootstrap), fresh, manifest_of()))
    writer = log.writer(0)
    await writer.commit({SYNDROME: events(5)})
    writer._producer._send_s = 1.0
    broker.pause(1)
    committing = asyncio.ensure_future(writer.commit({SYNDROME: events(5, 3000)}))
    await asyncio.sleep(5)
    broker.resume(1)
    await committing
    await writer.commit({SYNDROME: events(3000, 3005)})

    assert read(log, SYNDROME) == entries(SYNDROME, 0, events(3005))
