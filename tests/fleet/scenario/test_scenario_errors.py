"""Whatever is wrong with a scenario is one line: its key, its value, what was expected, what it may have meant."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.manifest import Options
from fleet.scenario.plan import Plan
from fleet.scenario.scenario import parse
from fleet.scenario.scenario_errors import ScenarioError
from fleet.scenario.script import InjectStep, SetPeStep
from fleet.scenario.tables import (
    DimmBatchTable,
    FaultsTable,
    FirmwareTable,
    HostsTable,
    MetByTable,
    OverrideTable,
    Scenario,
)
from nodes.policy import Switches

HOSTS = "[[hosts]]\n"
FAULTS = HOSTS + '[[faults]]\nname = "some"\nmix = { memory-ce = 1 }\n'
STEP = HOSTS + '[[script]]\nat_s = 1.0\ndo = "inject"\nfault = "memory-ce"\n'
FAULT_NAMES = "expected one of memory-ce, memory-de, memory-ueo"
STEPS = "expected one of inject, read, scrub, set-guest"
MIX = HOSTS + "[[faults]]\nname = 'a'\nmix = "
AT = HOSTS + "[[script]]\nat_s = 1.0\ndo = "
OVERRIDE = HOSTS + "[[overrides]]\nhosts = '*'\nswitches = "
RACK = HOSTS + "racks = 2\ncount = 3\n"
RACKS = HOSTS + "regions = 3\nracks = 2\ncount = 3\nname = 'g{region}-r{rack}-{host}'\n"
THERE = FAULTS[len(HOSTS) :]
LABEL = "[[firmware]]\nname = 'a'\n"
BATCH = "dimm_batch = 'x'\n"
BATCHES = "\n[[dimm_batches]]\nname = 'x'\n"


WRONG = {  # what stands behind name = "x" -> what is said of it
    HOSTS + "[host]": 'host: unknown key; did you mean "hosts"?',
    HOSTS + "cuont = 3": 'hosts[0].cuont: unknown key; did you mean "count"?',
    HOSTS + '"a`b - at `$.x`" = 3': 'hosts[0]."a`b - at `$.x`": unknown key',
    HOSTS + '"two\\nlines" = 3': 'hosts[0]."two\\nlines": unknown key',
    HOSTS + f'"{"k" * 99}" = 3': f'hosts[0]."{"k" * 57}...": unknown key',
    "": "hosts: missing, and it has no default",
    "hosts = []": "hosts: expected an array of length >= 1",
    "hosts = 3": "hosts = 3: expected an array, got an integer",
    "[hosts]\ncount = 1": "hosts: expected an array, got a table; written [[hosts]]",
    HOSTS + "count = 0": "hosts[0].count = 0: expected an integer >= 1",
    HOSTS + "count = 1000001": "hosts[0].count = 1000001: expected an integer <= 1000000",
    HOSTS + 'count = "three"': 'hosts[0].count = "three": expected an integer, got a string',
    HOSTS + "count = true": "hosts[0].count = True: expected an integer, got true or false",
    HOSTS + "count = [1]": "hosts[0].count: expected an integer, got an array",
    HOSTS + "count = 2026-01-01": "hosts[0].count = 2026-01-01: expected an integer, got a date",
    HOSTS + "guests = 65": "hosts[0].guests = 65: expected an integer <= 64",
    HOSTS + "guests = 16": "hosts[0].memory_gib = 64: expected more than 16 guests of 4 GiB take",
    HOSTS + "sockets = 3": "hosts[0].sockets = 3: expected a power of two",
    HOSTS + "channels = 6": "hosts[0].channels = 6: expected a power of two",
    HOSTS + 'name = "node"': 'hosts[0].name = "node": expected exactly one {} or {:04d} for the number',
    HOSTS + 'name = "a{}b{}"': 'hosts[0].name = "a{}b{}": expected exactly one {}',
    HOSTS + 'name = "{:021d}"': 'hosts[0].name = "{:021d}": expected at most 20 digits',
    HOSTS + 'name = "{:099999999999d}"': 'hosts[0].name = "{:099999999999d}": expected at most 20 digits',
    HOSTS + f'name = "{"n" * 65}"': f'hosts[0].name = "{"n" * 57}...": expected a string of length <= 64',
    HOSTS + "count = 999999\n[[hosts]]\nname = 'b{}'\ncount = 2": "more than 1000000 hosts in all",
    HOSTS + HOSTS: 'hosts: "host-0000" is the name of hosts of two groups',
    "seed = -1\n" + HOSTS: "seed = -1: expected an integer >= 0",
    "seed = 1.5\n" + HOSTS: "seed = 1.5: expected an integer, got a number",
    f"seed = {1 << 63}\n" + HOSTS: f"seed = {1 << 63}: expected an integer <= {(1 << 63) - 1}",
    "partitions = 0\n" + HOSTS: "partitions = 0: expected an integer >= 1",
    "partitions = 257\n" + HOSTS: "partitions = 257: expected an integer <= 256",
    "duration_s = 0\n" + HOSTS: "duration_s = 0: expected a number > 0",
    "duration_s = nan\n" + HOSTS: "duration_s = nan: expected a number > 0",
    "duration_s = inf\n" + HOSTS: "duration_s = inf: expected a number <= 316224000",
    "faults_total = 20000001\n" + HOSTS: "faults_total = 20000001: expected an integer <= 20000000",
    'start = "today"\n' + HOSTS: 'start = "today": expected a date like 2026-01-01T00:00:00Z',
    'start = "2026-02-30T00:00:00Z"\n' + HOSTS: 'start = "2026-02-30T00:00:00Z": expected a date that exists',
    'start = "1969-12-31T23:59:59Z"\n' + HOSTS: "expected a year from 1970 to 2999",
    'start = "9999-12-31T23:59:59Z"\n' + HOSTS: "expected a year from 1970 to 2999",
    "start = 2026-01-01T00:00:00Z\n" + HOSTS: "start = 2026-01-01 00:00:00+00:00: expected a string",
    HOSTS + '[switches]\nkernl = "6.1"': 'switches.kernl: unknown key; did you mean "kernel"?',
    HOSTS + '[switches]\nkernel = "6.2"': 'switches.kernel = "6.2": expected one of 6.12, 6.1, 6.19; did you mean',
    HOSTS + "[switches]\nkernel = 6.1": 'switches.kernel = 6.1: expected text, one of "6.12", "6.1", "6.19"',
    HOSTS + "[switches]\nce_threshold = 0": "switches.ce_threshold = 0: expected an integer >= 1",
    HOSTS + "[switches]\npanic_on_oops = 1": "switches.panic_on_oops = 1: expected true or false, got an integer",
    HOSTS + '[[overrides]]\nhosts = "*"': "overrides[0].switches: missing, and it has no default",
    OVERRIDE + '{ qemu = "8" }': 'overrides[0].switches.qemu = "8": expected one of 11',
    OVERRIDE + '{ qmu = "8" }': 'switches.qmu: unknown key; did you mean "qemu"?',
    HOSTS + "[[overrides]]\nhosts = 'host-0001'\nswitches = {}": (
        'overrides[0].hosts = "host-0001": expected a pattern that a host matches'
    ),
    HOSTS + "[[overrides]]\nhosts = 3\nswitches = {}": "overrides[0].hosts = 3: expected a string, got an integer",
    HOSTS + "[[faults]]\nname = 'a'": "faults[0].mix: missing, and it has no default",
    MIX + "{}": "faults[0].mix: expected at least one fault with a weight above 0",
    MIX + "[1]": "faults[0].mix: expected a table, got an array",
    FAULTS + "share = 0": "faults[0].share = 0: expected an integer >= 1",
    MIX + "{ memory-cee = 1 }": 'mix.memory-cee: unknown; did you mean "memory-ce"?',
    MIX + "{ 'x\\ny' = 1 }": 'faults[0].mix."x\\ny": unknown; ' + FAULT_NAMES,
    MIX + "{ memory-ce = 1, bus-ce = -1 }\n[[script]]": "mix.bus-ce = -1: expected an integer >= 0",
    MIX + "{ bus-ce = 'x' }": 'mix.bus-ce = "x": expected an integer, got a string',
    FAULTS
    + MIX[len(HOSTS) :].replace("'a'", "'some'")
    + "{ bus-ce = 1 }": 'faults[1].name = "some": expected a name of its own',
    FAULTS + "met_by = { gest = 1 }": 'faults[0].met_by.gest: unknown key; did you mean "guest"?',
    FAULTS + "met_by = { guest = 0 }": "faults[0].met_by: expected a weight above 0",
    FAULTS + "page = 'pined'": 'faults[0].page = "pined": expected one of kernel, page-cache-clean',
    FAULTS + "page = 'huge'\ndimm = 1": "faults[0].page: expected only one of page and dimm",
    FAULTS + "guest = 1\nrow = 1": "faults[0].guest: expected only one of guest and row",
    FAULTS + "hosts = 'a*'\nhost = 1": "faults[0].hosts: expected only one of hosts and host",
    FAULTS + "hosts = 'rack-*'": 'faults[0].hosts = "rack-*": expected a pattern that a host matches',
    FAULTS + "to_s = 3601.0": "faults[0]: from_s = 0.0, to_s = 3601.0: expected a span within 3600.0 s",
    FAULTS + "from_s = 5.0\nto_s = 5.0": "faults[0]: from_s = 5.0, to_s = 5.0: expected a span",
    FAULTS + "from_s = 1.0\nto_s = 1.0000000000002": "from_s = 1.0, to_s = 1.0000000000002: expected a span",
    FAULTS + "from_s = nan": "faults[0].from_s = nan: expected a number >= 0",
    HOSTS + "[[script]]\nat_s = 1.0": "script[0].do: missing, and it has no default",
    HOSTS + "[[script]]\nat_s = 1.0\ndo = 'injct'": f'script[0].do = "injct": {STEPS}',
    AT + "3": 'script[0].do = 3: expected text, one of "inject", "read"',
    HOSTS + "[[script]]\ndo = 'inject'\nfault = 'bus-uc'": "script[0].at_s: missing, and it has no default",
    AT + "'inject'": "script[0].fault: missing, and it has no default",
    STEP + "gest = 1": 'script[0].gest: unknown key; did you mean "guest"?',
    STEP + "el = 3": "script[0].el = 3: expected an integer <= 2",
    STEP + "address = '0x10'": 'script[0].address = "0x10": expected an integer, got a string',
    STEP + "[[script]]\nat_s = 1.0\ndo = 'inject'\nfault = 'memory-c'": f'fault = "memory-c": {FAULT_NAMES}',
    HOSTS + "[[script]]\nat_s = 3600.5\ndo = 'reset-host'": "at_s = 3600.5: expected at most duration_s = 3600.0",
    HOSTS + "[[script]]\nat_s = nan\ndo = 'reset-host'": "script[0].at_s = nan: expected a number >= 0",
    AT + "'change-policy'\nswitches = { tfa = 'x' }": 'script[0].switches.tfa = "x": expected one of',
    AT + "'injct' # did you mean": 'did you mean "inject"?',
    RACK
    + "name = 'r{rack}-{}'": 'hosts[0].name = "r{rack}-{}": expected exactly one {} or {:04d} for the number, or',
    RACK + "name = 'r{rak}'": 'hosts[0].name = "r{rak}": expected places for {region}, {row}, {rack}, {host}, not',
    RACK + "name = 'h{host}-r{rack}'": "expected {region}, {row}, {rack}, {host} in this order, each once at most",
    RACK + "name = 'r{rack}{host}'": "expected text between two numbers that neither begins nor ends with a digit",
    RACK + "name = 'r{rack}'": 'hosts[0].name = "r{rack}": expected a place for the host, such as {host}',
    RACK + "regions = 5000": "hosts[0].regions = 5000: expected an integer <= 4096",
    RACK + "name = 'r{rack}-{host}'\nrows = 2": "expected a place for the row, such as {row}",
    HOSTS + "name = 'w{row}-r{rack}-{host}'\nrows = 4096\nracks = 1000": "more than 1000000 hosts in all",
    FAULTS + "rack = 40": "faults[0].rack = 40: expected 0, the only rack",
    RACKS + THERE + "rack = [1, 2]": "faults[0].rack[1] = 2: expected a rack from 0 to 1",
    RACKS + THERE + "region = [0, 3, 9]": "faults[0].region[1] = 3: expected a region from 0 to 2",
    RACKS + THERE + "rack_row = [0, 1]": "faults[0].rack_row[1] = 1: expected 0, the only row of racks",
    RACKS + THERE + "hosts = 'g0-*'\nregion = [0, 1]": "faults[0].region[1] = 1: expected 0, the only region",
    RACKS + THERE + "hosts = 'g[0]-*0'\nrack = 1\nregion = [0, 0]\n[[overrides]]\nrack = [0, 7]\nswitches = {}": (
        "overrides[0].rack[1] = 7: expected a rack from 0 to 1"
    ),
    RACKS + LABEL + "rack = [0, 7]": "firmware[0].rack[1] = 7: expected a rack from 0 to 1",
    RACKS + "[[dimm_batches]]\nname = 'x'\nrack = 7": "dimm_batches[0].rack = 7: expected a rack from 0 to 1",
    RACKS
    + LABEL
    + "hosts = 'rack-*'": 'firmware[0].hosts = "rack-*": expected a pattern that a host matches; the hosts',
    RACKS + STEP[len(HOSTS) :] + "rack = [0, 1, 2]": "script[0].rack[2] = 2: expected a rack from 0 to 1",
    HOSTS
    + "racks = 3\nname = 'a{rack}-{host}'\n"
    + HOSTS
    + "regions = 2\nname = 'b{region}-{host}'\n"
    + THERE
    + "region = 1\nrack = [0, 2]": "rack[1] = 2: expected a rack from 0 to 2, in which the other keys hold",
    FAULTS + "rack = 'a'": 'faults[0].rack = "a": expected an integer or an array, got a string',
    FAULTS + "rack = -1": "faults[0].rack = -1: expected an integer >= 0",
    FAULTS + "rack = []": "faults[0].rack: expected an array of length >= 1",
    FAULTS + "rack = [0, 'a']": 'faults[0].rack[1] = "a": expected an integer, got a string',
    FAULTS + "rack_row = 0\nhost = 1": "faults[0].rack_row: expected only one of rack_row and host",
    FAULTS + "share = 1\neach = 1": "faults[0].each: expected only one of share and each, which both say how many",
    FAULTS + "rate_per_host_h = 0.0": "faults[0].rate_per_host_h = 0.0: expected a number >= 1e-12",
    FAULTS + "fit_per_dimm = nan": "faults[0].fit_per_dimm = nan: expected a number >= 1e-06",
    FAULTS + "fit_per_dim = 1": 'faults[0].fit_per_dim: unknown key; did you mean "fit_per_dimm"?',
    FAULTS + "fit_per_pe = 9": "faults[0].mix.memory-ce: expected faults of cache and tlb only, beside fit_per_pe",
    FAULTS + "fit_per_dimm = 9\npage = 'huge'": "faults[0].page: expected only one of page and fit_per_dimm",
    FAULTS + "fit_per_dimm = 9\ndimm = 1": "faults[0].dimm: expected only one of dimm and fit_per_dimm",
    FAULTS
    + "preset = 'jaguar-ddr2'": "faults[0].mix: expected only one of preset and mix, which both say which faults",
    FAULTS
    + "preset = 'jaguar'": 'faults[0].preset = "jaguar": expected one of jaguar-ddr2, alibaba-ddr4; did you mean',
    FAULTS + "firmware = 'new'": 'faults[0].firmware = "new": expected a name of [[firmware]], and there is none',
    FAULTS + "firmware = 'nwe'\n[[firmware]]\nname = 'new'": 'expected one of new; did you mean "new"?',
    FAULTS
    + "dimm_batch = 'x'": 'faults[0].dimm_batch = "x": expected a name of [[dimm_batches]], and there is none',
    FAULTS
    + BATCH
    + "rate_per_host_h = 1"
    + BATCHES: "dimm_batch: expected only one of dimm_batch and rate_per_host_h",
    FAULTS + BATCH + "host = 0" + BATCHES: "faults[0].dimm_batch: expected only one of dimm_batch and host",
    MIX
    + "{ bus-ce = 1 }\n"
    + BATCH
    + BATCHES: "faults[0].mix.bus-ce: expected faults of memory only, beside dimm_batch",
    HOSTS + LABEL + "fraction = 1.5": "firmware[0].fraction = 1.5: expected a number <= 1.0",
    HOSTS + LABEL + LABEL: 'firmware[1].name = "a": expected a name of its own',
    HOSTS + LABEL + "firmware = 'a'": "firmware[0].firmware: expected no selection by firmware here",
    HOSTS
    + "[[overrides]]\nfirmware = 'b'\nswitches = {}\n"
    + LABEL: 'overrides[0].firmware = "b": expected one of a',
    STEP + "hosts = 'rack-*'": 'script[0].hosts = "rack-*": expected a pattern that a host matches',
    STEP + "rack = 0\nhost = 1": "script[0].rack: expected only one of rack and host",
    STEP + "rack = 3\nregion = 0": "script[0].rack = 3: expected 0, the only rack",
    STEP + "firmware = 'b'": 'script[0].firmware = "b": expected a name of [[firmware]], and there is none',
    "faults_total = 5\n" + HOSTS: "5 faults in all, but there is no [[faults]] table to draw them from",
    "faults_total = 0\n" + STEP: "faults_total = 0: expected at least 1, which the script alone injects",
}


RIGHT = [
    RACKS + THERE + "region = 1\nrack = [1, 0]",
    RACKS + THERE + "rack = [0, 1]\nregion = [2, 0, 1]\nrack_row = [0]",
    RACKS + LABEL + "rack = [0, 1]\nfraction = 1e-9\n" + THERE,  # by chance nobody bears it
]


def refused(text):
    with pytest.raises(ScenarioError) as fault:
        Plan(parse(text, "file.toml"), Options())
    return str(fault.value)


@pytest.mark.parametrize("text", RIGHT)
def test_a_selection_that_is_for_some_host_in_each_of_its_places_is_taken(text):
    assert Plan(parse('name = "x"\n' + text, "file.toml"), Options()).roster.count == 18


def test_of_another_size_a_scenario_may_name_racks_that_are_not_there():
    text = 'name = "x"\n' + RACKS + THERE + "rack = [0, 1]"

    assert Plan(parse(text, "file.toml"), Options(hosts=3)).roster.count == 3


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=WRONG.values())
def test_what_is_wrong_is_said_on_one_line(text, said):
    line = refused('name = "x"\n' + text)

    assert said in line
    assert line.isprintable()


@pytest.mark.parametrize("name", ["", "Storm", "a b", "-a", "a\\n", "ä", "a" * 64])
def test_a_name_is_one_that_a_folder_and_a_topic_can_have(name):
    assert refused(f'name = "{name}"\n[[hosts]]').startswith("file.toml: name = ")


BROKEN = {
    "name": "no TOML",
    "a = [" * 2: "no TOML",
    "a = " + "[" * 100_000: "no TOML: maximum recursion depth",
    "a = " + "9" * 5000: "no TOML: Exceeds the limit",
    'a = 1\n"a" = 2': "no TOML: Cannot overwrite",
    "a = 2026-13-01": "no TOML",
    "a = '\x00'": "no TOML",
    "#" * 4_194_305: "4194305 bytes, at most 4194304",
    "#" + "ä" * 2_097_152: "4194305 bytes, at most 4194304",
}


@pytest.mark.parametrize(("text", "said"), BROKEN.items(), ids=[text[:12] for text in BROKEN])
def test_what_is_no_toml_is_said(text, said):
    assert refused(text).startswith(f"file.toml: {said}")


TABLES = (
    Scenario,
    HostsTable,
    FirmwareTable,
    DimmBatchTable,
    OverrideTable,
    FaultsTable,
    MetByTable,
    Switches,
    InjectStep,
    SetPeStep,
)
KEYS = sorted({field.name for kind in TABLES for field in msgspec.structs.fields(kind)} | {"do", "memory-ce"})
words = st.sampled_from(["inject", "reset-host", "change-policy", "memory-ce", "6.1", "host-{}", "*", "x"])
values = st.recursive(
    st.integers(-3, 99) | st.booleans() | st.floats(width=16) | words | st.just(1 << 80) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
junk = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), values, max_size=6)


def as_toml(value):
    """A value as TOML has it, tables inline."""
    match value:
        case dict():
            return "{" + ", ".join(f"{_key(key)} = {as_toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(as_toml(inner) for inner in value) + "]"
        case bool():
            return "true" if value else "false"
        case str():
            return _key(value)
        case _:
            return str(value)


def _key(text):
    return '"' + "".join(f"\\U{ord(letter):08x}" for letter in text) + '"'


@given(junk, st.sampled_from(["", 'name = "x"\n', 'name = "x"\nhosts = [{}]\n']))
@example({"switches": {"kernel": [1]}}, 'name = "x"\nhosts = [{}]\n')
def test_any_toml_is_a_scenario_or_refused_on_one_line(tables, first):
    text = first + "".join(f"{_key(key)} = {as_toml(value)}\n" for key, value in tables.items())
    try:
        plan = Plan(parse(text, "file.toml"), Options(faults=0))
    except ScenarioError as fault:
        assert str(fault).isprintable()  # noqa: PT017 (both ways out are checked)
    else:
        assert plan.roster.count


@given(st.text(max_size=200))
def test_any_text_is_a_scenario_or_refused(text):
    try:
        parse(text, "file.toml")
    except ScenarioError as fault:
        assert str(fault).startswith("file.toml: ")  # noqa: PT017 (both ways out are checked)


def test_an_override_may_be_for_a_host_that_a_smaller_run_has_not():
    text = 'name = "x"\n[[hosts]]\ncount = 9\n[[overrides]]\nhosts = "host-0008"\nswitches = {}'

    assert Plan(parse(text, "file.toml"), Options(hosts=2)).roster.count == 2
