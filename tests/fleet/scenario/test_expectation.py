"""What a scenario expects of its run: met, not met, not looked at."""

import json
import re

import pytest

from fleet.manifest import Summary
from fleet.scenario.expectation import Range, unmet
from fleet.scenario.scenario import load, parse
from fleet.scenario.script import AnyStep
from nodes.ledger import Account, Ledger, ledger_json
from tests.cli import rasfleet

STORIES = load("stories")[0]


def expecting(text):
    return parse(f'name = "x"\n[[hosts]]\n{text}', "here").expect


def summary(**accounts):
    """A run that came to these accounts; its guests' ledger is empty."""
    ledger = Ledger()
    for name, count in accounts.items():
        for _ in range(count):
            ledger.inject()
        ledger.move(count, Account.IN_FLIGHT, Account[name.upper()])
    return Summary(
        digest="",
        faults=0,
        commands=0,
        events={"ras.cper.v1": 5},
        outcomes={"vmm": {"VmExited": 2}},
        ledger=ledger_json(ledger) | {"guests": ledger_json(Ledger())},
        counts={},
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", []),
        ('[expect.topics]\n"ras.cper.v1" = 5\n"ras.outcome.v1" = 0', []),
        ('[expect.topics]\n"ras.cper.v1" = 6', [('topics."ras.cper.v1"', "6", 5)]),
        ("[expect.outcomes.vmm]\nVmExited = 2\n[expect.outcomes.el3]\nOsNotified = 0", []),
        ("[expect.outcomes.vmm]\nVmExited = 1", [("outcomes.vmm.VmExited", "1", 2)]),
        ("[expect.outcomes.el3]\nOsNotified = 1", [("outcomes.el3.OsNotified", "1", 0)]),
        ("[expect.ledger]\ninjected = 7\nreported = 3\nlost_host_reset = 4\nlatent = 0\nlost_fifo_full = 0", []),
        ("[expect.ledger]\nlost_host_reset = 3", [("ledger.lost_host_reset", "3", 4)]),
        ("[expect.ledger]\nlatent = 1", [("ledger.latent", "1", 0)]),
        ("[expect.guests]\ninjected = 7", [("guests.injected", "7", 0)]),
        ("[expect.ledger]\nreported = { at_least = 3, at_most = 3 }", []),
        ("[expect.ledger]\nreported = { at_least = 4 }", [("ledger.reported", "at least 4", 3)]),
        ("[expect.ledger]\nreported = { at_most = 2 }", [("ledger.reported", "0 to 2", 3)]),
    ],
)
def test_every_count_is_compared(text, wrong):
    found = unmet(expecting(text), summary(reported=3, lost_host_reset=4))

    assert [(each.key, each.expected, each.found) for each in found] == wrong


def test_the_stories_hold_every_step_that_there_is():
    told = {type(step) for step in parse(STORIES, "stories").script}

    assert told == set(AnyStep.__args__)


def test_the_stories_come_to_what_they_expect(tmp_path):
    done = rasfleet("run", "stories", "--out", tmp_path / "run", "--json")

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["unmet"] == []


def test_the_stories_expect_every_outcome_and_every_account_that_they_come_to(tmp_path):
    told = json.loads(rasfleet("run", "stories", "--out", tmp_path / "run", "--json").out)
    expect = parse(STORIES, "stories").expect

    assert {level: set(kinds) for level, kinds in told["outcomes"].items()} == {
        level: set(kinds) for level, kinds in expect.outcomes.items()
    }
    assert sum(n for name, n in expect.ledger.items() if name != "injected") == told["ledger"]["injected"]
    assert any(isinstance(count, Range) for kinds in expect.outcomes.values() for count in kinds.values())


def test_a_story_that_ends_otherwise_is_told_and_ends_with_1(tmp_path):
    scenario = tmp_path / "mine.toml"
    scenario.write_text(re.sub(r"(?m)^GuestStopped = 1$", "GuestStopped = 2", STORIES))

    done = rasfleet("run", scenario, "--out", tmp_path / "run", "--json")

    assert done.code == 1
    assert (
        done.err.splitlines(keepends=True)[-1]
        == f"{scenario}: expect.outcomes.vmm.GuestStopped: expected 2, found 1\n"
    )
    assert json.loads(done.out)["unmet"] == [{"key": "outcomes.vmm.GuestStopped", "expected": "2", "found": 1}]


@pytest.mark.parametrize("option", [("--hosts", 14), ("--guests", 3), ("--faults", 12), ("--seed", 2)])
def test_a_run_of_another_size_or_seed_is_held_to_nothing(option, tmp_path):
    scenario = tmp_path / "mine.toml"
    faults = '[[faults]]\nname = "x"\nmix = { memory-ce = 1 }\n'
    scenario.write_text(
        f'name = "x"\nfaults_total = 1\n[[hosts]]\ncount = 13\n{faults}[expect.ledger]\ninjected = 9\n'
    )

    plain = rasfleet("run", scenario, "--out", tmp_path / "plain")
    changed = rasfleet("run", scenario, *option, "--out", tmp_path / "changed")

    assert plain.code == 1
    assert (changed.code, "was not checked" in changed.err) == (0, True)
