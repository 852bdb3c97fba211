"""``rasfleet sample``: varied status blocks and CPER records, valid or broken, each with its description."""

from pathlib import Path
from typing import Final

import click

COUNT_MAX: Final = 1_000_000
SEED_MAX: Final = (1 << 64) - 1
NAME_DIGITS: Final = 4  # of a file's number, more when the count asks for it

HELP: Final = """Write varied status blocks or CPER records, for testing what reads them.

Every section type, severity and combination of validity bits, one to several sections, edges of every width.
OUT gets 0000.bin with 0000.json beside it, which holds what `decode --json` says of it. The same seed makes
the same files; a larger count only adds to them.
"""


@click.command(help=HELP)
@click.argument("kind", type=click.Choice(["block", "cper"]))
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=100, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=0, show_default=True, help="What is drawn.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder; new or empty."
)
@click.option("--malformed", is_flag=True, help="Write broken ones; each description says what is wrong.")
def sample(kind: str, count: int, seed: int, out: Path, *, malformed: bool) -> None:
    """Write varied status blocks or CPER records."""
    import json

    from fleet.sample import make, make_malformed

    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} holds something already; give a new or an empty folder.")
    out.mkdir(parents=True, exist_ok=True)
    digits = max(NAME_DIGITS, len(str(count - 1)))
    for index in range(count):
        made = (make_malformed if malformed else make)(kind, seed, index)
        (out / f"{index:0{digits}}.bin").write_bytes(made.octets)
        (out / f"{index:0{digits}}.json").write_text(json.dumps(made.described, indent=1) + "\n")
    click.echo(f"{count} {'malformed ' if malformed else ''}{kind} samples of seed {seed} in {out}")


command = sample
