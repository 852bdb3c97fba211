"""Hosts that are put away at every step of a random story: nobody can tell, at any time."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.host import Host
from nodes.stack.accounting import accounted
from tests.floors import brought_back, put_away, stored, told_apart
from tests.runs import printed_under_hash_seeds
from tests.simulation.story import COMMANDS, PAUSES_NS, Story

PROGRAM = "from tests.simulation.test_away import digest; print(digest(range(8)))"


def steps(seed):
    """A story's host, and a twin that is put away and comes back after every command and every pause."""
    story = Story(seed)
    host, twin = story.host, Host("h1", switches=story.switches)
    for _ in range(COMMANDS):
        kind, *fields = story.command()
        for one in (host, twin):
            one.do(kind, *fields)
        yield host, twin
        put_away(twin)
        until = host.now + story.draw.choice(PAUSES_NS)
        for one in (host, twin):
            one.run_until(until)
        yield host, twin
        put_away(twin)


def digest(seeds):
    """SHA-256 over the snapshots of every step of some stories."""
    sha = hashlib.sha256()
    for seed in seeds:
        for host, _ in steps(seed):
            sha.update(stored(host))
    return sha.hexdigest()


def check(seed):
    for host, twin in steps(seed):
        machine, _ = brought_back(host)
        assert stored(host) == stored(twin), seed
        assert told_apart(host.machine, machine) == [], seed
        assert accounted(machine) == accounted(host.machine)
    assert host.events == twin.events


@pytest.mark.parametrize("seed", range(40))
def test_a_host_that_comes_back_is_the_same_at_every_step_of_a_story(seed):
    check(seed)


@given(st.integers(0, 1 << 40))
def test_a_host_that_comes_back_is_the_same_in_any_story(seed):
    check(seed)


@pytest.mark.parametrize("seed", range(10))
def test_a_host_may_be_put_away_between_any_two_timers(seed):
    story = Story(seed)
    host, twin = story.host, Host("h1", switches=story.switches)
    for _ in range(COMMANDS // 2):
        kind, *fields = story.command()
        until = host.now + story.draw.choice(PAUSES_NS)
        for one in (host, twin):
            one.do(kind, *fields, at_ns=max(host.now, twin.now))
        while twin._timers and twin._timers[0][0] <= until:
            twin.step()
            put_away(twin)
        for one in (host, twin):
            one.run_until(until)

    assert host.events == twin.events


def test_snapshots_are_the_same_whatever_the_hash_seed():
    assert printed_under_hash_seeds(PROGRAM) == [digest(range(8)) + "\n"] * 2
