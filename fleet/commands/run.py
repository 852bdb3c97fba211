"""``rasfleet run``: a scenario through many hosts, into a log."""

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypedDict, Unpack

import click

from fleet.options import at_speed, metered, with_metrics
from fleet.place import check_brokers, of_plaintext

if TYPE_CHECKING:
    from fleet.engine.room import Room
    from fleet.log.kafka.log import KafkaLog
    from fleet.manifest import Manifest
    from fleet.scenario.plan import Plan
    from fleet.service.serving import Address
    from fleet.view.report import Told

UNMET: Final = 1  # the run is not what its scenario expects
INTERRUPTED: Final = 130  # but for SIGTERM: who sends that wants an end in order, and gets it
HOSTS_MAX: Final = 1_000_000
FAULTS_MAX: Final = 20_000_000
SEED_MAX: Final = (1 << 63) - 1
WORKERS_MAX: Final = 64
NS_PER_S: Final = 1_000_000_000
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
    speed: float | None
    metrics: "Address | None"
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
@click.option(
    "--kafka",
    metavar="BROKERS",
    callback=check_brokers,
    help="Write the log to Kafka: host:port, several with commas between.",
)
@of_plaintext
@click.option("--name", help="The run's name on Kafka; the scenario's by default. Topics begin with it.")
@click.option("--no-workers", is_flag=True, help="On Kafka: write the commands; rasfleet worker works on them.")
@at_speed
@with_metrics
@click.option("--yes", is_flag=True, help="Run even where the disk will not hold it.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def run(scenario: str, **given: Unpack[Given]) -> None:
    """Run a scenario."""
    from fleet import __version__
    from fleet.engine.supervisor import cores
    from fleet.manifest import Manifest, Options
    from fleet.scenario.plan import Plan
    from fleet.scenario.scenario import epoch_ns, load, parse
    from fleet.scenario.scenario_errors import ScenarioError
    from fleet.scenario.times import seconds_of

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
    if given["name"] is not None or given["no_workers"]:
        raise click.UsageError("--name and --no-workers are for runs on Kafka: say --kafka BROKERS")
    _run_on_files(given, plan, manifest, workers)


def _run_on_files(given: Given, plan: "Plan", manifest: "Manifest", workers: int) -> None:
    from fleet.engine.carried import carry_out
    from fleet.engine.console import Carrying
    from fleet.engine.room import check_room, room_for
    from fleet.log.files import FileLog
    from fleet.place import say

    out = given["out"] or Path("runs") / manifest.name
    room = _paced(room_for(plan.estimate(), out, workers=workers), plan, given["speed"])
    if not given["yes"]:
        check_room(room, out)
    if sys.stderr.isatty() or room.seconds >= TOLD_S:
        say(f"{room.told()} with {workers} worker{'s'[: workers > 1]}")
    with metered(given["metrics"], manifest, str(out), "", say) as meter:
        log = FileLog.create(out, manifest)
        told = carry_out(log, plan, Carrying(workers, given["speed"], meter))
    finish(told, as_json=given["as_json"])


def _paced(room: "Room", plan: "Plan", speed: float | None) -> "Room":
    """What a run will take of the time when it has a pace."""
    if speed is None:
        return room
    return room._replace(seconds=max(room.seconds, plan.end_ns / NS_PER_S / speed))


def _run_on_kafka(given: Given, plan: "Plan", manifest: "Manifest", workers: int) -> None:
    from fleet.engine.carried import carry_out
    from fleet.engine.console import Carrying
    from fleet.log.kafka.log import KafkaLog
    from fleet.log.kafka.names import group_of
    from fleet.place import brokers_of, say

    if given["out"] is not None:
        raise click.UsageError("--out is for runs on files; on Kafka a run has a --name")
    if given["no_workers"] and given["metrics"]:
        raise click.UsageError("--metrics is for who works on a run: say it to rasfleet worker")
    assert given["kafka"] is not None, "it is on Kafka"
    name = manifest.name if given["name"] is None else given["name"]
    brokers = brokers_of(given["kafka"])
    if given["no_workers"]:
        _only_command(given, KafkaLog.create(brokers, name, manifest, say=say), plan)
        return
    with metered(given["metrics"], manifest, name, group_of(name), say) as meter:
        log = KafkaLog.create(brokers, name, manifest, say=say)
        told = carry_out(log, plan, Carrying(workers, given["speed"], meter))
    finish(told, as_json=given["as_json"])


def _only_command(given: Given, log: "KafkaLog", plan: "Plan") -> None:
    from fleet.engine.carried import only_command
    from fleet.place import say, words_of

    written = only_command(log, plan, given["speed"], say)
    count = sum(written.offsets)
    told = {"run": log.run, "kafka": log.servers, "commands": count, "offsets": written.offsets}
    joining = shlex.join(["rasfleet", "worker", *words_of(log.servers), "--run", log.run])
    words = f"run {log.run}: {count:,} commands wait for: {joining}"
    click.echo(json.dumps(told) if given["as_json"] else words)
    if not written.is_all:
        _stopped([log.run, *words_of(log.servers)], written.signal)


def finish(told: "Told", *, as_json: bool) -> None:
    """Show what a run came to, and exit by it."""
    from fleet.place import words_of
    from fleet.view.report import show

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
        _stopped([told.out, *words_of(told.kafka)], told.signal)


def _stopped(where: list[str], number: int) -> NoReturn:
    """Say how a run goes on that was stopped, and exit."""
    click.echo(f"interrupted; {shlex.join(['rasfleet', 'resume', *where])} goes on", err=True)
    sys.exit(0 if number == signal.SIGTERM else INTERRUPTED)


command = run
