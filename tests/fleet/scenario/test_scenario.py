"""Scenarios: found by file or name, with defaults that stand in one place, and resized from the command line."""

import os

import pytest

from fleet.manifest import Options
from fleet.scenario.plan import Plan
from fleet.scenario.scenario import SCENARIO_SIZE_MAX, bundled, epoch_ns, load, parse, topology_of
from fleet.scenario.scenario_errors import ScenarioError
from nodes.policy import Kernel, Switches

TWO_GROUPS = """
name = "two"
[switches]
kernel = "6.1"
[[hosts]]
name = "small-{}"
count = 3
guests = 2
guest_memory_gib = 8
memory_gib = 32
[[hosts]]
name = "large-{:03d}"
count = 5
guests = 0
sockets = 2
channels = 4
pes = 96
"""


def parsed(text):
    return parse(text, "here")


@pytest.mark.parametrize("name", bundled())
def test_every_bundled_scenario_is_one_and_bears_its_files_name(name):
    text, place = load(name)
    scenario = parse(text, place)

    assert scenario.name == name
    assert place == f"{name}.toml"
    assert Plan(scenario, Options()).commands_written() > 0


def test_the_storm_is_bundled_and_has_the_size_that_is_promised():
    plan = Plan(parsed(load("storm")[0]), Options())

    assert (plan.roster.count, plan.roster.guests, plan.faults) == (200, 800, 20_000)


def test_a_file_is_found_by_its_path(tmp_path):
    path = tmp_path / "mine"
    path.write_text(TWO_GROUPS)

    assert load(str(path)) == (TWO_GROUPS, str(path))


def test_a_name_that_nobody_has_is_told_with_those_that_are():
    with pytest.raises(
        ScenarioError,
        match=r'strom: no such file, and no scenario of that name; there are .*; did you mean "storm"\?',
    ):
        load("strom")


@pytest.mark.parametrize("place", ["/", "/dev/null"])
def test_what_is_there_and_no_file_is_not_said_to_be_missing(place):
    with pytest.raises(ScenarioError, match="no file; expected a scenario in TOML"):
        load(place)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe4'")
    (tmp_path / "folder.toml").mkdir()

    for name in ("latin.toml", "folder.toml", "missing.toml"):
        with pytest.raises(ScenarioError, match=f"{name}: cannot read: "):
            load(str(tmp_path / name))


def test_no_more_of_a_file_is_read_than_shows_that_it_is_too_long(tmp_path):
    path = tmp_path / "endless.toml"
    path.touch()
    os.truncate(path, 1 << 40)  # a sparse file
    text, place = load(str(path))

    assert len(text) == SCENARIO_SIZE_MAX + 1
    with pytest.raises(ScenarioError, match="at most"):
        parse(text, place)


def test_what_is_not_said_has_its_default():
    scenario = parsed('name = "x"\n[[hosts]]\n')
    plan = Plan(scenario, Options())

    assert (scenario.seed, scenario.partitions, scenario.duration_s) == (1, 12, 3600.0)
    assert scenario.start == "2026-01-01T00:00:00Z"
    assert scenario.switches == Switches()
    assert (plan.roster.count, plan.roster.guests, plan.faults) == (1, 4, 0)
    assert plan.roster.name_of(0) == "host-0000"


def test_a_whole_number_may_stand_for_seconds():
    assert parsed('name = "x"\nduration_s = 60\n[[hosts]]\n').duration_s == 60


def test_the_start_is_a_moment_in_real_time():
    assert epoch_ns("1970-01-01T00:00:01Z") == 1_000_000_000
    assert epoch_ns("2026-01-01T00:00:00Z") == 1_767_225_600 * 1_000_000_000


def test_groups_follow_one_another():
    topology = topology_of(parsed(TWO_GROUPS))
    names = [topology.name_of(place) for place in range(topology.count)]

    assert names == ["small-0", "small-1", "small-2", *(f"large-{n:03d}" for n in range(5))]
    assert topology.guests == 6


def test_a_group_has_its_own_shape_and_the_scenarios_switches():
    topology = topology_of(parsed(TWO_GROUPS))
    small, large = topology.platform_at(0), topology.platform_at(3)

    assert (small.shape.guests, small.shape.guest_memory_gib, small.shape.memory_gib) == (2, 8, 32)
    assert (large.shape.sockets, large.shape.channels, large.shape.pes, large.shape.guests) == (2, 4, 96, 0)
    assert small.switches == large.switches == Switches(kernel=Kernel.V6_1)


@pytest.mark.parametrize(("hosts", "sizes"), [(1, [1]), (3, [3]), (4, [3, 1]), (8, [3, 5]), (1000, [3, 997])])
def test_another_number_of_hosts_cuts_or_stretches_the_last_group(hosts, sizes):
    topology = topology_of(parsed(TWO_GROUPS), hosts=hosts)

    assert [group.size for group in topology.groups] == sizes
    assert topology.count == hosts


@pytest.mark.parametrize("guests", [0, 1, 4, 64])
def test_another_number_of_guests_is_for_every_host_and_memory_grows_where_it_must(guests):
    topology = topology_of(parsed(TWO_GROUPS), guests=guests)
    small = topology.platform_at(0)

    assert topology.guests == 8 * guests
    assert small.shape.guests == guests
    assert small.shape.memory_gib == max(32, guests * 8 + 1)


def test_groups_whose_names_only_look_alike_are_apart():
    text = 'name = "x"\n[[hosts]]\nname = "a-{}"\ncount = 9\n[[hosts]]\nname = "a-{}-b"\ncount = 9\n'

    assert topology_of(parsed(text)).count == 18


@pytest.mark.parametrize(
    ("one", "other"), [("a{}", "a1{}"), ("{}", "{:02d}"), ("{}b", "1{}b"), ("a{:02d}", "a{:02d}"), ("a{}", "a{}0")]
)
def test_groups_that_share_a_name_are_refused(one, other):
    text = f'name = "x"\n[[hosts]]\nname = "{one}"\ncount = 30\n[[hosts]]\nname = "{other}"\ncount = 20\n'

    with pytest.raises(ScenarioError, match="is the name of hosts of two groups"):
        topology_of(parsed(text))


def test_options_stand_in_place_of_what_the_scenario_says():
    text = load("storm")[0]
    plan = Plan(parsed(text), Options(hosts=5, guests=1, faults=50, seed=9))

    assert (plan.roster.count, plan.roster.guests, plan.faults, plan.seed) == (5, 5, 50, 9)


def test_the_number_of_faults_follows_the_hosts_unless_it_is_said():
    text = load("storm")[0]

    assert Plan(parsed(text), Options(hosts=7)).faults == 700
    assert Plan(parsed(f"faults_total = 30\n{text}"), Options(hosts=7)).faults == 30
    assert Plan(parsed(f"faults_total = 30\n{text}"), Options(faults=40)).faults == 40
