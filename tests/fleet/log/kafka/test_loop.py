"""The loop in a thread of its own: work is waited for from anywhere, and ends with the log."""

import asyncio
import threading

import pytest

from fleet.log.kafka.loop import Loop


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.stop()


async def where():
    return threading.current_thread().name


def test_work_is_done_in_a_thread_of_its_own(loop):
    assert loop.call(where()) == "rasfleet-kafka"


async def test_work_can_be_waited_for_in_another_loop(loop):
    assert await loop.wait(where()) == "rasfleet-kafka"


async def test_what_goes_wrong_is_raised_where_it_is_waited_for(loop):
    async def wrong():
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await loop.wait(wrong())
    with pytest.raises(ValueError, match="wrong"):
        loop.call(wrong())


async def test_one_who_is_cancelled_waits_until_it_is_done(loop):
    begun, done = threading.Event(), []

    async def slow():
        begun.set()
        await asyncio.sleep(0.1)
        done.append(1)

    waiting = asyncio.ensure_future(loop.wait(slow()))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done == [1]


async def test_work_that_does_not_end_is_cancelled_in_the_end(loop, monkeypatch):
    monkeypatch.setattr("fleet.log.kafka.loop.PARTING_S", 0.1)
    begun, ended = threading.Event(), threading.Event()

    async def endless():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.ensure_future(loop.wait(endless()))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    await asyncio.wait({waiting})

    assert await asyncio.to_thread(ended.wait, 5)


def test_a_loop_that_was_stopped_begins_again(loop):
    loop.call(where())
    loop.stop()

    assert loop.call(where()) == "rasfleet-kafka"


def test_stopping_waits_for_what_was_posted(loop):
    done = []

    async def late():
        await asyncio.sleep(0.05)
        done.append(1)

    loop.call(where())
    loop.post(late())
    loop.stop()

    assert done == [1]


def test_what_is_posted_when_it_is_over_is_nothing(loop):
    done = []

    async def late():
        done.append(1)

    loop.post(late())

    assert done == []
