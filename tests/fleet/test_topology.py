"""Hosts by name and by place: one is the other's inverse, and switches differ only where an override says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.names import name_pattern
from fleet.topology import Group, Override, Selection, Topology
from nodes.policy import Kernel, Qemu, SwitchChanges, Switches
from nodes.stack.platform import HostShape

SHAPE = HostShape()


def group(pattern, first, size):
    return Group(name_pattern(pattern), first, size, SHAPE, Switches())


def topology(*sizes, overrides=()):
    groups = []
    for index, size in enumerate(sizes):
        groups.append(group(f"g{index}-{{:03d}}", sum(sizes[:index]), size))
    return Topology(groups, overrides)


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


PATTERNS = {
    "*": list(range(15)),
    "g0-*": [0, 1, 2],
    "g?-00[12]": [1, 2, 4, 5],
    "g1-01?": [13, 14],
    "g1-011": [14],
    "g1-012": [],
    "G0-*": [],
}


def test_a_pattern_finds_the_places_of_its_hosts():
    hosts = topology(3, 12)

    found = {shell: list(hosts.matching(Selection(shell))) for shell in PATTERNS}

    assert found == PATTERNS


def test_an_override_changes_what_it_names_where_it_matches():
    overrides = [
        Override(Selection("g0-00[12]"), SwitchChanges(kernel=Kernel.V6_1)),
        Override(Selection("*"), SwitchChanges(ce_threshold=9)),
    ]
    hosts = topology(4, overrides=overrides)
    found = [hosts.platform_at(place).switches for place in range(4)]

    plain, old = Switches(ce_threshold=9), Switches(kernel=Kernel.V6_1, ce_threshold=9)
    assert found == [plain, old, old, plain]


def test_a_later_override_has_the_last_word():
    overrides = [
        Override(Selection("*"), SwitchChanges(qemu=Qemu.V7_2)),
        Override(Selection("g0-*"), SwitchChanges(qemu=Qemu.V10_0)),
    ]
    hosts = topology(1, 1, overrides=overrides)

    assert hosts.platform_at(0).switches.qemu is Qemu.V10_0
    assert hosts.platform_at(1).switches.qemu is Qemu.V7_2


def test_hosts_that_are_alike_share_their_platform():
    hosts = topology(3, 2, overrides=[Override(Selection("g0-001"), SwitchChanges(ce_threshold=9))])

    assert hosts.platform_at(0) is hosts.platform_at(2) is hosts.platform_at(3)
    assert hosts.platform_at(1) is not hosts.platform_at(0)
