"""``rasfleet inject``: a fault for a host of a run that goes on, or that is over."""

import json
import shlex
from typing import Final, TypedDict, Unpack

import click

from fleet.commands.trace import Guest, Number
from fleet.place import of_brokers

COUNT_MAX: Final = 100_000
PE_MAX: Final = 255

HELP: Final = """Send a fault to a host of RUN.

FAULT is a name (rasfleet trace --list), or raw: esr:0x..., guest-esr:0x..., vserror:0x..., block:FILE. It stands
in the log when this ends, and happens behind the commands that its partition holds by then: its time is that of
the partition's clock when its turn comes. A run that goes on writes its commands some thousands ahead of what it
has handled (on Kafka all of them), a short one all at once; then the fault comes behind its end. A run that was
stopped or is over takes it when it is resumed.
"""


class Given(TypedDict):
    """The options of the command line."""

    kafka: str | None
    host: str
    address: int | None
    guest: int | None
    at: str
    pe: int
    count: int
    as_json: bool


@click.command(help=HELP)
@click.argument("run")
@click.argument("fault")
@of_brokers
@click.option("--host", required=True, help="Its name.")
@click.option("--address", type=Number(), help="Physical address; of a task's page by default.")
@click.option("--guest", type=Guest(), help="The guest that meets it, or none; the address's owner by default.")
@click.option("--at", type=click.Choice(["el0", "el1"]), default="el0", show_default=True, help="What runs there.")
@click.option("--pe", type=click.IntRange(0, PE_MAX), default=0, show_default=True, help="The PE that meets it.")
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=1, show_default=True, help="So many times.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inject(run: str, fault: str, **given: Unpack[Given]) -> None:
    """Send a fault to a host of a run."""
    from fleet.commands.trace import read_block
    from fleet.engine import inject as sending
    from fleet.place import opened, words_of
    from fleet.view.tracing import NotTraceable, Wanted

    wanted = Wanted(fault, given["address"], given["guest"], int(given["at"] == "el1"))
    try:
        with opened(run, given["kafka"]) as log:
            sent = sending.inject(
                log, given["host"], wanted, block=read_block(fault), count=given["count"], pe=given["pe"]
            )
    except NotTraceable as wrong:
        raise click.UsageError(str(wrong)) from None
    if given["as_json"]:
        address = None if sent.address is None else f"0x{sent.address:x}"
        click.echo(json.dumps(sent._asdict() | {"address": address}))
        return
    where = "" if sent.address is None else f" at 0x{sent.address:x}"
    click.echo(
        f"{fault}{where} for {sent.host}: {sent.commands} in ras.command.v1, partition {sent.partition}, "
        f"offset {sent.offset}"
    )
    resume = ["rasfleet", "resume", run, *(words_of(given["kafka"]) if given["kafka"] else [])]
    click.echo(f"a run that does not go on takes it with: {shlex.join(resume)}", err=True)


command = inject
