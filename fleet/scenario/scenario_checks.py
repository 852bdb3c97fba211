"""What no single key of a scenario tells: keys that exclude one another, and labels that must exist."""

from typing import Final

from msgspec import UNSET

from fleet.scenario.scenario_errors import ScenarioError, did_you_mean, shown
from fleet.scenario.script import Step
from fleet.scenario.selecting import SelectingTable
from fleet.scenario.tables import FaultsTable, Scenario
from nodes.stack.machine import NS_PER_S

_KINDS_OF: Final = {  # what the devices that a rate counts can have
    "fit_per_dimm": ("memory",),
    "fit_per_device": ("memory",),
    "fit_per_pe": ("cache", "tlb"),
    "dimm_batch": ("memory",),
}


def check_labels(scenario: Scenario, place: str) -> None:
    """Every label has a name of its own, and every label that is selected exists."""
    firmware = [version.name for version in scenario.firmware]
    batches = [batch.name for batch in scenario.dimm_batches]
    for key, names in (("firmware", firmware), ("dimm_batches", batches)):
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ScenarioError(f"{place}: {key}[{index}].name{shown(name)}: expected a name of its own")
    for index, version in enumerate(scenario.firmware):
        if version.firmware is not UNSET:
            raise ScenarioError(f"{place}: firmware[{index}].firmware: expected no selection by firmware here")
    for key, selecting in (
        ("dimm_batches", scenario.dimm_batches),
        ("overrides", scenario.overrides),
        ("faults", scenario.faults),
        ("script", scenario.script),
    ):
        for index, table in enumerate(selecting):
            _check_label(table, "firmware", firmware, f"{place}: {key}[{index}]")
            _check_label(table, "dimm_batch", batches, f"{place}: {key}[{index}]")


def _check_label(table: SelectingTable, key: str, names: list[str], where: str) -> None:
    label = getattr(table, key, UNSET)
    if label is UNSET or label in names:
        return
    known = f"one of {', '.join(names)}" if names else f"a name of [[{_TABLE_OF[key]}]], and there is none"
    raise ScenarioError(f"{where}.{key}{shown(label)}: expected {known}{did_you_mean(label, names)}")


_TABLE_OF: Final = {"firmware": "firmware", "dimm_batch": "dimm_batches"}


def check_selecting(table: FaultsTable | Step, where: str) -> None:
    """Hosts are selected, or one is named by number."""
    selecting = [key for key in table.selecting() if key != "dimm_batch" and (key, table.hosts) != ("hosts", "*")]
    if table.host is not UNSET and selecting:
        raise ScenarioError(
            f"{where}.{selecting[0]}: expected only one of {selecting[0]} and host, which both say where"
        )


def check_faults(faults: FaultsTable, where: str, duration_s: float) -> None:
    """The keys of a table of faults fit together."""
    check_selecting(faults, where)
    if len(faults.sizes) > 1:
        one, other = faults.sizes[:2]
        raise ScenarioError(f"{where}.{other}: expected only one of {one} and {other}, which both say how many")
    if faults.preset is not UNSET and faults.mix is not UNSET:
        raise ScenarioError(f"{where}.mix: expected only one of preset and mix, which both say which faults")
    if faults.preset is UNSET and faults.mix is UNSET:
        raise ScenarioError(f"{where}.mix: missing, and it has no default")
    if not faults.weights:
        raise ScenarioError(f"{where}.mix: expected at least one fault with a weight above 0")
    if not faults.met_by.guest + faults.met_by.host:
        raise ScenarioError(f"{where}.met_by: expected a weight above 0")
    _check_place(faults, where)
    _check_kinds(faults, where)
    end = duration_s if faults.to_s is UNSET else faults.to_s
    if not round(faults.from_s * NS_PER_S) < round(end * NS_PER_S) or end > duration_s:
        raise ScenarioError(
            f"{where}: from_s = {faults.from_s}, to_s = {end}: expected a span within {duration_s} s"
        )


def _check_place(faults: FaultsTable, where: str) -> None:
    dimms = "dimm_batch" if faults.dimm_batch is not UNSET else faults.size_by if faults.of_dimms else ""
    in_row = "dimm" if faults.dimm is not UNSET else "row" if faults.row is not UNSET else dimms
    for key, other in (("page", in_row), ("guest", in_row), ("dimm", dimms)):
        if other and getattr(faults, key) is not UNSET:
            raise ScenarioError(f"{where}.{key}: expected only one of {key} and {other}, which both say where")
    for key in ("rate_per_host_h", "fit_per_pe"):
        if faults.size_by == key and faults.dimm_batch is not UNSET:
            raise ScenarioError(
                f"{where}.dimm_batch: expected only one of dimm_batch and {key}, which counts hosts"
            )
    if faults.host is not UNSET and faults.of_dimms and faults.dimm_batch is not UNSET:
        raise ScenarioError(f"{where}.dimm_batch: expected only one of dimm_batch and host, which both say where")


def _check_kinds(faults: FaultsTable, where: str) -> None:
    for key in (faults.size_by, "dimm_batch" if faults.dimm_batch is not UNSET else ""):
        kinds = _KINDS_OF.get(key)
        for name in faults.weights if kinds else ():
            if name.partition("-")[0] not in (kinds or ()):
                raise ScenarioError(
                    f"{where}.mix.{name}: expected faults of {' and '.join(kinds or ())} only, beside {key}"
                )
