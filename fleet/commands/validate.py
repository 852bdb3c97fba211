"""``rasfleet validate``: check a scenario and print its plan."""

import json

import click


@click.command()
@click.argument("scenario")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(scenario: str, *, as_json: bool) -> None:
    """Check SCENARIO, a TOML file or the name of one that comes with rasfleet, and print its plan."""
    from collections import Counter

    from fleet.faults import shares
    from fleet.manifest import Options
    from fleet.plan import Plan
    from fleet.scenario import load, parse
    from fleet.scenario_errors import ScenarioError

    text, place = load(scenario)
    parsed = parse(text, place)
    try:
        plan = Plan(parsed, Options())
        commands = sum(len(part) for batch in plan.batches() for part in batch.values())
    except ScenarioError as fault:
        raise ScenarioError(f"{place}: {fault}") from None
    roster = plan.roster
    told = {
        "scenario": parsed.name,
        "seed": plan.seed,
        "start": parsed.start,
        "duration_s": parsed.duration_s,
        "partitions": parsed.partitions,
        "hosts": roster.count,
        "guests": roster.guests,
        "groups": {f"{roster.name_of(group.first)} …": group.size for group in roster.groups},
        "faults": plan.faults,
        "random": dict(
            zip((table.name for table in parsed.faults), shares(plan.random, parsed.faults), strict=True)
        )
        if parsed.faults
        else {},
        "script": dict(Counter(type(step).__struct_config__.tag for step in parsed.script)),
        "commands": commands,
    }
    if as_json:
        click.echo(json.dumps(told))
        return
    for name, value in told.items():
        if isinstance(value, dict):
            for key, count in value.items():
                click.echo(f"{name:12}{key:28}{count:>12,}")
        else:
            click.echo(f"{name:12}{f'{value:,}' if isinstance(value, int) and name != 'seed' else value}")
    click.echo(f"valid; run it with: rasfleet run {scenario}")


command = validate
