"""Faults by rate, for each, and by share: as many as they must be, and everyone's draws are their own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.scenario.scenario import load
from nodes.hardware.fault import FAULT_INDEX, FAULTS
from tests.runs import plan_of

DAY = 'name = "x"\nduration_s = 86400.0\n'
HOSTS = '[[hosts]]\nname = "a-{}"\ncount = 300\n'
RATE = '[[faults]]\nname = "rate"\nrate_per_host_h = 0.05\nmix = { memory-ce = 3, bus-ce = 1 }\n'
FIT = '[[faults]]\nname = "fit"\nfit_per_dimm = 5_000_000\nmix = { memory-ce = 3, memory-uer = 1 }\n'
EACH = '[[faults]]\nname = "each"\neach = 2\nmix = { pcie-ce = 1 }\nfrom_s = 60.0\nto_s = 90.0\n'
TABLES = RATE + FIT + EACH


def faults(text, **options):
    """Every random fault: by whose name and table kinds, with everything that was drawn."""
    plan = plan_of(text, **options)
    found = set()
    for rows in plan._windows():
        names = [plan.roster.name_of(place) for place in rows.place.tolist()]
        found |= set(zip(names, *(column.tolist() for column in (rows.time_ns, *rows[2:])), strict=True))
    return found


WHOLE = faults(DAY + HOSTS + TABLES)


def opened_in(parts, source):
    """The rows of a source, read in several steps."""
    opened = source.opened()
    rows = [opened.until(end) for end in (*sorted(parts), source.span.end)]
    return [tuple(map(tuple, zip(*(c.tolist() for c in part), strict=True))) for part in rows]


def sources(text):
    plan = plan_of(text)
    return [source for part in plan.sources.values() for source in part]


@pytest.mark.parametrize("index", range(4))
@settings(max_examples=10)
@given(parts=st.lists(st.integers(0, 86400 * 10**9), max_size=5))
def test_a_source_read_in_any_steps_gives_the_same(index, parts):
    text = DAY + "faults_total = 500\n" + HOSTS + TABLES + '[[faults]]\nname = "s"\nmix = { bus-ce = 1 }\n'
    source = sources(text)[index]
    steps = opened_in(parts, source)

    assert sorted(sum(steps, ())) == sorted(opened_in([], source)[0])
    assert [len(step) for step in steps] == list(
        np.diff([0, *(source.count(end) for end in (*sorted(parts), source.span.end))])
    )


CHANGES = {
    "more hosts": DAY + HOSTS.replace("300", "301") + TABLES,
    "another group behind": DAY + HOSTS + '[[hosts]]\nname = "b-{}"\ncount = 20\n' + TABLES,
    "another group before": DAY + '[[hosts]]\nname = "b-{}"\ncount = 20\n' + HOSTS + TABLES,
    "another table behind": DAY + HOSTS + TABLES + RATE.replace('"rate"', '"other"'),
    "another table before": DAY + HOSTS + FIT.replace('"fit"', '"other"') + TABLES,
    "a step": DAY + HOSTS + TABLES + '[[script]]\ndo = "scrub"\nat_s = 1.0\n',
    "a shared table": DAY
    + "faults_total = 9\n"
    + HOSTS
    + TABLES
    + '[[faults]]\nname = "s"\nmix = { bus-ce = 1 }\n',
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_stands_beside_leaves_every_draw_as_it_was(change):
    assert faults(CHANGES[change]) > WHOLE


def test_more_racks_leave_the_hosts_of_the_others_as_they_were():
    racks = '[[hosts]]\nname = "w{row}-k{rack}-h{host}"\nrows = 3\nracks = 4\ncount = 5\n'
    more = (
        racks.replace("racks = 4", "racks = 6").replace("count = 5", "count = 7").replace("rows = 3", "rows = 4")
    )

    assert faults(DAY + more + TABLES) > faults(DAY + racks + TABLES)


def test_a_longer_day_begins_with_the_shorter_one():
    longer = faults((DAY + HOSTS + RATE + FIT).replace("86400", "172800"))

    assert {fault for fault in longer if fault[1] < 86400 * 10**9} == faults(DAY + HOSTS + RATE + FIT)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("rate_per_host_h = 0.05\nmix = { bus-ce = 1 }", 20_000 * 24 * 0.05),
        ("fit_per_dimm = 100_000\nmix = { memory-ce = 1 }", 20_000 * 24 * 8 * 1e5 * 1e-9),
        ("fit_per_device = 5000\nmix = { memory-ce = 1 }", 20_000 * 24 * 8 * 36 * 5e3 * 1e-9),
        ("fit_per_pe = 100_000\nmix = { cache-ce = 1 }", 20_000 * 24 * 16 * 1e5 * 1e-9),
        ('preset = "alibaba-ddr4"\nfrom_s = 43200.0', 20_000 * 12 * 8 * 36 * 109.43e-9),
    ],
)
def test_there_are_as_many_as_the_rate_says(table, expected):
    (source,) = sources(f'{DAY}[[hosts]]\ncount = 20000\n[[faults]]\nname = "x"\n{table}\n')

    assert source.expected == pytest.approx(expected, rel=1e-9)
    assert abs(source.count(source.span.end) - expected) < 4 * math.sqrt(expected)


def test_faults_at_a_rate_are_a_poisson_process():
    (source,) = sources(DAY + HOSTS.replace("300", "4000") + RATE.replace("0.05", "0.1"))
    rows = source.opened().until(source.span.end)
    mean = 2.4
    counts = np.bincount(np.bincount(rows.place, minlength=4000), minlength=8)[:8]
    expected = [4000 * math.exp(-mean) * mean**k / math.factorial(k) for k in range(8)]
    hours = np.bincount(rows.time_ns // (3600 * 10**9), minlength=24)

    assert sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True)) < 26.1  # 8 degrees: 1 in 1,000
    assert ((hours - rows.place.size / 24) ** 2 / (rows.place.size / 24)).sum() < 49.7  # 23 degrees: 1 in 1,000


def test_each_host_has_its_number_within_the_span():
    (source,) = sources(DAY + HOSTS + EACH)
    rows = source.opened().until(source.span.end)

    assert np.bincount(rows.place).tolist() == [2] * 300
    assert 60 * 10**9 <= rows.time_ns.min() <= rows.time_ns.max() < 90 * 10**9


BATCH = DAY + '[[hosts]]\ncount = 200\n[[dimm_batches]]\nname = "bad"\nfraction = 0.03\n'
OF_BATCH = '[[faults]]\nname = "x"\ndimm_batch = "bad"\nmix = { memory-ce = 1 }\n'


@pytest.mark.parametrize("how_many", ["each = 2\n", "fit_per_dimm = 100_000_000\n", "share = 1\n"])
def test_a_batch_fails_on_its_own_dimms(how_many):
    plan = plan_of("faults_total = 300\n" * ("share" in how_many) + BATCH + OF_BATCH + how_many)
    (source,) = [source for part in plan.sources.values() for source in part]
    rows = source.opened().until(source.span.end)
    (bad,) = plan.roster.units(plan.scenario.faults[0].selection(), dimms=True)
    geometry = plan.roster.platform_at(0).setup.geometry
    hit = {(p * 8 + geometry.dimm_of(a)) for p, a in zip(rows.place.tolist(), rows.address.tolist(), strict=True)}

    assert 20 < bad.members.size < 80
    assert hit <= set(bad.members)
    assert len(hit) > bad.members.size / 2


def test_a_preset_gives_the_kinds_of_its_study():
    (source,) = sources(f'{DAY}[[hosts]]\ncount = 200000\n[[faults]]\nname = "x"\npreset = "jaguar-ddr2"\n')
    rows = source.opened().until(source.span.end)
    corrected = int((rows.fault == FAULT_INDEX["memory-ce"]).sum())

    assert {FAULTS[fault].name.partition("-")[0] for fault in rows.fault.tolist()} == {"memory"}
    assert 0.90 < corrected / rows.place.size < 0.98


@pytest.mark.parametrize("name", ["large", "fleet"])
def test_memory_is_for_those_that_fail_not_for_those_that_could(name):
    for source in [source for part in plan_of(load(name)[0]).sources.values() for source in part][:2]:
        kept = [v for v in vars(source.opened()).values() if isinstance(v, np.ndarray)]
        arrivals = vars(source.opened()).get("_arrivals")
        kept += [v for v in vars(arrivals).values() if isinstance(v, np.ndarray)] if arrivals else []

        assert sum(array.nbytes for array in kept) <= 20 * source.count(source.span.end)


def test_a_table_of_one_host_is_about_its_dimms_alone():
    (source,) = sources(DAY + HOSTS + FIT + "host = 7\n")

    assert list(source.units.members) == list(range(7 * 8, 8 * 8))
