"""Random stories of a host: every promise holds in every one of them, and a seed tells one story."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.actor import Home, Hosts
from nodes.events import HOST_EVENTS, ClockAdvanced
from nodes.events import commands as c
from nodes.host import Host
from tests.runs import printed_under_hash_seeds
from tests.simulation.checkers import broken
from tests.simulation.story import COMMANDS, Story, play

SEEDS = range(240)
PROGRAM = "from tests.simulation.test_story import digest; print(digest(range(12)))"


def digest(seeds):
    """SHA-256 over every event of some stories."""
    sha = hashlib.sha256()
    for seed in seeds:
        sha.update(repr(play(seed).events).encode())
    return sha.hexdigest()


def check(seed):
    promises = broken(play(seed))
    assert not promises, f"repeat with: python -m tests.simulation {seed}\n{promises}"


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_holds_in_a_story(seed):
    check(seed)


@given(st.integers(0, 1 << 40))
def test_every_promise_holds_in_any_story(seed):
    check(seed)


def test_the_stories_show_every_event_that_a_host_has():
    shown = {type(event) for seed in SEEDS[:120] for event in play(seed).events}

    assert set(HOST_EVENTS) - shown == {ClockAdvanced}  # the clock is the partition's


def test_the_stories_give_every_command():
    stories = [Story(seed) for seed in SEEDS[:40]]

    given = {story.command()[0] for story in stories for _ in range(80)}

    assert given == set(c.HOST_COMMANDS)


def test_a_shorter_story_is_the_beginning_of_a_longer_one():
    assert play(7, 30).told == play(7, COMMANDS).told[:30]


def test_a_seed_tells_the_same_story_whatever_the_hash_seed():
    assert printed_under_hash_seeds(PROGRAM) == [digest(range(12)) + "\n"] * 2


def test_another_seed_tells_another_story():
    assert digest([1]) != digest([2])


class _Partition:
    """A partition of one host, and what leaves it."""

    def __init__(self, host):
        self.platform = host.platform
        self.said = []
        self.hosts = Hosts(self, self, 0)

    def home_of(self, host):
        return Home(0, self.platform)

    def publish(self, kind, host, sequence, time_ns, fields):
        self.said.append((kind, sequence, time_ns, fields))

    def watermark(self, time_ns):
        pass


def commands_of(seed):
    """Commands of a story that need no answers in between."""
    story = Story(seed)
    given = [story.command() for _ in range(59)]
    for number, (kind, *fields) in enumerate((one for one in given if one[0] is not c.ChangePolicy), 1):
        yield kind(number - 1, "h1", number, number * 777_777_777, 0, *fields)


@pytest.mark.parametrize("seed", range(10))
def test_a_command_that_is_delivered_twice_counts_once(seed):
    once, twice = _Partition(Host()), _Partition(Host())

    for command in commands_of(seed):
        once.hosts.handle(command)
        for _ in range(2):
            twice.hosts.handle(command)

    assert once.said == twice.said
    assert twice.hosts.ignored > 0
