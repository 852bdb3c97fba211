"""Random faults: they say what their table says, and depend on nothing else than the table and the seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.scenario.faults import shares
from fleet.scenario.scenario import parse, topology_of
from fleet.scenario.sources import sources_of
from nodes.events import NO_GUEST
from nodes.hardware.fault import FAULT_INDEX, FAULTS
from nodes.linux.pages import PageKind

MIX = "mix = { memory-ce = 60, cache-uer = 30, tlb-uc = 0, pcie-ue = 10 }".replace("pcie-ue ", "pcie-ueu ")
KERNELS = (PageKind.KERNEL, PageKind.FREE)  # what only a kernel touches
NS_PER_S = 1_000_000_000


def scenario(fields="", *, hosts="count = 10", mix=MIX):
    return parse(f'name = "x"\n[[hosts]]\n{hosts}\n[[faults]]\nname = "some"\n{mix}\n{fields}\n', "here")


def drawn(fields="", *, hosts="count = 10", mix=MIX, seed=1, count=4000):
    """The faults of one table, and the hosts they are for."""
    parsed = scenario(fields, hosts=hosts, mix=mix)
    topology = topology_of(parsed)
    return by_number(parsed.faults[0], topology, seed=seed, count=count), topology


def by_number(table, topology, *, seed=1, count=4000):
    """The faults of a table in the order of their numbers."""
    (source,) = sources_of(table, topology, seed=seed, size=count, duration_s=3600.0)
    return source.columns(np.arange(count))


def rows_of(columns):
    return [tuple(int(value) for value in row) for row in zip(*columns, strict=True)]


def near(count, total, share):
    """Whether a count is what a share of the total gives, within five standard deviations."""
    return abs(count - total * share) <= 5 * (total * share * (1 - share)) ** 0.5


@given(st.integers(0, 10**7), st.lists(st.integers(1, 10**6), min_size=1, max_size=30))
def test_shares_add_up_and_each_is_what_it_is_owed(total, weights):
    tables = [scenario(f"share = {weight}").faults[0] for weight in weights]
    counts = shares(total, tables)

    assert sum(counts) == total
    assert all(
        abs(count - total * weight / sum(weights)) < 1 for count, weight in zip(counts, weights, strict=True)
    )


def test_equal_shares_give_what_is_left_to_the_first():
    tables = [scenario("share = 5").faults[0]] * 3

    assert [shares(total, tables) for total in range(4)] == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_more_faults_begin_with_the_same():
    few, many = drawn(count=100)[0], drawn(count=4000)[0]

    assert rows_of(many)[:100] == rows_of(few)


@pytest.mark.parametrize("changed", [{"seed": 2}, {"mix": MIX.replace("60", "61")}])
def test_a_seed_or_a_table_that_changed_gives_others(changed):
    assert rows_of(drawn()[0]) != rows_of(drawn(**changed)[0])


def test_a_table_of_another_name_draws_its_own():
    parsed = scenario()
    other = parse('name = "x"\n[[hosts]]\ncount = 10\n[[faults]]\nname = "other"\n' + MIX, "here")
    of = [by_number(p.faults[0], topology_of(p), count=500) for p in (parsed, other)]

    assert sum(one == two for one, two in zip(*map(rows_of, of), strict=True)) == 0


def test_the_mix_has_its_proportions():
    faults, _ = drawn(count=20_000)
    counts = np.bincount(faults.fault, minlength=len(FAULTS))

    assert near(counts[FAULT_INDEX["memory-ce"]], 20_000, 0.6)
    assert near(counts[FAULT_INDEX["cache-uer"]], 20_000, 0.3)
    assert near(counts[FAULT_INDEX["pcie-ueu"]], 20_000, 0.1)
    assert counts[FAULT_INDEX["tlb-uc"]] == 0


def test_times_hosts_and_pes_are_spread_evenly():
    faults, topology = drawn(count=20_000)

    for column, cells in (
        (faults.time_ns // (360 * NS_PER_S), 10),
        (faults.place, topology.count),
        (faults.pe, 16),
        (faults.guest[faults.guest != NO_GUEST], 4),
    ):
        counts = np.bincount(column)
        assert len(counts) == cells
        assert all(near(count, column.size, 1 / cells) for count in counts)


@pytest.mark.parametrize(("first", "last"), [(0.0, 3600.0), (600.0, 1800.0), (1.0, 5.3), (3599.999999999, 3600.0)])
def test_times_lie_within_their_span_and_fill_it(first, last):
    faults, _ = drawn(f"from_s = {first}\nto_s = {last}")
    start, end = round(first * NS_PER_S), round(last * NS_PER_S)
    quarters = np.bincount((faults.time_ns - start) * 4 // (end - start), minlength=4)

    assert start <= faults.time_ns.min() <= faults.time_ns.max() < end
    assert end - start == 1 or all(near(count, 4000, 0.25) for count in quarters)


def test_a_pattern_chooses_the_hosts():
    faults, topology = drawn('hosts = "host-000[13]"')

    assert {topology.name_of(place) for place in set(faults.place.tolist())} == {"host-0001", "host-0003"}


@pytest.mark.parametrize(("host", "place"), [(0, 0), (9, 9), (10, 0), (27, 7)])
def test_one_host_is_named_by_its_number_counted_round(host, place):
    assert set(drawn(f"host = {host}")[0].place.tolist()) == {place}


@pytest.mark.parametrize(
    ("fields", "share"),
    [
        ("", 0.8),
        ("met_by = { guest = 1, host = 3 }", 0.25),
        ("met_by = { guest = 5 }", 1),
        ("met_by.host = 1", 0),
    ],
)
def test_who_meets_an_error_is_chosen_by_weight(fields, share):
    faults, _ = drawn(fields)

    assert near(int((faults.guest != NO_GUEST).sum()), 4000, share)


@pytest.mark.parametrize("fields", ["", "met_by = { guest = 1 }", "guest = 2"])
def test_without_guests_the_host_meets_every_error(fields):
    faults, _ = drawn(fields, hosts="guests = 0")

    assert set(faults.guest.tolist()) == {NO_GUEST}
    assert set(faults.el.tolist()) <= {0, 2}


@pytest.mark.parametrize(("guest", "index"), [(0, 0), (3, 3), (6, 2)])
def test_one_guest_is_named_by_its_number_counted_round(guest, index):
    assert set(drawn(f"guest = {guest}")[0].guest.tolist()) == {index, NO_GUEST}


def page_of(faults, topology, row):
    """The kind of the page that a fault is in, for whom it is, and whose page it is."""
    platform = topology.platform_at(int(faults.place[row]))
    address, guest = int(faults.address[row]), int(faults.guest[row])
    if guest == NO_GUEST:
        return platform.host_map.page_of(address).kind, guest, platform.guest_of(address)
    return platform.guest_map.page_of(platform.ipa_of(address)).kind, guest, platform.guest_of(address)


SHAPES = [
    "count = 3",
    "memory_gib = 2\nguests = 1\nguest_memory_gib = 1\nsockets = 8\nchannels = 32",
    "memory_gib = 4096\nguests = 64\nguest_memory_gib = 32\nsockets = 2\nchannels = 16\npes = 256",
    "guests = 3\nmemory_gib = 20\nguest_memory_gib = 6\nchannels = 1\n[[hosts]]\nname = 'b{}'\nguests = 0",
]


@pytest.mark.parametrize("hosts", SHAPES)
@pytest.mark.parametrize("page", [None, *(name for name in ("kernel", "application", "huge", "pinned", "free"))])
def test_an_address_is_in_the_memory_of_who_meets_the_error(hosts, page):
    faults, topology = drawn("" if page is None else f'page = "{page}"', hosts=hosts, count=600)

    assert not (faults.address % 64).any()
    for row in range(600):
        kind, guest, owner = page_of(faults, topology, row)
        assert owner == guest
        assert kind not in (PageKind.OUTSIDE, PageKind.GUEST)
        assert page is None or kind.name.lower() == page
        assert int(faults.el[row]) == (kind in KERNELS) * (2 if guest == NO_GUEST else 1)
        assert 0 <= int(faults.pe[row]) < topology.platform_at(int(faults.place[row])).shape.pes


def test_every_kind_of_page_is_hit():
    faults, topology = drawn()
    kinds = {page_of(faults, topology, row)[0] for row in range(4000)}

    assert kinds == set(PageKind) - {PageKind.OUTSIDE, PageKind.GUEST}


@pytest.mark.parametrize("hosts", SHAPES)
@settings(max_examples=10)
@given(dimm=st.none() | st.integers(0, 600), row=st.none() | st.integers(0, 1 << 16))
def test_a_row_fault_stays_on_its_dimm_and_row(hosts, dimm, row):
    fields = f"dimm = {dimm}\n" * (dimm is not None) + f"row = {row}\n" * (row is not None)
    faults, topology = drawn(fields or "dimm = 0", hosts=hosts, count=40)

    for place, address, guest in zip(faults.place, faults.address, faults.guest, strict=True):
        platform = topology.platform_at(int(place))
        geometry, memory = platform.setup.geometry, platform.host_map
        rows = {geometry.place_of(end).row for end in (memory.start, memory.end - 1)}
        assert memory.start <= address < memory.end
        assert geometry.dimm_of(int(address)) == (dimm or 0) % geometry.dimm_count
        assert row is None or row > max(rows) or geometry.place_of(int(address)).row == row
        assert platform.guest_of(int(address)) == guest


def test_a_row_fault_has_many_columns_of_one_row():
    faults, topology = drawn("dimm = 2\nrow = 4711\nhost = 3")
    geometry = topology.platform_at(3).setup.geometry
    places = {geometry.place_of(int(address)) for address in faults.address}

    assert {place[:6] for place in places} == {(0, 2, 0, 0, 0, 4711)}
    assert len(places) == 128


def test_a_dimm_fault_has_rows_in_everybodys_memory():
    faults, topology = drawn("dimm = 2")
    counts = np.bincount(faults.guest + 1)

    assert len(counts) == 1 + topology.platform_at(0).shape.guests
    assert near(counts[0], 4000, 48 / 64)
    assert all(near(count, 4000, 4 / 64) for count in counts[1:])
