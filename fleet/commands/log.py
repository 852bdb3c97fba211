"""``rasfleet log``: look after a run's log."""

import json
import sys
from pathlib import Path
from typing import Final

import click

CORRUPT: Final = 4


@click.group()
def log() -> None:
    """Look after a run's log."""


@log.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(run: Path, *, as_json: bool) -> None:
    """Check every checksum, the gap-free positions and sequences, keys, times and the digest of RUN.

    Damage is named with its file and byte, and what is whole behind it is checked all the same. A torn frame at
    the end of a run that was cut off is no damage. Exit code 4 when something is wrong.
    """
    from fleet.integrity import check
    from fleet.log.files import FileLog

    report = check(FileLog.open(run))
    if as_json:
        problems = [problem._asdict() for problem in report.problems]
        click.echo(json.dumps(report._asdict() | {"problems": problems, "whole": report.whole}))
    else:
        for problem in report.problems:
            click.echo(f"{problem.place}: at byte {problem.offset}: {problem.reason}")
        if report.problem_count > len(report.problems):
            click.echo(f"and {report.problem_count - len(report.problems)} more")
        for topic, count in report.records.items():
            click.echo(f"{topic:20}{count:>12,} records")
        click.echo(f"{'frames':20}{report.frames:>12,}")
        matches = "as the run had it" if report.finished else "the run has no summary to compare with"
        click.echo(f"{'digest':20}{report.digest}" + (f", {matches}" if report.whole else ""))
        click.echo("whole" if report.whole else "NOT whole")
    if not report.whole:
        sys.exit(CORRUPT)


command = log
