"""Scenarios: what hosts there are and what happens to them, as TOML.

Unknown keys are refused, and every error names the key, its value and what was expected.
"""

import re
import tomllib
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleet.expectation import ExpectTable
from fleet.partition import PARTITIONS_MAX
from fleet.scenario_errors import ScenarioError, did_you_mean, explained, shown
from fleet.script import AnyStep, FaultName, PageName, Seconds, Small, Table
from fleet.topology import Group, Override, Topology, name_pattern, shared_name
from nodes.policy import SwitchChanges, Switches
from nodes.stack.machine import NS_PER_S
from nodes.stack.platform import HostShape

SCENARIO_SIZE_MAX: Final = 4 * 1024 * 1024  # bytes of TOML; a longer file is refused
HOSTS_MAX: Final = 1_000_000
FAULTS_MAX: Final = 20_000_000  # of a run; they are sorted in memory
FAULTS_PER_HOST: Final = 100  # in all, unless the scenario or the command line says
DEFAULT_SCENARIO: Final = "storm"
START_YEARS: Final = range(1970, 3000)  # a log counts from 1970; CPER's clock ends with the year 9999
_START: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")

Count = Annotated[int, Meta(ge=1, le=HOSTS_MAX)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class HostsTable(Table, frozen=True, kw_only=True):
    """``[[hosts]]``: a group of hosts that are alike."""

    name: Name = "host-{:04d}"
    count: Count = 1
    guests: Annotated[int, Meta(ge=0, le=64)] = 4
    memory_gib: Annotated[int, Meta(ge=2, le=65536)] = 64
    guest_memory_gib: Annotated[int, Meta(ge=1, le=1024)] = 4
    sockets: Annotated[int, Meta(ge=1, le=8)] = 1
    channels: Annotated[int, Meta(ge=1, le=32)] = 8
    pes: Annotated[int, Meta(ge=1, le=256)] = 16


class OverrideTable(Table, frozen=True, kw_only=True):
    """``[[overrides]]``: switches that differ for some hosts."""

    hosts: Name  # shell pattern
    switches: SwitchChanges


class MetByTable(Table, frozen=True, kw_only=True):
    """Who meets an error, as weights."""

    guest: Weight = 0
    host: Weight = 0


class FaultsTable(Table, frozen=True, kw_only=True):
    """``[[faults]]``: random faults. ``share`` divides what is not scripted."""

    name: Name
    share: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    mix: dict[FaultName, Weight]
    hosts: Name = "*"
    host: Small | UnsetType = UNSET  # one host by number, counted round
    met_by: MetByTable = MetByTable(guest=8, host=2)
    guest: Small | UnsetType = UNSET  # one guest by number, counted round
    page: PageName | UnsetType = UNSET
    dimm: Small | UnsetType = UNSET  # one DIMM by number, counted round
    row: Small | UnsetType = UNSET
    from_s: Seconds = 0.0
    to_s: Seconds | UnsetType = UNSET  # the end, unless it is said


class Scenario(Table, frozen=True, kw_only=True):
    """A whole scenario."""

    name: Annotated[str, Meta(max_length=63)]
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 1
    start: Annotated[str, Meta(max_length=40)] = "2026-01-01T00:00:00Z"
    duration_s: Annotated[float, Meta(gt=0, le=10 * 366 * 86400)] = 3600.0
    partitions: Annotated[int, Meta(ge=1, le=PARTITIONS_MAX)] = 12
    faults_total: Annotated[int, Meta(ge=0, le=FAULTS_MAX)] | UnsetType = UNSET
    switches: Switches = Switches()
    hosts: Annotated[list[HostsTable], Meta(min_length=1, max_length=1000)]
    overrides: Annotated[list[OverrideTable], Meta(max_length=1000)] = []
    faults: Annotated[list[FaultsTable], Meta(max_length=1000)] = []
    script: Annotated[list[AnyStep], Meta(max_length=100_000)] = []
    expect: ExpectTable = ExpectTable()


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
    if sum(table.count for table in scenario.hosts) > HOSTS_MAX:
        raise ScenarioError(f"{place}: more than {HOSTS_MAX} hosts in all")
    for index, faults in enumerate(scenario.faults):
        _check_faults(faults, f"{place}: faults[{index}]", scenario.duration_s)
        if any(faults.name == other.name for other in scenario.faults[:index]):
            raise ScenarioError(f"{place}: faults[{index}].name{shown(faults.name)}: expected a name of its own")
    for index, step in enumerate(scenario.script):
        if step.at_s > scenario.duration_s:
            raise ScenarioError(
                f"{place}: script[{index}].at_s = {step.at_s}: expected at most duration_s = {scenario.duration_s}"
            )


def _check_hosts(table: HostsTable, where: str) -> None:
    try:
        name_pattern(table.name)
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


def _check_faults(faults: FaultsTable, where: str, duration_s: float) -> None:
    if not any(faults.mix.values()):
        raise ScenarioError(f"{where}.mix: expected at least one fault with a weight above 0")
    if not faults.met_by.guest + faults.met_by.host:
        raise ScenarioError(f"{where}.met_by: expected a weight above 0")
    in_row = "dimm" if faults.dimm is not UNSET else "row" if faults.row is not UNSET else ""
    for key, other in (("page", in_row), ("guest", in_row), ("hosts", "host" if faults.host is not UNSET else "")):
        if other and getattr(faults, key) not in (UNSET, "*"):
            raise ScenarioError(f"{where}.{key}: expected only one of {key} and {other}, which both say where")
    end = duration_s if faults.to_s is UNSET else faults.to_s
    if not round(faults.from_s * NS_PER_S) < round(end * NS_PER_S) or end > duration_s:
        raise ScenarioError(
            f"{where}: from_s = {faults.from_s}, to_s = {end}: expected a span within {duration_s} s"
        )


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


def topology_of(scenario: Scenario, *, hosts: int | None = None, guests: int | None = None) -> Topology:
    """The hosts of a scenario. ``hosts``: that many in all, the last group taking what is left."""
    tables = list(scenario.hosts)
    if hosts is not None:
        tables = _resized(tables, hosts)
    groups = []
    first = 0
    for table in tables:
        guest_count = table.guests if guests is None else guests
        shape = HostShape(
            sockets=table.sockets,
            channels=table.channels,
            memory_gib=max(table.memory_gib, guest_count * table.guest_memory_gib + 1),
            guests=guest_count,
            guest_memory_gib=table.guest_memory_gib,
            pes=table.pes,
        )
        groups.append(Group(name_pattern(table.name), first, table.count, shape, scenario.switches))
        first += table.count
    twice = shared_name(groups)
    if twice:
        raise ScenarioError(f'hosts: "{twice}" is the name of hosts of two groups; expected names of their own')
    return Topology(groups, [Override(override.hosts, override.switches) for override in scenario.overrides])


def _resized(tables: list[HostsTable], hosts: int) -> list[HostsTable]:
    kept: list[HostsTable] = []
    left = hosts
    for index, table in enumerate(tables):
        count = left if index == len(tables) - 1 else min(table.count, left)
        if count:
            kept.append(msgspec.structs.replace(table, count=count))
        left -= count
    return kept
