"""``rasfleet log``: look after a run's log."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fleet.place import of_brokers

if TYPE_CHECKING:
    from fleet.copying import Copied
    from fleet.integrity import Report
    from fleet.manifest import Manifest
    from fleet.place import AnyLog

CORRUPT: Final = 4


@click.group()
def log() -> None:
    """Look after a run's log."""


@log.command()
@click.argument("run")
@of_brokers
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(run: str, kafka: str | None, *, as_json: bool) -> None:
    """Check every checksum, the gap-free positions and sequences, keys, times and the digest of RUN.

    Damage is named with its file and byte, and what is whole behind it is checked all the same; on Kafka with its
    topic and offset, and the rest of that partition is left. A torn frame at the end of a run that was cut off is
    no damage. Exit code 4 when something is wrong.
    """
    report, unit = _checked(run, kafka)
    if as_json:
        problems = [problem._asdict() for problem in report.problems]
        click.echo(json.dumps(report._asdict() | {"problems": problems, "whole": report.whole}))
    else:
        for problem in report.problems:
            click.echo(f"{problem.place}: at {unit} {problem.offset}: {problem.reason}")
        if report.problem_count > len(report.problems):
            click.echo(f"and {report.problem_count - len(report.problems)} more")
        for topic, count in report.records.items():
            click.echo(f"{topic:20}{count:>12,} records")
        if report.frames:
            click.echo(f"{'frames':20}{report.frames:>12,}")
        if report.waiting:
            click.echo(f"{'waiting':20}{report.waiting:>12,} commands, for rasfleet resume")
            matches = "those that wait included"
        else:
            matches = "as the run had it" if report.finished else "the run has no summary to compare with"
        click.echo(f"{'digest':20}{report.digest}" + (f", {matches}" if report.whole else ""))
        click.echo(_verdict(report))
    if not report.whole:
        sys.exit(CORRUPT)


def _verdict(report: "Report") -> str:
    if not report.whole:
        return "NOT whole"
    told = "whole, but for what is told above: the run is not over, and rasfleet resume writes what is missing"
    return told if report.problems else "whole"


def _checked(run: str, kafka: str | None) -> tuple["Report", str]:
    """What was found, and what its offsets count."""
    from fleet.integrity import check
    from fleet.log.files import FileLog
    from fleet.place import opened

    with opened(run, kafka) as log:
        if isinstance(log, FileLog):
            return check(log), "byte"
        from fleet.integrity_there import check_there

        return check_there(log), "offset"


@log.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@of_brokers
@click.option(
    "--cloudevents",
    is_flag=True,
    help="As CloudEvents 1.0. To Kafka: headers (binary mode). To a file: its events, one JSON object a line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def copy(source: str, target: str, kafka: str | None, *, cloudevents: bool, as_json: bool) -> None:
    """Copy a run's log: a folder, or kafka:NAME on the brokers that --kafka or RASFLEET_KAFKA names.

    TO is new. The copy holds the same commands, events and summary, and rasfleet log verify finds it whole; a file
    of CloudEvents holds events alone. What stands among the events on Kafka and is none is told and passed over.
    """
    from fleet.copying import described, structured
    from fleet.log.files import FileLog
    from fleet.place import ON_BROKERS, opened, say, servers_of

    servers = servers_of(kafka) if ON_BROKERS in (source[: len(ON_BROKERS)], target[: len(ON_BROKERS)]) else None
    with opened(source, servers if source.startswith(ON_BROKERS) else "") as log:
        if not isinstance(log, FileLog):
            log.passed = say
        if cloudevents and not target.startswith(ON_BROKERS):
            copied = structured(log, Path(target))
        else:
            made = _made(target, servers, log.manifest)
            if cloudevents:
                made.headers_of = described(log).headers  # type: ignore[union-attr]
            copied = _copied(log, made, target)
    if as_json:
        click.echo(json.dumps({"from": source, "to": target} | copied._asdict()))
        return
    for topic, count in copied.records.items():
        click.echo(f"{topic:20}{count:>12,} records")


def _copied(source: "AnyLog", made: "AnyLog", target: str) -> "Copied":
    from fleet.copying import copy
    from fleet.log.protocol import LogError
    from fleet.place import say

    try:
        return copy(source, made)
    except LogError:
        say(f"{target} holds a part of it; remove it before it is copied there again")
        raise


def _made(target: str, servers: str | None, manifest: "Manifest") -> "AnyLog":
    """A new log."""
    from fleet.log.files import FileLog
    from fleet.place import ON_BROKERS, brokers_of, say

    if not target.startswith(ON_BROKERS):
        return FileLog.create(Path(target), manifest)
    from fleet.log.kafka.log import KafkaLog

    assert servers is not None, "the target is on brokers"
    return KafkaLog.create(brokers_of(servers), target.removeprefix(ON_BROKERS), manifest, say=say)


command = log
