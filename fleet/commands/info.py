"""``rasfleet info``: what a run is and holds."""

import json
import os
from typing import TYPE_CHECKING

import click

from fleet.place import of_brokers
from fleet.terminal import facts

if TYPE_CHECKING:
    from fleet.place import AnyLog


@click.command()
@click.argument("run")
@of_brokers
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(run: str, kafka: str | None, *, as_json: bool) -> None:
    """Say what RUN is and holds: its manifest, how it ended, and its records by topic."""
    from fleet.place import opened

    with opened(run, kafka) as log:
        told = {"run": run} | _told(log)
    if as_json:
        click.echo(json.dumps(told))
        return
    for line in facts(told, 20, "{key:20}{count:,}"):
        click.echo(line)


def _told(log: "AnyLog") -> dict[str, object]:
    from fleet.codec import TOPICS
    from fleet.log.files import FileLog
    from fleet.scenario.plan import plan_of

    manifest, summary = log.manifest, log.summary()
    plan = plan_of(manifest)
    ended = "no summary: it runs, or was cut off"
    if summary is not None:
        ended = "interrupted" if summary.interrupted else "finished"
    files = [path for path in log.folder.rglob("*") if path.is_file()] if isinstance(log, FileLog) else []
    return {
        "name": manifest.name,
        "source": manifest.source,
        "ended": ended,
        "seed": manifest.seed,
        "hosts": plan.roster.count,
        "guests": plan.roster.guests,
        "partitions": manifest.partitions,
        "start": manifest.start,
        "behaviour": manifest.behaviour,
        "version": manifest.version,
        "records": {topic: log.count(topic) for topic in TOPICS},
        "bytes": sum(os.path.getsize(path) for path in files) if files else None,  # noqa: PTH202 (it may vanish)
        "faults": summary and summary.faults,
        "dead_letters": summary and summary.dead_letters,
        "digest": summary and summary.digest,
    }


command = info
