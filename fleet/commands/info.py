"""``rasfleet info``: what a run is and holds."""

import json
import os
from typing import TYPE_CHECKING

import click

from fleet.place import of_brokers

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
    for name, value in told.items():
        if isinstance(value, dict):
            for key, count in value.items():
                click.echo(f"{'dead letters ' * (name == 'dead_letters')}{key:20}{count:,}")
        elif value is not None:
            click.echo(f"{name:20}{f'{value:,}' if name in {'hosts', 'guests', 'bytes', 'faults'} else value}")


def _told(log: "AnyLog") -> dict[str, object]:
    from fleet.codec import TOPICS
    from fleet.log.files import FileLog
    from fleet.plan import plan_of

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
