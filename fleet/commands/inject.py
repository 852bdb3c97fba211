"""``rasfleet inject``: a fault for a host of a run that goes on, or that is over."""

import json
import os
import shlex
from typing import Final, TypedDict, Unpack

import click

from fleet.commands.trace import Guest, Number
from fleet.place import BROKERS, of_brokers

COUNT_MAX: Final = 100_000
PE_MAX: Final = 255

HELP: Final = """Send a fault to a host of RUN. With brokers RUN may be left out: the one run that is not over.

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
@click.argument("words", nargs=-1, metavar="[RUN] FAULT")
@of_brokers
@click.option("--host", required=True, help="Its name.")
@click.option("--address", type=Number(), help="Physical address; of a task's page by default.")
@click.option("--guest", type=Guest(), help="The guest that meets it, or none; the address's owner by default.")
@click.option("--at", type=click.Choice(["el0", "el1"]), default="el0", show_default=True, help="What runs there.")
@click.option("--pe", type=click.IntRange(0, PE_MAX), default=0, show_default=True, help="The PE that meets it.")
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=1, show_default=True, help="So many times.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inject(words: tuple[str, ...], **given: Unpack[Given]) -> None:
    """Send a fault to a host of a run."""
    from fleet.commands.trace import read_block
    from fleet.engine import inject as sending
    from fleet.place import opened, words_of
    from fleet.view.tracing import NotTraceable, Wanted

    run, fault, kafka = _meant(words, given["kafka"])
    wanted = Wanted(fault, given["address"], given["guest"], int(given["at"] == "el1"))
    try:
        with opened(run, kafka) as log:
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
    resume = ["rasfleet", "resume", run, *words_of(kafka)]
    click.echo(f"a run that does not go on takes it with: {shlex.join(resume)}", err=True)


def _meant(words: tuple[str, ...], kafka: str | None) -> tuple[str, str, str | None]:
    """The run, the fault, and the brokers. Raises LogError where no run is named and not one goes on."""
    if len(words) == 2:
        return words[0], words[1], kafka
    if len(words) != 1:
        raise click.UsageError("Expected [RUN] FAULT; rasfleet trace --list names the faults.")
    if not kafka and not os.environ.get(BROKERS):
        raise click.UsageError(f"Missing argument 'RUN': only with --kafka or {BROKERS} it may be left out.")
    from fleet.place import servers_of

    servers = servers_of(kafka)
    return _only_run(servers), words[0], servers


def _only_run(servers: str) -> str:
    from fleet.log.kafka import kept
    from fleet.log.protocol import LogError
    from fleet.place import brokers_of

    going_on = [
        each.run for each in kept.runs(brokers_of(servers)) if isinstance(each, kept.Kept) and each.summary is None
    ]
    if len(going_on) != 1:
        found = ", ".join(going_on) or "none"
        raise LogError(f"{servers}: which run? Those that are not over: {found}; say rasfleet inject RUN FAULT")
    return going_on[0]


command = inject
