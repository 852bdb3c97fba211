"""``rasfleet runs``: the runs that brokers keep."""

import json
from typing import TYPE_CHECKING

import click

from fleet.place import of_brokers

if TYPE_CHECKING:
    from fleet.log.kafka.kept import Kept, Unread


@click.command()
@of_brokers
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def runs(kafka: str | None, *, as_json: bool) -> None:
    """List the runs on Kafka: name, scenario, seed, partitions, and how far each is.

    One that cannot be read has a line that says why; in JSON it has nothing but its name and an error.
    """
    from fleet.log.kafka import kept
    from fleet.log.kafka.names import text_of
    from fleet.place import brokers_of, servers_of

    found = [_object(each) for each in kept.runs(brokers_of(servers_of(kafka)))]
    if as_json:
        click.echo(json.dumps([each | {"run": text_of(str(each["run"]))} for each in found]))
        return
    for each in found:
        if "error" in each:
            click.echo(_unread(str(each["run"]), str(each["error"])))
            continue
        click.echo(
            f"{each['run']:24}{each['scenario']:16}seed {each['seed']:<8}{each['partitions']:>3} partitions  "
            f"{each['ended']:<12}{each['digest'] or ''}{_dead(each['dead_letters'])}".rstrip()
        )


def _object(kept: "Kept | Unread") -> dict[str, object]:
    from fleet.log.kafka.kept import Unread

    if isinstance(kept, Unread):
        return {"run": kept.run, "error": kept.why}
    partitions = kept.manifest.partitions
    return {
        "run": kept.run,
        "scenario": kept.manifest.name,
        "seed": kept.manifest.seed,
        "partitions": partitions,
        "behaviour": kept.manifest.behaviour,
        "ended": "finished" if kept.summary is not None else f"{kept.ended} of {partitions}",
        "digest": kept.summary and kept.summary.digest,
        "dead_letters": kept.summary and kept.summary.dead_letters,
    }


def _unread(run: str, why: str) -> str:
    from fleet.log.kafka.names import word_of

    word = word_of(run)
    said = why if why.isprintable() else ascii(why)  # it may name what somebody else wrote
    return f"{word:24}cannot be read: {said}; rasfleet topics {word} --delete removes it"


def _dead(letters: object) -> str:
    return f"  dead letters {json.dumps(letters)}" if letters else ""


command = runs
