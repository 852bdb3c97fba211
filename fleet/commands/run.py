"""``rasfleet run``: a scenario through many hosts, into a log."""

import sys
from pathlib import Path
from typing import Final, TypedDict, Unpack

import click

UNMET: Final = 1  # the run is not what its scenario expects
INTERRUPTED: Final = 130
HOSTS_MAX: Final = 1_000_000
FAULTS_MAX: Final = 20_000_000
SEED_MAX: Final = (1 << 63) - 1
DEFAULT_SCENARIO: Final = "storm"

HELP: Final = """Run a scenario: a fault storm through many hosts, written to a log.

SCENARIO is a TOML file or the name of one that comes with rasfleet; `storm` by default: 200 hosts with 4 guests
each, faults of every kind and severity. The same scenario, options and seed give the same bytes.
"""


class Given(TypedDict):
    """The options of the command line."""

    hosts: int | None
    guests: int | None
    faults: int | None
    seed: int | None
    until: str | None
    out: Path | None
    as_json: bool


@click.command(help=HELP)
@click.argument("scenario", default=DEFAULT_SCENARIO)
@click.option("--hosts", type=click.IntRange(1, HOSTS_MAX), help="How many hosts.")
@click.option("--guests", type=click.IntRange(0, 64), help="Guests of each host.")
@click.option(
    "--faults", type=click.IntRange(0, FAULTS_MAX), help="Faults in all; 100 times the hosts by default."
)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), help="What chance draws from.")
@click.option(
    "--until", metavar="TIME", help="End at a virtual time: seconds, or 90m, 2h, 1d; the run's beginning, no more."
)
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder; runs/<name> by default.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def run(scenario: str, **given: Unpack[Given]) -> None:
    """Run a scenario."""
    from fleet import __version__
    from fleet.console import carry_out
    from fleet.expectation import ExpectTable, unmet
    from fleet.log.files import FileLog
    from fleet.manifest import Manifest, Options
    from fleet.plan import Plan
    from fleet.report import Told, show
    from fleet.scenario import epoch_ns, load, parse
    from fleet.scenario_errors import ScenarioError
    from fleet.times import seconds_of

    text, place = load(scenario)
    parsed = parse(text, place)
    until_s = None if given["until"] is None else seconds_of(given["until"], epoch_ns(parsed.start))
    options = Options(given["hosts"], given["guests"], given["faults"], given["seed"], until_s)
    try:
        plan = Plan(parsed, options)
    except ScenarioError as fault:
        raise ScenarioError(f"{place}: {fault}") from None
    out = given["out"] or Path("runs") / parsed.name
    manifest = Manifest(
        name=parsed.name,
        scenario=text,
        options=options,
        seed=plan.seed,
        start=parsed.start,
        partitions=parsed.partitions,
        version=__version__,
    )
    changed = options != Options(seed=options.seed) or plan.seed != parsed.seed
    summary, seconds = carry_out(FileLog.create(out, manifest), plan, commands=plan.commands_written())
    repeat = ["rasfleet", "run", scenario, "--seed", str(plan.seed)]
    for name in ("hosts", "guests", "faults", "until"):
        if given[name] is not None:
            repeat += [f"--{name}", str(given[name])]
    repeat += ["--out", f"{out}-again"]
    wrong = [] if changed or summary.interrupted else unmet(parsed.expect, summary)
    show(
        Told(
            scenario=parsed.name,
            seed=plan.seed,
            hosts=plan.roster.count,
            guests=plan.roster.guests,
            workers=1,
            summary=summary,
            seconds=seconds,
            repeat=repeat,
            out=str(out),
            unmet=wrong,
        ),
        as_json=given["as_json"],
    )
    if changed and parsed.expect != ExpectTable():
        click.echo(
            "the size, the end or the seed is not the scenario's: what it expects was not checked", err=True
        )
    for each in wrong:
        click.echo(f"{place}: expect.{each.key}: expected {each.expected}, found {each.found:,}", err=True)
    if wrong:
        sys.exit(UNMET)
    if summary.interrupted:
        click.echo(f"interrupted; what was taken so far is in {out}", err=True)
        sys.exit(INTERRUPTED)


command = run
