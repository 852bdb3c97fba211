"""``rasfleet verify``: a run again, every event compared."""

import json
import sys
from typing import Final

import click

from fleet.place import of_brokers

DIFFERS: Final = 1


@click.command()
@click.argument("run")
@of_brokers
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(run: str, kafka: str | None, *, as_json: bool) -> None:
    """Run RUN again and compare every event, byte for byte.

    The commands come from the log; where a scenario made them, they are made again too. Nothing is written. The
    first difference of each partition is told, and exit code 1 says that there is one. A run that was cut off is
    compared as far as it goes.
    """
    from fleet.engine.again import run_again, told
    from fleet.place import opened

    with opened(run, kafka) as log:
        compared = run_again(log)
    if as_json:
        differences = [difference.as_object() for difference in compared.differences]
        same = not compared.difference_count
        click.echo(json.dumps(compared._asdict() | {"differences": differences, "same": same}))
    else:
        for difference in compared.differences:
            click.echo(told(difference))
        if compared.missing:
            click.echo(f"the run was cut off: {compared.missing:,} further events come when it is run again")
        said = f"{compared.difference_count:,} differ" if compared.difference_count else "all the same"
        click.echo(f"{compared.records:,} records compared: {said}")
        click.echo(f"digest {compared.digest}")
    if compared.difference_count:
        sys.exit(DIFFERS)


command = verify
