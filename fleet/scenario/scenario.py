"""Scenarios: what hosts there are and what happens to them, as TOML.

Unknown keys are refused, and every error names the key, its value and what was expected.
"""

import re
import tomllib
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from fleet.scenario.names import name_pattern, shared_name
from fleet.scenario.scenario_checks import check_faults, check_labels, check_selecting
from fleet.scenario.scenario_errors import ScenarioError, did_you_mean, explained, shown
from fleet.scenario.tables import HOSTS_MAX, DimmBatchTable, FirmwareTable, HostsTable, Scenario
from fleet.scenario.topology import REGIONS_MAX, Group, Label, Labels, Layers, Override, Topology
from nodes.stack.machine import NS_PER_S
from nodes.stack.platform import HostShape

SCENARIO_SIZE_MAX: Final = 4 * 1024 * 1024  # bytes of TOML; a longer file is refused
FAULTS_PER_HOST: Final = 100  # in all, unless the scenario or the command line says
DEFAULT_SCENARIO: Final = "storm"
START_YEARS: Final = range(1970, 3000)  # a log counts from 1970; CPER's clock ends with the year 9999
_START: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")


def parse(text: str, place: str) -> Scenario:
    """The scenario in ``text``; ``place`` is the file's name in errors. Raises ScenarioError."""
    size = len(text.encode(errors="surrogatepass"))
    if size > SCENARIO_SIZE_MAX:
        raise ScenarioError(f"{place}: {size} bytes, at most {SCENARIO_SIZE_MAX}")
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # a number of 5,000 digits, 1,000 brackets
        raise ScenarioError(f"{place}: no TOML: {fault}") from None
    try:
        scenario = msgspec.convert(tables, Scenario)
    except msgspec.ValidationError as fault:
        raise ScenarioError(f"{place}: {explained(str(fault), tables, Scenario)}") from None
    _check(scenario, place)
    return scenario


def epoch_ns(start: str) -> int:
    """A scenario's start, ns since 1970; ValueError says what was expected."""
    if not _START.fullmatch(start):
        raise ValueError("expected a date like 2026-01-01T00:00:00Z")
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        raise ValueError("expected a date that exists") from None
    if moment.year not in START_YEARS:
        raise ValueError(f"expected a year from {START_YEARS[0]} to {START_YEARS[-1]}")
    return int(moment.timestamp()) * NS_PER_S


def _check(scenario: Scenario, place: str) -> None:
    """What no single key tells."""
    if not _NAME.fullmatch(scenario.name):
        raise ScenarioError(f"{place}: name{shown(scenario.name)}: expected small letters, digits and hyphens")
    try:
        epoch_ns(scenario.start)
    except ValueError as fault:
        raise ScenarioError(f"{place}: start{shown(scenario.start)}: {fault}") from None
    for index, table in enumerate(scenario.hosts):
        _check_hosts(table, f"{place}: hosts[{index}]")
    if sum(table.size for table in scenario.hosts) > HOSTS_MAX:
        raise ScenarioError(f"{place}: more than {HOSTS_MAX} hosts in all")
    check_labels(scenario, place)
    for index, faults in enumerate(scenario.faults):
        check_faults(faults, f"{place}: faults[{index}]", scenario.duration_s)
        if any(faults.name == other.name for other in scenario.faults[:index]):
            raise ScenarioError(f"{place}: faults[{index}].name{shown(faults.name)}: expected a name of its own")
    for index, step in enumerate(scenario.script):
        check_selecting(step, f"{place}: script[{index}]")
        if step.at_s > scenario.duration_s:
            raise ScenarioError(
                f"{place}: script[{index}].at_s = {step.at_s}: expected at most duration_s = {scenario.duration_s}"
            )


def _check_hosts(table: HostsTable, where: str) -> None:
    try:
        name_pattern(table.name).counting((table.regions, table.rows, table.racks, table.count))
    except ValueError as fault:
        raise ScenarioError(f"{where}.name{shown(table.name)}: {fault}") from None
    if table.guests * table.guest_memory_gib >= table.memory_gib:
        raise ScenarioError(
            f"{where}.memory_gib = {table.memory_gib}: expected more than "
            f"{table.guests} guests of {table.guest_memory_gib} GiB take; the host needs at least 1 GiB of its own"
        )
    for key in ("sockets", "channels"):
        if getattr(table, key) & getattr(table, key) - 1:
            raise ScenarioError(f"{where}.{key} = {getattr(table, key)}: expected a power of two")


