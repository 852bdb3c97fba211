"""``rasfleet info``: what a run is and holds."""

import json
import os
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(run: Path, *, as_json: bool) -> None:
    """Say what RUN is and holds: its manifest, how it ended, and its records by topic."""
    from fleet.codec import TOPICS
    from fleet.log.files import FileLog
    from fleet.plan import plan_of

    log = FileLog.open(run)
    manifest, summary = log.manifest, log.summary()
    plan = plan_of(manifest)
    ended = "no summary: it runs, or was cut off"
    if summary is not None:
        ended = "interrupted" if summary.interrupted else "finished"
    records = {topic: log.count(topic) for topic in TOPICS}
    size = sum(os.path.getsize(path) for path in run.rglob("*") if path.is_file())  # noqa: PTH202 (it may vanish)
    told = {
        "run": str(run),
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
        "records": records,
        "bytes": size,
        "faults": summary and summary.faults,
        "digest": summary and summary.digest,
    }
    if as_json:
        click.echo(json.dumps(told))
        return
    for name, value in told.items():
        if isinstance(value, dict):
            for key, count in value.items():
                click.echo(f"{key:20}{count:,}")
        elif value is not None:
            click.echo(f"{name:20}{f'{value:,}' if name in {'hosts', 'guests', 'bytes', 'faults'} else value}")


command = info
