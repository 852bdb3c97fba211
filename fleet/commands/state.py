"""``rasfleet state``: a host of a run at a time."""

import json
from typing import Any

import click

from fleet.place import of_brokers


@click.command()
@click.argument("run")
@of_brokers
@click.option("--host", required=True, help="Its name.")
@click.option("--at", help="Virtual time: 90, 1.5h, 2026-01-01T00:20:00Z; the end by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def state(run: str, kafka: str | None, host: str, at: str | None, *, as_json: bool) -> None:
    """Show a host's registers, records, pages, guests and ledger at a time.

    The host's commands go through it again, up to then; nothing else of RUN is touched.
    """
    from fleet.place import opened
    from fleet.scenario.scenario import epoch_ns
    from fleet.scenario.times import virtual_ns
    from fleet.view.look import host_at
    from nodes.stack.look import state_of

    with opened(run, kafka) as log:
        time_ns = None if at is None else virtual_ns(at, epoch_ns(log.manifest.start))
        found = state_of(host_at(log, host, time_ns))
    if as_json:
        click.echo(json.dumps(found))
    else:
        _write(found)


def _write(found: dict[str, Any]) -> None:
    """The object as indented lines; the ledger as a table."""
    from fleet.view.report import ledger_rows

    ledger = found.pop("ledger")
    seconds = found.pop("time_ns") / 1e9
    click.secho(f"{found.pop('host')} at {seconds:,.9f} s{', down' if found.pop('down') else ''}", bold=True)
    _lines(found, 1)
    click.secho(f"{'ledger':40}{'host':>12}{'guests':>12}", bold=True)
    for name, *counts in ledger_rows(ledger):
        click.echo(f"  {name:38}" + "".join(f"{count:>12,}" for count in counts))


def _lines(found: dict[str, Any], depth: int) -> None:
    for name, value in found.items():
        indent = "  " * depth
        if isinstance(value, dict) and any(isinstance(inner, dict | list) for inner in value.values()):
            click.echo(f"{indent}{name}")
            _lines(value, depth + 1)
        elif isinstance(value, dict) and value:
            click.echo(f"{indent}{name:14} " + " ".join(f"{key}={_short(inner)}" for key, inner in value.items()))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for inner in value:
                click.echo(f"{indent}{name:14} " + " ".join(f"{k}={_short(v)}" for k, v in inner.items()))
        else:
            click.echo(f"{indent}{name:14} {_short(value)}")


def _short(value: object) -> str:
    if isinstance(value, list | dict):
        return ",".join(_short(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


command = state
