"""Hosts by name and by place: one is the other's inverse, and switches differ only where an override says so."""

from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario.names import name_pattern
from fleet.scenario.scenario import parse, topology_of
from fleet.scenario.topology import EVERYONE, Group, Override, Selection, Topology, Where
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


RACKS = """
name = "x"
[[hosts]]
name = "r{region}-w{row}-k{rack:03d}-h{host:02d}"
regions = 2
rows = 3
racks = 5
count = 4
[[hosts]]
name = "plain-{}"
count = 10
"""
SWITCHES = "switches = { ce_threshold = 9 }"


def fleet(text="", **options):
    return topology_of(parse(RACKS + text, "here"), **options)


def names(hosts, selection):
    return [hosts.name_of(place) for place in hosts.matching(selection)]


@pytest.mark.parametrize(
    ("where", "shell"),
    [
        (Where(region=(1,)), "r1-*"),
        (Where(row=(2,)), "r?-w2-*"),
        (Where(rack=(4, 0)), "r*-k00[04]-*"),
        (Where(region=(0,), row=(1,), rack=(3,)), "r0-w1-k003-*"),
        (Where(rack=(5,)), "nobody"),
    ],
)
def test_a_place_and_a_pattern_of_names_select_the_same_hosts(where, shell):
    hosts = fleet()
    plain = names(hosts, Selection("plain-*")) if 0 in (where.rack or (0,)) and 0 in (where.row or (0,)) else []

    in_racks = names(hosts, Selection("r*", where))
    assert in_racks == names(hosts, Selection(shell))
    assert set(names(hosts, Selection(where=where))) - set(in_racks) <= set(plain)


def test_what_is_selected_fulfils_every_key():
    found = names(fleet(), Selection("*-h0[12]", Where(region=(1,), row=(0,), rack=(2,))))

    assert found == ["r1-w0-k002-h01", "r1-w0-k002-h02"]


def test_a_group_in_racks_is_stretched_by_regions():
    hosts = fleet(hosts=200)
    alone = topology_of(parse(RACKS.partition('[[hosts]]\nname = "plain')[0], "here"), hosts=500)

    assert hosts.groups[1].size == 200 - 2 * 3 * 5 * 4
    assert alone.name_of(499) == "r8-w0-k004-h03"
    assert alone.home_of("r8-w0-k004-h03").place == 499


LABELS = """
[[firmware]]
name = "new"
region = 1
[[firmware]]
name = "canary"
fraction = 0.25
"""


def test_a_host_has_the_first_firmware_that_takes_it():
    hosts = fleet(LABELS)
    new, canary = (set(hosts.matching(Selection(firmware=name))) for name in ("new", "canary"))

    assert new == set(hosts.matching(Selection(where=Where(region=(1,)))))
    assert not new & canary
    assert 5 < len(canary) < 35  # a quarter of 70


def test_another_label_and_another_group_leave_who_bears_a_label():
    behind = '[[firmware]]\nname = "third"\nfraction = 0.5\n[[hosts]]\nname = "more-{}"\ncount = 50\n'
    plain, more = fleet(LABELS), fleet(LABELS + behind)
    canaries = Selection(firmware="canary")

    assert names(plain, canaries) == [name for name in names(more, canaries) if not name.startswith("more")]


def test_another_seed_gives_the_label_to_others():
    canaries = Selection(firmware="canary")

    assert names(fleet(LABELS, seed=2), canaries) != names(fleet(LABELS, seed=3), canaries)


def test_a_batch_has_its_share_of_dimms():
    hosts = fleet('[[dimm_batches]]\nname = "bad"\nfraction = 0.5\n[[dimm_batches]]\nname = "rest"\n')
    bad, rest = (hosts.bearing("dimm_batches", name) for name in ("bad", "rest"))

    assert bad + rest == 130 * 8
    assert 420 < bad < 620


def test_an_override_is_for_whom_its_keys_select():
    hosts = fleet(LABELS + f"[[overrides]]\nfirmware = 'canary'\nrack = [1, 2]\n{SWITCHES}\n")
    changed = [place for place in range(hosts.count) if hosts.platform_at(place).switches.ce_threshold == 9]

    assert changed == list(hosts.matching(Selection(where=Where(rack=(1, 2)), firmware="canary")))


overrides = st.lists(st.sampled_from(["*", "r1-*", "*-h01", "r0-w1-k00[12]-*", "plain-3", "nobody"]), max_size=6)


@given(overrides)
def test_overrides_hold_as_if_each_was_tried_at_each_host(patterns):
    changes = [
        SwitchChanges(**{"ce_threshold" if n % 2 else "panic_on_oops": n + 2 if n % 2 else n % 4 == 0})
        for n in range(len(patterns))
    ]
    hosts = Topology(fleet().groups, [Override(Selection(p), c) for p, c in zip(patterns, changes, strict=True)])

    for place in range(hosts.count):
        expected = Switches()
        for pattern, change in zip(patterns, changes, strict=True):
            expected = change.applied(expected) if fnmatchcase(hosts.name_of(place), pattern) else expected
        assert hosts.platform_at(place).switches == expected


def test_a_thousand_overrides_cost_a_host_no_more_than_one(monkeypatch):
    many = [Override(Selection(f"g0-{n:03d}"), SwitchChanges(ce_threshold=n + 1)) for n in range(1000)]
    hosts = topology(1000, overrides=many)
    hosts.platform_at(0)
    monkeypatch.setattr("fleet.scenario.topology.matching", None)  # no name is looked at any more

    assert [hosts.platform_at(place).switches.ce_threshold for place in (0, 7, 999)] == [1, 8, 1000]


def test_a_million_hosts_are_a_few_numbers_until_they_are_touched():
    hosts = topology_of(parse('name = "x"\n[[hosts]]\nname = "h{:07d}"\ncount = 1000000\n', "here"))
    everyone = hosts.matching(EVERYONE)

    assert (everyone.size, everyone.starts.size) == (1_000_000, 1)
    assert everyone.at(np.asarray([0, 999_999])).tolist() == [0, 999_999]
    assert hosts.home_of("h0999999").place == 999_999
