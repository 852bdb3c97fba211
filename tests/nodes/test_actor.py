"""Hosts as actors: order, time, the bounded mailbox, and what a batch cannot change."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.actor import TIME_NS_MAX, Actors, Home, Hosts
from nodes.events import ClockAdvanced, StatusBlockWritten, Why
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX, FAULTS
from nodes.host import START_NS, Host
from nodes.policy import Switches
from nodes.stack.platform import HostShape, platform_of
from nodes.stack.timers import Timer
from tests.hosts import Taking

S = 1_000_000_000  # ns
PLATFORM = platform_of(HostShape(), Switches())
PLACES = {name: place for place, name in enumerate(("h0", "h1", "h2"))}
PAGE = PLATFORM.address_of(0, PLATFORM.guest_map.start)
TASK_PAGE = Host().task_page()


class Roster:
    def home_of(self, host):
        return Home(PLACES[host], PLATFORM) if host in PLACES else None


class Outlet:
    """Events as they leave, with the watermarks and flushes between them."""

    def __init__(self):
        self.said = []
        self.flushes = 0

    def publish(self, kind, host, sequence, time_ns, fields):
        self.said.append(kind(0, host, sequence, time_ns, *fields))

    def watermark(self, time_ns):
        self.said.append(("watermark", time_ns))

    async def flush(self):
        self.flushes += 1
        await asyncio.sleep(0)


def hosts():
    outlet = Outlet()
    return Taking(Roster(), outlet, START_NS), outlet


def fault(number, host="h0", time_ns=0, name="memory-ce", origin=0):
    return c.InjectFault(0, host, number, time_ns, origin, FAULT_INDEX[name], TASK_PAGE)


def advance(time_ns):
    return ClockAdvanced(0, "", 0, time_ns)


async def drained(commands, *, batch_max=1024, mailbox_max=8192):
    """What leaves when these commands are sent, and the flushes that it took."""
    partition, outlet = hosts()
    actors = Actors(partition, outlet, batch_max=batch_max, mailbox_max=mailbox_max)
    task = asyncio.create_task(actors.run())
    await actors.send(commands)
    await actors.close()
    await task
    return outlet


def storm(seed, length):
    """Commands for three hosts at times that only grow, with the clock's own among them."""
    story = []
    for i in range(length):
        draw = hash_of(seed, i)
        time_ns = (i + 1) * (draw % 200_000_000)
        time_ns = max(time_ns, story[-1].time_ns if story else 0)
        name = FAULTS[draw // 7 % len(FAULTS)].name
        story.append(advance(time_ns) if draw % 11 == 0 else fault(i + 1, f"h{draw % 3}", time_ns, name))
    return story


def hash_of(seed, i):
    return (seed * 1_000_003 + i * 7_919 + 12_345) * 2_654_435_761 % (1 << 32)


@given(seed=st.integers(0, 1000), batch_max=st.integers(1, 40), mailbox_max=st.integers(1, 40))
def test_any_batch_and_any_mailbox_give_the_same_events(seed, batch_max, mailbox_max):
    story = storm(seed, 30)

    whole = asyncio.run(drained(story))
    cut = asyncio.run(drained(story, batch_max=batch_max, mailbox_max=mailbox_max))

    assert cut.said == whole.said


async def test_a_full_mailbox_makes_the_sender_wait():
    partition, outlet = hosts()
    actors = Actors(partition, outlet, mailbox_max=3)
    sender = asyncio.create_task(actors.send([fault(i + 1) for i in range(10)]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (sender.done(), len(actors._mailbox)) == (False, 3)

    runner = asyncio.create_task(actors.run())
    await sender
    await actors.close()
    await runner

    assert partition.machines["h0"].ledger.injected == 10


async def test_what_was_handled_is_flushed_after_each_batch():
    outlet = await drained([fault(i + 1) for i in range(10)], batch_max=4)

    assert outlet.flushes == 3


async def test_while_the_outlet_is_slow_nothing_more_is_handled():
    partition, outlet = hosts()
    gate = asyncio.Event()
    outlet.flush = gate.wait
    actors = Actors(partition, outlet, batch_max=1)
    runner = asyncio.create_task(actors.run())
    await actors.send([fault(1), fault(2)])
    for _ in range(5):
        await asyncio.sleep(0)

    assert partition.machines["h0"].ledger.injected == 1
    gate.set()
    await actors.close()
    await runner
    assert partition.machines["h0"].ledger.injected == 2


async def test_closing_ends_the_run_once_the_mailbox_is_empty():
    outlet = await drained([])

    assert (outlet.said, outlet.flushes) == ([], 0)


def test_a_command_of_the_past_takes_the_clocks_time():
    partition, outlet = hosts()
    partition.handle(fault(1, "h0", S))

    partition.handle(fault(2, "h1", S // 2))

    assert {event.time_ns for event in outlet.said if event.host == "h1"} == {S}


def test_a_command_that_its_origin_sent_before_changes_nothing():
    partition, outlet = hosts()
    partition.handle(fault(2))
    said = len(outlet.said)

    for number in (2, 1):
        partition.handle(fault(number))

    assert (len(outlet.said), partition.ignored) == (said, 2)


def test_origins_count_apart():
    partition, _ = hosts()

    for origin in (0, 1, 0):
        partition.handle(fault(1, origin=origin))

    assert (partition.machines["h0"].ledger.injected, partition.ignored) == (2, 1)


def test_a_repeated_command_still_moves_the_clock():
    partition, outlet = hosts()
    partition.handle(fault(1))

    partition.handle(fault(1, time_ns=S))

    assert partition.clock_ns == S
    assert any(isinstance(event, StatusBlockWritten) for event in outlet.said)


@pytest.mark.parametrize("mail", [c.InjectFault(1, "h1", 1 << 40, S, 0, 0, TASK_PAGE), ClockAdvanced(1, "", 0, S)])
def test_a_number_that_the_plan_had_before_is_a_repetition_whatever_it_says(mail):
    partition = Hosts(Roster(), Outlet(), START_NS)
    for n in range(3):
        partition.handle(msgspec.structs.replace(fault(n + 1), n=n))
    before = partition.checkpoint()

    assert partition.handle(mail) is None
    assert partition.ignored == isinstance(mail, c.InjectFault)
    partition.ignored = 0
    assert partition.checkpoint() == before
    assert partition.handle(msgspec.structs.replace(fault(4), n=3)) is None
    assert partition.machines["h0"].ledger.injected == 4


@pytest.mark.parametrize("origin", [0, 1])
def test_no_time_is_taken_that_timers_behind_it_could_not_have(origin):
    partition, _ = hosts()

    assert partition.handle(fault(1, time_ns=TIME_NS_MAX + 1, origin=origin)) is Why.OUT_OF_RANGE
    assert partition.handle(ClockAdvanced(0, "", 0, (1 << 64) - 1)) is Why.OUT_OF_RANGE
    assert partition.clock_ns == 0
    assert partition.handle(ClockAdvanced(0, "", 0, TIME_NS_MAX)) is None


def test_a_host_that_was_never_touched_does_not_exist():
    partition, _ = hosts()

    partition.handle(advance(60 * S))
    assert partition.machines == {}
    partition.handle(fault(1, "h2"))

    assert set(partition.machines) == {"h2"}


def test_a_name_that_nobody_has_is_counted_and_passed_over():
    partition, outlet = hosts()

    partition.handle(fault(1, "nobody"))

    assert (partition.unknown, partition.machines, outlet.said) == (1, {}, [])


def test_timers_fire_before_the_command_that_comes_at_their_time():
    partition, outlet = hosts()
    partition.handle(fault(1))
    due = partition._timers[0][0]

    partition.handle(fault(2, "h1", due))

    order = [event.host for event in outlet.said if event.time_ns == due]
    assert order.index("h1") == len(order) - order[::-1].count("h1")


def test_timers_of_one_time_fire_by_host_and_then_as_they_were_set():
    partition, _ = hosts()
    fired = []
    for name in ("h2", "h0", "h1"):
        machine = partition.machine(name)
        for first in (5, 3):
            partition.set_timer(S, machine, Timer.RETRY, (first, 0, 0))
    partition._timers = [(*timer[:3], Recorder(fired, timer[3].name), *timer[4:]) for timer in partition._timers]

    partition.advance(S)

    assert fired == [(name, first) for name in ("h0", "h1", "h2") for first in (5, 3)]


class Recorder:
    def __init__(self, fired, name):
        self.fired, self.name = fired, name

    def fire(self, time_ns, timer, numbers):
        self.fired.append((self.name, numbers[0]))


def test_the_clock_of_a_partition_is_its_watermark():
    partition, outlet = hosts()
    partition.handle(fault(1))
    partition.handle(advance(S))

    assert outlet.said[-1] == ("watermark", S)
    assert all(event.time_ns <= S for event in outlet.said[:-1])
    partition.handle(advance(S // 2))
    assert outlet.said[-1] == ("watermark", S)


def test_hosts_do_what_a_host_by_itself_does():
    partition, outlet = hosts()
    alone = Host("h1")

    partition.handle(fault(1, "h1", name="memory-uer"))
    partition.handle(advance(100 * S))
    alone.do(c.InjectFault, FAULT_INDEX["memory-uer"], TASK_PAGE)
    alone.run_until(100 * S)

    ours = [(type(event), event.sequence, event.time_ns) for event in outlet.said[:-1]]
    assert ours == [(type(event), event.sequence, event.time_ns) for event in alone.events]


@pytest.mark.parametrize("batch_max", [0, -1])
def test_a_batch_holds_at_least_one_command(batch_max):
    partition, outlet = hosts()

    with pytest.raises(AssertionError, match="at least one"):
        Actors(partition, outlet, batch_max=batch_max)


def test_a_stop_before_the_first_of_a_full_mailbox_is_handled_ends_sender_and_hosts():
    async def whole():
        actors = Actors(*hosts(), mailbox_max=2)
        running = asyncio.create_task(actors.run())
        sending = asyncio.create_task(actors.send([fault(number) for number in range(8)]))
        await asyncio.sleep(0)  # the sender waits for room, and the hosts have not looked at their mail yet
        actors.stop()
        async with asyncio.timeout(5):
            await asyncio.gather(sending, running)
        return actors.handled

    assert asyncio.run(whole()) == 0
