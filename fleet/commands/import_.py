"""``rasfleet import``: recorded errors through the stack, and the outcome compared."""

import json
import sys
from pathlib import Path
from typing import Final

import click

INTERRUPTED: Final = 130

HELP: Final = """Put recorded errors through the stack, and compare what the model does with what is recorded.

RECORDING is text that Linux printed (dmesg, journal or syslog, also with status blocks in hex) or a binary file
of status blocks or CPER records; - reads standard input. Every recorded host becomes a simulated one, and each
error a command for it at the recorded time: firmware presents a status block, the kernel takes an SError or an
abort.

Says what was read, what was not understood line by line, and for each error how lines, severity and outcome
compare. Differences are no failure: exit code 0. What is no recording exits with 4.
"""


@click.command(help=HELP)
@click.argument(
    "recordings",
    nargs=-1,
    required=True,
    metavar="RECORDING...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/import"),
    show_default=True,
    help="A new or empty folder for the log.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_(recordings: tuple[str, ...], out: Path, *, as_json: bool) -> None:
    """Put recorded errors through the stack."""
    from fleet.recordings.carry import carry
    from fleet.recordings.reading import load
    from fleet.recordings.report import as_object, lines_of

    read = []
    for path in recordings:
        with click.open_file(path, "rb") as file:
            read.append(load(path, file))
    imported = carry(read, out)
    if as_json:
        click.echo(json.dumps(as_object(imported)))
    else:
        for line in lines_of(imported):
            click.echo(line)
    if imported.summary.interrupted:
        click.echo(f"interrupted; what was taken so far is in {out}", err=True)
        sys.exit(INTERRUPTED)


command = import_
