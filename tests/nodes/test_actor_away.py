"""Hosts that are put away, checkpoints and resumes: what is published is what it would have been without."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.actor import Home
from nodes.events import ClockAdvanced
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX
from nodes.host import START_NS
from nodes.ledger import Ledger
from nodes.policy import Switches
from nodes.spec.layout import Malformed
from nodes.stack.platform import HostShape, platform_of
from nodes.stack.snapshot import SNAPSHOT_FORMAT
from nodes.stack.timers import Timer
from tests.everything import EVERYTHING
from tests.garbage import collected
from tests.hosts import S, Taking
from tests.simulation.story import PAUSES_NS, Story

HOSTS = 6
MAIL = 120  # commands of a partition


class Partition:
    """Hosts with random switches, the mail that random stories make for them, and what left."""

    def __init__(self, seed, **bound):
        self.seed = seed
        self.said = []
        self.switches = {f"h{place}": Story(seed * HOSTS + place).switches for place in range(HOSTS)}
        self.hosts = Taking(self, self, START_NS, **bound)

    def home_of(self, host):
        if host in self.switches:
            return Home(int(host[1:]), platform_of(HostShape(), self.switches[host]))
        return None

    def publish(self, *event):
        self.said.append(event)

    def watermark(self, time_ns):
        self.said.append(time_ns)

    def mail(self):
        draw, time_ns = random.Random(f"mail {self.seed}"), 0
        stories = [Story(self.seed * HOSTS + place) for place in range(HOSTS)]
        for number in range(1, MAIL + 1):
            time_ns += draw.choice(PAUSES_NS)
            place, origin = draw.randrange(HOSTS + 1), draw.randrange(2)
            if place == HOSTS:
                yield ClockAdvanced(0, "", 0, time_ns)
            else:
                kind, *fields = stories[place].command()
                yield kind(0, f"h{place}", number, time_ns, origin, *fields)

    def handle(self, mail):
        for command in mail:
            self.hosts.handle(command)
        return self


def fault(number, host, time_ns=0):
    page = platform_of(HostShape(), Switches()).host_map.start
    return c.InjectFault(0, host, number, time_ns, 0, FAULT_INDEX["memory-ce"], page)


def quiet(hosts, **bound):
    """A partition whose hosts h0, h1 and so on met a corrected error each, in that order."""
    partition = Partition(0, **bound)
    partition.switches = {f"h{place}": Switches() for place in range(1000)}
    for place in range(hosts):
        partition.handle([fault(place + 1, f"h{place}", place * S), ClockAdvanced(0, "", 0, place * S + S // 2)])
    return partition


@given(seed=st.integers(0, 1 << 30), active_max=st.integers(1, HOSTS))
def test_any_bound_publishes_what_no_bound_does(seed, active_max):
    free, bound = Partition(seed), Partition(seed, active_max=active_max)

    for command in free.mail():
        for partition in (free, bound):
            partition.handle([command])

        assert bound.hosts.ledgers() == free.hosts.ledgers()
    assert bound.said == free.said
    assert bound.hosts.checkpoint() == free.hosts.checkpoint()


@given(
    seed=st.integers(0, 1 << 30), cuts=st.lists(st.integers(0, MAIL), max_size=4), active_max=st.integers(1, HOSTS)
)
def test_what_resumes_from_a_checkpoint_publishes_exactly_the_rest(seed, cuts, active_max):
    whole = Partition(seed)
    mail = list(whole.mail())
    whole.handle(mail)

    said, part, last = [], Partition(seed), 0
    for cut in sorted(cuts):
        part.handle(mail[last:cut])
        checkpoint, last = part.hosts.checkpoint(), cut
        said += part.said
        part = Partition(seed, active_max=active_max)
        part.hosts.resume(*checkpoint)
        assert part.hosts.checkpoint() == checkpoint
    part.handle(mail[last:])

    assert said + part.said == whole.said
    assert part.hosts.checkpoint() == whole.hosts.checkpoint()
    assert part.hosts.ledgers() == whole.hosts.ledgers()


@given(seed=st.integers(0, 1 << 30), cut=st.integers(0, MAIL))
def test_taking_a_checkpoint_changes_nothing(seed, cut):
    one, other = Partition(seed), Partition(seed)
    mail = list(one.mail())
    one.handle(mail[:cut]).hosts.checkpoint()
    one.handle(mail[cut:])

    assert one.said == other.handle(mail).said


def test_commands_that_were_handled_before_a_checkpoint_are_ignored_after_it():
    before, after = Partition(3), Partition(3)
    mail = list(before.mail())
    after.hosts.resume(*before.handle(mail).hosts.checkpoint())

    after.handle([command for command in mail if not isinstance(command, ClockAdvanced)])

    assert after.said == []
    assert after.hosts.ignored > MAIL // 2


def test_quiet_hosts_are_put_away_until_half_of_the_bound_is_left():
    partition = quiet(9, active_max=8)

    assert list(partition.hosts.machines) == ["h4", "h5", "h6", "h7", "h8"]


def test_those_that_were_touched_longest_ago_go_first():
    partition = quiet(8, active_max=8)
    partition.handle([fault(100, "h0", 50 * S), ClockAdvanced(0, "", 0, 51 * S), fault(101, "h99", 52 * S)])

    assert list(partition.hosts.machines) == ["h0", "h5", "h6", "h7", "h99"]


@pytest.mark.parametrize("active_max", [1, 2, 3, 10, 64])
def test_no_more_hosts_than_the_bound_are_in_memory(active_max):
    assert len(quiet(200, active_max=active_max).hosts.machines) <= active_max


def test_a_host_for_which_a_timer_waits_stays():
    partition = quiet(1, active_max=2)
    partition.hosts.set_timer(10_000 * S, partition.hosts.machine("h0"), Timer.RETRY, (0, 0, 0))
    for place in range(1, 20):
        partition.hosts.machine(f"h{place}")

    assert "h0" in partition.hosts.machines


def test_where_nobody_is_quiet_the_bound_gives_way_and_sweeps_grow_rare():
    partition = quiet(0, active_max=4)
    sweeps = []
    for place in range(512):
        before = partition.hosts._sweep_at
        partition.hosts.set_timer(S, partition.hosts.machine(f"h{place}"), Timer.RETRY, (0, 0, 0))
        sweeps += [place] if partition.hosts._sweep_at != before else []

    assert len(partition.hosts.machines) == 512
    assert sweeps == [4, 8, 16, 32, 64, 128, 256]


@pytest.mark.parametrize("active_max", [1, HOSTS])
@pytest.mark.parametrize("seed", range(20))
def test_hosts_leave_nothing_to_collect(seed, active_max):
    partition = Partition(seed, active_max=active_max)
    mail = list(partition.mail())
    with collected() as found:
        partition.handle(mail)

    assert found == []


def test_ledgers_are_those_of_all_hosts_in_memory_or_not():
    (hosts, guests), expected = quiet(40, active_max=4).hosts.ledgers(), Ledger()
    for machine in quiet(40).hosts.machines.values():
        expected.add(machine.ledger)

    assert (hosts, guests) == (expected, Ledger())
    assert hosts.injected == 40


def test_only_hosts_for_which_a_timer_waits_come_back_at_once():
    partition = quiet(6)
    partition.handle([fault(7, "h2", 9 * S)])
    other = quiet(0)
    other.hosts.resume(*partition.hosts.checkpoint())

    assert list(other.hosts.machines) == ["h2"]
    assert len(other.hosts._away) == 5


def test_a_checkpoint_holds_the_bytes_of_hosts_that_are_away():
    partition = quiet(9, active_max=8)
    away = dict(partition.hosts._away)
    _, hosts = partition.hosts.checkpoint()

    assert list(hosts) == sorted(hosts)
    assert all(hosts[name] is stored for name, stored in away.items())


@given(st.binary(max_size=60))
def test_bytes_that_are_no_checkpoint_are_malformed(found):
    with pytest.raises(Malformed):
        quiet(0).hosts.resume(found, {})


def test_another_layout_of_a_checkpoint_is_refused_by_its_number():
    with pytest.raises(Malformed, match="layout 9"):
        quiet(0).hosts.resume(msgspec.msgpack.encode([9, 0, [], 0, 0, 0, 0]), {})


@pytest.mark.parametrize("host", ["nobody", "h0"])
def test_a_checkpoint_with_a_host_that_cannot_be_is_malformed(host):
    standing, _ = quiet(0).hosts.checkpoint()
    stored = msgspec.structs.replace(EVERYTHING, format=SNAPSHOT_FORMAT + (host == "h0"))

    with pytest.raises(Malformed):
        quiet(0).hosts.resume(standing, {host: msgspec.msgpack.encode(stored)})


def test_hosts_that_did_something_cannot_resume():
    partition = quiet(1)

    with pytest.raises(AssertionError, match="done already"):
        partition.hosts.resume(*partition.hosts.checkpoint())
