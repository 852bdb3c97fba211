"""``rasfleet validate``: check a scenario and print its plan."""

import json
from typing import TYPE_CHECKING, Any

import click

from fleet.terminal import facts

if TYPE_CHECKING:
    from fleet.scenario.plan import Plan


@click.command()
@click.argument("scenario")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(scenario: str, *, as_json: bool) -> None:
    """Check SCENARIO, a TOML file or the name of one that comes with rasfleet, and print its plan."""
    from fleet.manifest import Options
    from fleet.scenario.plan import Plan
    from fleet.scenario.scenario import load, parse
    from fleet.scenario.scenario_errors import ScenarioError

    text, place = load(scenario)
    parsed = parse(text, place)
    try:
        told = _told(Plan(parsed, Options()))
    except ScenarioError as fault:
        raise ScenarioError(f"{place}: {fault}") from None
    if as_json:
        click.echo(json.dumps(told))
        return
    for line in facts(told, 12, "{name:12}{key:40}{count:>16,}"):
        click.echo(line)
    click.echo(f"valid; run it with: rasfleet run {scenario}")


def _told(plan: "Plan") -> dict[str, Any]:
    """What the plan is, as one object."""
    from collections import Counter

    parsed, roster, estimate = plan.scenario, plan.roster, plan.estimate()
    return {
        "scenario": parsed.name,
        "seed": plan.seed,
        "start": parsed.start,
        "duration_s": parsed.duration_s,
        "partitions": parsed.partitions,
        "hosts": roster.count,
        "guests": roster.guests,
        "groups": {f"{roster.name_of(group.first)} …": group.size for group in roster.groups},
        "firmware": {name: roster.bearing("firmware", name) for name in _names(parsed.firmware)},
        "dimms": {name: roster.bearing("dimm_batches", name) for name in _names(parsed.dimm_batches)},
        "faults": plan.faults,
        "random": plan.faults_by_table,
        "expected": {
            name: round(sum(source.expected for source in part), 1)
            for name, part in plan.sources.items()
            if any(source.by_rate for source in part)
        },
        "script": dict(Counter(type(step).__struct_config__.tag for step in parsed.script)),
        "commands": estimate.commands,
        "estimate": {"events": estimate.events, "bytes": estimate.size_bytes},
    }


def _names(tables: "list[Any]") -> list[str]:
    return [table.name for table in tables]


command = validate
