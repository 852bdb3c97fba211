"""Hosts by name and by place: one is the other's inverse, and switches differ only where an override says so."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fleet.topology import DIGITS_MAX, Group, NamePattern, Override, Topology, name_pattern, shared_name
from nodes.policy import Kernel, Qemu, SwitchChanges, Switches
from nodes.stack.platform import HostShape

fixed = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=12)
patterns = st.builds(NamePattern, fixed, st.integers(0, DIGITS_MAX), fixed)
SHAPE = HostShape()


def group(pattern, first, size):
    return Group(name_pattern(pattern) if isinstance(pattern, str) else pattern, first, size, SHAPE, Switches())


def topology(*sizes, overrides=()):
    groups = []
    for index, size in enumerate(sizes):
        groups.append(group(f"g{index}-{{:03d}}", sum(sizes[:index]), size))
    return Topology(groups, overrides)


@given(patterns, st.integers(0, 10**9))
def test_a_number_is_in_the_name_that_was_made_of_it(pattern, number):
    assert pattern.number(pattern.name(number)) == number


@given(patterns, st.text(max_size=30) | st.integers(0, 10**22).map(str))
def test_any_name_has_a_number_only_if_it_was_made_of_it(pattern, name):
    number = pattern.number(name)

    assert number == -1 or pattern.name(number) == name


@given(fixed, st.integers(0, DIGITS_MAX), fixed)
def test_a_pattern_says_where_the_number_stands(before, width, after):
    text = f"{before}{{:0{width:02d}d}}{after}" if width else f"{before}{{}}{after}"

    assert name_pattern(text) == NamePattern(before, width, after)


@pytest.mark.parametrize("text", ["", "host", "{", "{}{}", "{:4d}", "{:04x}", "{0}", "{}}", "{:0d}", "{:021d}"])
def test_another_pattern_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        name_pattern(text)


def test_a_name_longer_than_any_number_is_nobodys():
    assert topology(3).home_of("g0-" + "9" * 5000) is None


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_a_hosts_place_follows_from_its_name_and_back(sizes):
    hosts = topology(*sizes)
    names = [hosts.name_of(place) for place in range(hosts.count)]

    assert len(set(names)) == hosts.count == sum(sizes)
    assert [hosts.home_of(name).place for name in names] == list(range(hosts.count))
    assert all(hosts.home_of(name).platform is hosts.platform_at(place) for place, name in enumerate(names))


@pytest.mark.parametrize("name", ["", "g0-003", "g0-3", "g0-0001", "g1-000", "G0-000", "g0-000 ", "g0--01"])
def test_a_name_that_nobody_has_has_no_home(name):
    assert topology(3).home_of(name) is None


def test_a_place_that_nobody_has_is_our_own_fault():
    with pytest.raises(IndexError):
        topology(2, 2).name_of(4)
    with pytest.raises(IndexError):
        topology(2, 2).platform_at(4)


def test_a_pattern_finds_the_places_of_its_hosts():
    hosts = topology(3, 12)

    assert hosts.matching("*") == list(range(15))
    assert hosts.matching("g0-*") == [0, 1, 2]
    assert hosts.matching("g?-00[12]") == [1, 2, 4, 5]
    assert hosts.matching("g1-01?") == [13, 14]
    assert hosts.matching("G0-*") == []


@given(patterns, patterns, st.integers(1, 40), st.integers(1, 40))
def test_a_name_that_two_groups_share_is_found(one, other, size, other_size):
    assume(one != other)
    names = {one.name(number) for number in range(size)} & {other.name(number) for number in range(other_size)}
    found = shared_name([group(one, 0, size), group(other, size, other_size)])

    assert found in names if names else found == ""


def test_an_override_changes_what_it_names_where_it_matches():
    overrides = [
        Override("g0-00[12]", SwitchChanges(kernel=Kernel.V6_1)),
        Override("*", SwitchChanges(ce_threshold=9)),
    ]
    hosts = topology(4, overrides=overrides)
    found = [hosts.platform_at(place).switches for place in range(4)]

    plain, old = Switches(ce_threshold=9), Switches(kernel=Kernel.V6_1, ce_threshold=9)
    assert found == [plain, old, old, plain]


def test_a_later_override_has_the_last_word():
    overrides = [Override("*", SwitchChanges(qemu=Qemu.V7_2)), Override("g0-*", SwitchChanges(qemu=Qemu.V10_0))]
    hosts = topology(1, 1, overrides=overrides)

    assert hosts.platform_at(0).switches.qemu is Qemu.V10_0
    assert hosts.platform_at(1).switches.qemu is Qemu.V7_2


def test_hosts_that_are_alike_share_their_platform():
    hosts = topology(3, 2, overrides=[Override("g0-001", SwitchChanges(ce_threshold=9))])

    assert hosts.platform_at(0) is hosts.platform_at(2) is hosts.platform_at(3)
    assert hosts.platform_at(1) is not hosts.platform_at(0)
