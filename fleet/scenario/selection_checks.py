"""Whether what a scenario selects is there: hosts for every table, and all regions, rows and racks."""

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from fleet.scenario.scenario_errors import ScenarioError, shown
from fleet.scenario.selecting import SelectingTable
from fleet.scenario.sources import members_of
from fleet.scenario.tables import FaultsTable, Scenario
from fleet.scenario.topology import EVERYWHERE, Topology, Where

_DONE: Final = ("faults", "script")  # what is done to hosts: to some, whatever size the run has
_LAYERS: Final = ("region", "rack_row", "rack")  # the keys of Where, as a scenario has them


def check_selections(scenario: Scenario, roster: Topology, *, resized: bool) -> None:
    """Raises ScenarioError. ``resized``: of another size it may be meant for hosts that are not there."""
    for key, index, table in _tables(scenario):
        where = f"{key}[{index}]"
        if not resized:
            _check_layers(table, roster, where)
        if (not resized or key in _DONE) and not _is_for_some(table, roster):
            raise _nobody(table, roster, where)


def _is_for_some(table: SelectingTable, roster: Topology) -> bool:
    if isinstance(table, FaultsTable):
        return table.host is not UNSET or bool(members_of(table, roster).size)
    return not table.selecting() or bool(roster.matching(table.selection()).size)


def _tables(scenario: Scenario) -> Iterator[tuple[str, int, SelectingTable]]:
    """Every table that selects, and its place."""
    for key in ("firmware", "dimm_batches", "overrides", *_DONE):
        for index, table in enumerate(getattr(scenario, key)):
            yield key, index, table


def _check_layers(table: SelectingTable, roster: Topology, where: str) -> None:
    """Each number of a region, row or rack is of one where hosts of this name stand."""
    selection = table.selection()
    if selection.where == EVERYWHERE:
        return
    there = roster.standing(selection.hosts, EVERYWHERE)
    meant = roster.standing(selection.hosts, selection.where)
    for among, said in ((there, ""), (meant, ", in which the other keys hold")):
        for key, wanted, known, every in zip(_LAYERS, selection.where, among, there, strict=True):
            for index, number in enumerate(wanted or ()):
                if every and number not in known:
                    at = "" if isinstance(getattr(table, key), int) else f"[{index}]"
                    raise ScenarioError(f"{where}.{key}{at} = {number}: expected {_range(key, every)}{said}")


def _range(key: str, numbers: set[int]) -> str:
    first, last = min(numbers), max(numbers)
    name = {"rack_row": "row of racks"}.get(key, key)
    return f"{first}, the only {name}" if first == last else f"a {name} from {first} to {last}"


def _nobody(table: SelectingTable, roster: Topology, where: str) -> ScenarioError:
    """What to say of a selection without any host."""
    keys = table.selecting()
    if keys == ["hosts"] or ("hosts" in keys and not any(roster.standing(str(table.hosts), Where()))):
        last = roster.name_of(roster.count - 1)
        named = f'the hosts are "{roster.name_of(0)}" to "{last}"' if roster.count > 1 else f'the host is "{last}"'
        return ScenarioError(f"{where}.hosts{shown(table.hosts)}: expected a pattern that a host matches; {named}")
    said = ", ".join(f"{key} = {getattr(table, key)}" for key in keys)
    return ScenarioError(f"{where}: {said}: expected a selection that is not empty")
