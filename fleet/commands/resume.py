"""``rasfleet resume``: a run goes on from where it stands."""

from typing import Final

import click

from fleet.place import of_brokers

WORKERS_MAX: Final = 64


@click.command()
@click.argument("run")
@of_brokers
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    help="Worker processes; as many as there are cores by default.",
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object, as run --json does.")
def resume(run: str, kafka: str | None, workers: int | None, *, as_json: bool) -> None:
    """Carry RUN on: after a stop or a crash, or when commands were sent to it that it has not handled.

    Every shard starts from its last checkpoint. What stands in the log already is compared, not written again; a
    difference ends it with exit code 1 and the place. A run that is over and has no new commands is left as it is.
    """
    from fleet.carried import go_on
    from fleet.commands.run import finish
    from fleet.place import open_log
    from fleet.supervisor import cores

    finish(go_on(open_log(run, kafka), workers=workers or cores()), as_json=as_json)


command = resume
