"""``rasfleet run``: a scenario through many hosts, into a log."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import click

from fleet.place import of_plaintext

if TYPE_CHECKING:
    from fleet.manifest import Manifest
    from fleet.plan import Plan
    from fleet.report import Told

UNMET: Final = 1  # the run is not what its scenario expects
INTERRUPTED: Final = 130
HOSTS_MAX: Final = 1_000_000
FAULTS_MAX: Final = 20_000_000
SEED_MAX: Final = (1 << 63) - 1
WORKERS_MAX: Final = 64
TOLD_S: Final = 10.0  # what a shorter run will come to is told on a terminal alone
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
    workers: int | None
    out: Path | None
    kafka: str | None
    name: str | None
    no_workers: bool
    yes: bool
    as_json: bool


@click.command(help=HELP)
@click.argument("scenario", default=DEFAULT_SCENARIO)
@click.option("--hosts", type=click.IntRange(1, HOSTS_MAX), help="How many hosts.")
@click.option("--guests", type=click.IntRange(0, 64), help="Guests of each host.")
@click.option(
    "--faults",
    type=click.IntRange(0, FAULTS_MAX),
    help="Faults in all, scripted ones first; 100 times the hosts by default.",
)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), help="What chance draws from.")
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    help="Worker processes; as many as there are cores by default.",
)
@click.option(
    "--until", metavar="TIME", help="End at a virtual time: seconds, or 90m, 2h, 1d; the run's beginning, no more."
)
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder; runs/<name> by default.")
@click.option("--kafka", metavar="BROKERS", help="Write the log to Kafka: host:port, several with commas between.")
@of_plaintext
@click.option("--name", help="The run's name on Kafka; the scenario's by default. Topics begin with it.")
@click.option("--no-workers", is_flag=True, help="On Kafka: write the commands; rasfleet worker works on them.")
@click.option("--yes", is_flag=True, help="Run even where the disk will not hold it.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def run(scenario: str, **given: Unpack[Given]) -> None:
    """Run a scenario."""
    from fleet import __version__
    from fleet.carried import carry_out
    from fleet.log.files import FileLog
    from fleet.manifest import Manifest, Options
    from fleet.plan import Plan
    from fleet.room import check_room, room_for
    from fleet.scenario import epoch_ns, load, parse
    from fleet.scenario_errors import ScenarioError
    from fleet.supervisor import cores
    from fleet.times import seconds_of

    text, place = load(scenario)
    parsed = parse(text, place)
    until_s = None if given["until"] is None else seconds_of(given["until"], epoch_ns(parsed.start))
    options = Options(given["hosts"], given["guests"], given["faults"], given["seed"], until_s)
    try:
        plan = Plan(parsed, options)
    except ScenarioError as fault:
        raise ScenarioError(f"{place}: {fault}") from None
    manifest = Manifest(
        name=parsed.name,
        scenario=text,
        options=options,
        seed=plan.seed,
        start=parsed.start,
        partitions=parsed.partitions,
        version=__version__,
        place=scenario,
    )
    workers = given["workers"] or cores()
    if given["kafka"] is not None:
        _run_on_kafka(given, plan, manifest, workers)
        return
    if given["name"] or given["no_workers"]:
        raise click.UsageError("--name and --no-workers are for runs on Kafka: say --kafka BROKERS")
    out = given["out"] or Path("runs") / parsed.name
    room = room_for(plan.estimate(), out, workers=workers)
    if not given["yes"]:
        check_room(room, out)
    if sys.stderr.isatty() or room.seconds >= TOLD_S:
        click.echo(f"rasfleet: {room.told()} with {workers} worker{'s'[: workers > 1]}", err=True)
    log = FileLog.create(out, manifest)
    finish(carry_out(log, plan, workers=workers), as_json=given["as_json"])


def _run_on_kafka(given: Given, plan: "Plan", manifest: "Manifest", workers: int) -> None:
    from fleet.carried import carry_out, only_command
    from fleet.log.kafka.log import KafkaLog
    from fleet.place import brokers_of, say

    if given["out"] is not None:
        raise click.UsageError("--out is for runs on files; on Kafka a run has a --name")
    assert given["kafka"] is not None, "it is on Kafka"
    log = KafkaLog.create(brokers_of(given["kafka"]), given["name"] or manifest.name, manifest, say=say)
    if not given["no_workers"]:
        finish(carry_out(log, plan, workers=workers), as_json=given["as_json"])
        return
    written = only_command(log, plan)
    told = {"run": log.run, "kafka": log.servers, "commands": sum(written), "offsets": written}
    words = (
        f"run {log.run}: {sum(written):,} commands wait for: rasfleet worker --kafka {log.servers} --run {log.run}"
    )
    click.echo(json.dumps(told) if given["as_json"] else words)


def finish(told: "Told", *, as_json: bool) -> None:
    """Show what a run came to, and exit by it."""
    from fleet.report import show

    show(told, as_json=as_json)
    if told.unchecked:
        click.echo(
            "the size, the end or the seed is not the scenario's: what it expects was not checked", err=True
        )
    for each in told.unmet:
        click.echo(f"{told.place}: expect.{each.key}: expected {each.expected}, found {each.found:,}", err=True)
    if told.unmet:
        sys.exit(UNMET)
    if told.summary.interrupted:
        where = f"{shlex.quote(told.out)}{told.kafka and f' --kafka {told.kafka}'}"
        click.echo(f"interrupted; rasfleet resume {where} goes on", err=True)
        sys.exit(INTERRUPTED)


command = run