def load(name: str) -> tuple[str, str]:
    """The text of a scenario and its place: a file, or one of those that come with the program, by name."""
    path = Path(name)
    known = bundled()
    try:
        if path.suffix == ".toml" or path.is_file():
            return _text_of(path), name
        if name in known:
            return _text_of(known[name]), f"{name}.toml"
        if path.exists():
            raise ScenarioError(f"{name}: no file; expected a scenario in TOML, or one of {', '.join(known)}")
    except (OSError, UnicodeDecodeError) as fault:
        raise ScenarioError(f"{name}: cannot read: {getattr(fault, 'strerror', None) or fault}") from None
    near = did_you_mean(name, list(known))
    raise ScenarioError(f"{name}: no such file, and no scenario of that name; there are {', '.join(known)}{near}")


def _text_of(path: Path) -> str:
    """A file's text; of one that is too long no more than shows that it is."""
    with path.open("rb") as file:
        return file.read(SCENARIO_SIZE_MAX + 1).decode()


def bundled() -> dict[str, Path]:
    """The scenarios that come with the program, by name."""
    installed = Path(str(files("fleet"))) / "scenarios"
    folder = installed if installed.is_dir() else Path(str(files("fleet"))).parent / "deploy" / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def topology_of(
    scenario: Scenario, *, hosts: int | None = None, guests: int | None = None, seed: int | None = None
) -> Topology:
    """The hosts of a scenario. ``hosts``: that many in all, the last group taking what is left.

    ``seed``: what labels are drawn from, the scenario's unless it is said.
    """
    groups: list[Group] = []
    for table, size in _sized(scenario.hosts, hosts):
        groups.append(_group(table, size, sum(group.size for group in groups), guests, scenario))
    twice = shared_name([(group.pattern, group.size) for group in groups])
    if twice:
        raise ScenarioError(f'hosts: "{twice}" is the name of hosts of two groups; expected names of their own')
    return Topology(
        groups,
        [Override(override.selection(), override.switches) for override in scenario.overrides],
        Labels(_labels(scenario.firmware), _labels(scenario.dimm_batches)),
        scenario.seed if seed is None else seed,
    )


def _group(table: HostsTable, size: int, first: int, guests: int | None, scenario: Scenario) -> Group:
    guest_count = table.guests if guests is None else guests
    shape = HostShape(
        sockets=table.sockets,
        channels=table.channels,
        memory_gib=max(table.memory_gib, guest_count * table.guest_memory_gib + 1),
        guests=guest_count,
        guest_memory_gib=table.guest_memory_gib,
        pes=table.pes,
    )
    sizes = (table.regions, table.rows, table.racks, table.count)
    layers = Layers(table.rows, table.racks, table.count) if table.layered else Layers()
    if table.layered and size > REGIONS_MAX * table.rows * table.racks * table.count:
        raise ScenarioError(f'hosts "{table.name}": {size} hosts would stand in more than {REGIONS_MAX} regions')
    return Group(name_pattern(table.name).counting(sizes), first, size, shape, scenario.switches, layers)


def _sized(tables: Sequence[HostsTable], hosts: int | None) -> list[tuple[HostsTable, int]]:
    """Each table with its hosts; of so many in all, the last one taking what is left."""
    if hosts is None:
        return [(table, table.size) for table in tables]
    sized = []
    left = hosts
    for index, table in enumerate(tables):
        size = left if index == len(tables) - 1 else min(table.size, left)
        if size:
            sized.append((table, size))
        left -= size
    return sized


def _labels(tables: Sequence[FirmwareTable | DimmBatchTable]) -> tuple[Label, ...]:
    return tuple(Label(table.name, table.selection(), int(table.fraction * (1 << 64))) for table in tables)
