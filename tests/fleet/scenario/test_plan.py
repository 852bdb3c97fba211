"""The plan of a scenario: its commands in the order of time, the same however they are cut."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.partition import partition_of
from fleet.scenario.plan import CLOCK_NS, CLOCKS_MAX, SETTLE_NS
from fleet.scenario.scenario_errors import ScenarioError
from nodes.events import ClockAdvanced
from nodes.events import commands as c
from tests.runs import STORM, plan_of

SECOND = 1_000_000_000
SMALL = {"hosts": 6, "faults": 300}
SCRIPT = """
name = "script"
duration_s = 90.0
partitions = 3
[[hosts]]
count = 4
[[script]]
do = "reset-host"
at_s = 90.0
host = 9
[[script]]
do = "read"
at_s = 60.0
host = 2
[[script]]
do = "inject"
at_s = 60.0
fault = "bus-uc"
host = 0
[[script]]
do = "reset-host"
at_s = 60.0
host = 0
[[script]]
do = "read"
at_s = 0.5
"""


def merged(plan, size=4096):
    """All commands by partition, whatever they were cut into."""
    partitions = defaultdict(list)
    for batch in plan.batches(size):
        for partition, commands in batch.items():
            partitions[partition] += commands
    return dict(partitions)


def in_order(partitions):
    """What is done to hosts, as it was numbered."""
    commands = [command for part in partitions.values() for command in part]
    return sorted((x for x in commands if not isinstance(x, ClockAdvanced)), key=lambda command: command.sequence)


WHOLE = merged(plan_of(STORM, **SMALL))


@settings(max_examples=20)
@given(st.integers(1, 700))
def test_batches_of_any_size_give_the_same_commands(size):
    assert merged(plan_of(STORM, **SMALL), size) == WHOLE


@pytest.mark.parametrize("size", [1, 10, 100])
def test_a_batch_is_about_as_large_as_it_was_asked_for(size):
    *batches, _ = plan_of(STORM, **SMALL).batches(size)
    counts = [sum(not isinstance(x, ClockAdvanced) for part in batch.values() for x in part) for batch in batches]

    assert all(size <= count < 2 * size for count in counts)


@pytest.mark.parametrize(
    "options", [{}, {"faults": 45}, SMALL, {"hosts": 1}, {"guests": 0}, {"hosts": 3000}, {"until_s": 1000.0}]
)
def test_what_will_be_written_is_known_before(options):
    plan = plan_of(STORM, **{"faults": 500} | options)

    assert plan.commands_written() == sum(map(len, merged(plan).values()))


def test_a_script_alone_is_counted_as_well():
    plan = plan_of(SCRIPT)

    assert plan.faults == 1
    assert plan.commands_written() == sum(map(len, merged(plan).values())) == 5 + 3 * 4


def test_numbers_count_from_1_and_times_do_not_go_back():
    commands = in_order(WHOLE)

    assert [command.sequence for command in commands] == list(range(1, len(commands) + 1))
    assert all(one.time_ns <= other.time_ns for one, other in pairwise(commands))
    assert {command.origin for command in commands} == {0}


def test_a_partition_has_its_hosts_and_its_positions_without_a_gap():
    for partition, commands in WHOLE.items():
        assert [command.n for command in commands] == list(range(len(commands)))
        assert all(one.time_ns <= other.time_ns for one, other in pairwise(commands))
        assert all(partition_of(command.host, 12) == partition for command in commands if command.host)


def test_the_clock_advances_each_minute_and_at_the_end_in_every_partition():
    plan = plan_of(STORM, **SMALL)

    for commands in WHOLE.values():
        marks = [command.time_ns for command in commands if isinstance(command, ClockAdvanced)]
        assert marks == list(range(CLOCK_NS, plan.end_ns + 1, CLOCK_NS))
        assert isinstance(commands[-1], ClockAdvanced)
    assert plan.end_ns == 3600 * SECOND + SETTLE_NS


def test_nothing_that_comes_behind_the_clock_is_earlier():
    for commands in WHOLE.values():
        clock_ns = 0
        for command in commands:
            assert command.time_ns >= clock_ns
            clock_ns = max(clock_ns, command.time_ns if isinstance(command, ClockAdvanced) else 0)


def test_steps_come_by_time_then_host_then_as_they_stand():
    commands = in_order(merged(plan_of(SCRIPT)))

    assert [(type(command), command.host, command.time_ns / SECOND) for command in commands] == [
        (c.ReadMemory, "host-0000", 0.5),
        (c.InjectFault, "host-0000", 60),
        (c.ResetHost, "host-0000", 60),
        (c.ReadMemory, "host-0002", 60),
        (c.ResetHost, "host-0001", 90),
    ]


def test_a_clock_that_does_not_end_on_a_minute_ends_where_the_plan_does():
    plan = plan_of(SCRIPT)
    (clock, *_) = ([x.time_ns for x in part if isinstance(x, ClockAdvanced)] for part in merged(plan).values())

    assert clock == [60 * SECOND, 120 * SECOND, 180 * SECOND, 210 * SECOND]


def test_what_happens_on_the_minute_comes_behind_the_clock():
    for commands in merged(plan_of(SCRIPT)).values():
        kinds = [isinstance(x, ClockAdvanced) for x in commands if x.time_ns == 60 * SECOND]
        assert kinds == [True] + [False] * (len(kinds) - 1)


def faults_of(text, **options):
    """Random faults without their place in the sequence."""
    commands = in_order(merged(plan_of(text, **options)))
    return [(x.time_ns, x.host, x.fault, x.address, x.guest, x.el, x.pe) for x in commands]


PLAIN = 'name = "x"\n[[hosts]]\ncount = 5\n'
STEP = '[[script]]\ndo = "inject"\nat_s = 0.0\nfault = "bus-uc"\n'


def table(name, share):
    return f'[[faults]]\nname = "{name}"\nshare = {share}\nmix = {{ memory-ce = 3, bus-ueu = 1 }}\n'


def test_a_table_draws_the_same_whatever_stands_beside_it():
    alone = faults_of(PLAIN + table("one", 1), faults=100)
    beside = faults_of(PLAIN + table("other", 3) + table("one", 1), faults=400)
    scripted = faults_of(PLAIN + table("one", 1) + STEP, faults=101)

    assert set(alone) < set(beside)
    assert alone == scripted[1:]


def test_scripted_faults_are_part_of_all_faults():
    commands = in_order(merged(plan_of(STORM, hosts=6, faults=50)))

    assert sum(isinstance(command, c.InjectFault) for command in commands) == 50


@pytest.mark.parametrize("faults", range(5))
def test_fewer_faults_than_the_script_injects_are_its_first_ones_by_time(faults):
    scripted = injections(plan_of(STORM, faults=4))
    fewer = plan_of(STORM, faults=faults)

    assert injections(fewer) == scripted[:faults]
    assert fewer.faults == faults
    assert sum(map(len, merged(fewer).values())) == fewer.commands_written()


def test_a_step_for_many_hosts_is_kept_for_its_first_ones():
    text = PLAIN + STEP.replace("0.0", "2.0") + STEP.replace("0.0", "1.0") + 'hosts = "host-*"\n'
    kept = injections(plan_of(text, faults=2))

    assert [host for _, host, *_ in kept] == ["host-0000", "host-0001"]
    assert {time_ns for time_ns, *_ in kept} == {SECOND}


def test_other_steps_stay_however_few_faults_are_asked_for():
    kinds = [type(command) for command in in_order(merged(plan_of(STORM, faults=0)))]
    whole = [type(command) for command in in_order(WHOLE)]

    assert kinds == [kind for kind in whole if kind is not c.InjectFault]
    assert kinds


def test_a_scenario_that_is_small_by_default_runs_its_whole_script():
    plan = plan_of(PLAIN.replace("5", "1") + table("one", 1) + STEP * 101)

    assert (plan.faults, plan.random) == (101, 0)


def injections(plan):
    commands = in_order(merged(plan))
    return [(x.time_ns, x.host, x.fault, x.address) for x in commands if isinstance(x, c.InjectFault)]


def test_another_seed_is_another_plan_and_the_same_script():
    first, other = in_order(WHOLE), in_order(merged(plan_of(STORM, **SMALL, seed=2)))

    assert places_of(other, c.InjectFault) != places_of(first, c.InjectFault)
    assert places_of(other, c.ReadMemory) == places_of(first, c.ReadMemory)


def places_of(commands, kind):
    return [(command.host, command.address) for command in commands if isinstance(command, kind)]


UNTIL = {"until_s": 1000.0}


@pytest.mark.parametrize("until_s", [0.0, 0.5, 60.0, 1000.0, 1800.25, 3600.0])
def test_a_plan_that_ends_early_is_the_beginning_of_the_whole(until_s):
    last_ns = round(until_s * SECOND)
    part = merged(plan_of(STORM, **SMALL, until_s=until_s))

    for partition, commands in part.items():
        done = [x for x in commands if x.time_ns <= last_ns]
        assert done == [x for x in WHOLE[partition] if x.time_ns <= last_ns]
        assert all(isinstance(x, ClockAdvanced) for x in commands[len(done) :])
        assert commands[-1].time_ns == last_ns + SETTLE_NS


def test_faults_of_a_plan_that_ends_early_are_those_that_happen():
    plan = plan_of(STORM, **SMALL, **UNTIL)

    assert plan.faults == sum(isinstance(x, c.InjectFault) for x in in_order(merged(plan))) < 300


@pytest.mark.parametrize("until_s", [-1.0, 3600.1, 1e30])
def test_an_end_outside_the_scenario_is_refused(until_s):
    with pytest.raises(ScenarioError, match=r"expected a time from 0 to duration_s = 3600\.0"):
        plan_of(STORM, until_s=until_s)


GROUP = PLAIN + '[[script]]\ndo = "reset-host"\nat_s = 1.0\nhosts = "host-000[13]"\n'


def test_a_step_is_done_to_every_host_that_it_selects():
    plan = plan_of(GROUP + STEP)

    assert [(x.host, x.time_ns) for x in in_order(merged(plan))] == [
        ("host-0000", 0), ("host-0001", SECOND), ("host-0003", SECOND),
    ]  # fmt: skip
    assert (plan.faults, plan.commands_written()) == (1, 3 + 12 * len(list(plan._marks())))


def test_faults_by_rate_come_on_top_of_the_total():
    rate = '[[faults]]\nname = "r"\nrate_per_host_h = 100\nmix = { bus-ce = 1 }\n'
    plan = plan_of(PLAIN + table("one", 1) + rate, faults=30)

    assert plan.faults_by_table["one"] == 30
    assert plan.faults == 30 + plan.faults_by_table["r"]
    assert 400 < plan.faults_by_table["r"] < 600


def test_more_faults_than_a_run_may_have_are_refused():
    rate = '[[faults]]\nname = "r"\nrate_per_host_h = 1_000_000\nmix = { bus-ce = 1 }\nhosts = "*"\n'
    with pytest.raises(
        ScenarioError, match="50,000,000 random faults are to be expected: expected at most 20000000"
    ):
        plan_of(PLAIN.replace("count = 5", "count = 50") + rate)


def test_a_long_time_in_which_nothing_happens_is_cut_too():
    batches = plan_of("duration_s = 600000.0\n" + PLAIN + STEP).batches()

    assert max(sum(map(len, batch.values())) for batch in batches) <= CLOCKS_MAX * 12 + 1


def test_names_that_are_forgotten_are_made_again(monkeypatch):
    monkeypatch.setattr("fleet.scenario.plan.NAMES_MAX", 3)

    assert merged(plan_of(STORM, **SMALL), 2) == WHOLE


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_windows_of_any_size_give_the_same_commands(rows, monkeypatch):
    monkeypatch.setattr("fleet.scenario.plan.WINDOW_ROWS", rows)

    assert merged(plan_of(STORM, **SMALL)) == WHOLE
