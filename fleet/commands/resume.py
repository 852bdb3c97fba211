"""``rasfleet resume``: a run goes on from where it stands."""

from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import click

from fleet.options import at_speed, metered, with_metrics
from fleet.place import of_brokers

if TYPE_CHECKING:
    from fleet.service.serving import Address

WORKERS_MAX: Final = 64


HELP: Final = """Carry RUN on: after a stop or a crash, or when commands were sent to it that it has not handled.

Every shard starts from its last checkpoint. What stands in the log already is compared, not written again; a
difference ends it with exit code 1 and the place. A run that is over and has no new commands is left as it is.
"""


class Given(TypedDict):
    """The options of the command line."""

    kafka: str | None
    workers: int | None
    speed: float | None
    metrics: "Address | None"
    take_over: bool
    as_json: bool


@click.command(help=HELP)
@click.argument("run")
@of_brokers
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    help="Worker processes; as many as there are cores by default.",
)
@at_speed
@with_metrics
@click.option("--take-over", is_flag=True, help="On Kafka: from a program that carries it out now; that one ends.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object, as run --json does.")
def resume(run: str, **given: Unpack[Given]) -> None:
    """Carry a run on."""
    from fleet.commands.run import finish
    from fleet.engine.carried import go_on
    from fleet.engine.console import Carrying
    from fleet.engine.supervisor import cores
    from fleet.log.files import FileLog
    from fleet.place import open_log, say

    log = open_log(run, given["kafka"])
    if isinstance(log, FileLog):
        name, group = str(log.folder), ""
    else:
        from fleet.log.kafka.names import group_of

        name, group = log.run, group_of(log.run)
    with metered(given["metrics"], log.manifest, name, group, say) as meter:
        told = go_on(
            log, Carrying(given["workers"] or cores(), given["speed"], meter), takes_over=given["take_over"]
        )
    finish(told, as_json=given["as_json"])


command = resume
