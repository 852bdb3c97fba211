"""``rasfleet topics``: a run's topics."""

import json
import shlex
import sys
from typing import TYPE_CHECKING

import click

from fleet.place import of_brokers

if TYPE_CHECKING:
    from fleet.log.kafka.kept import Removed


@click.command()
@click.argument("run")
@of_brokers
@click.option("--create", "action", flag_value="create", help="Make those that are missing.")
@click.option("--delete", "action", flag_value="delete", help="Remove the run with everything that it holds.")
@click.option(
    "--acls", "action", flag_value="acls", help="Print what gives each role its access, for a shell; asks nobody."
)
@click.option("--yes", is_flag=True, help="Remove without asking once more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def topics(run: str, kafka: str | None, action: str | None, *, yes: bool, as_json: bool) -> None:
    """Show the topics of RUN with their partitions, replicas and settings; make them, or remove them.

    --acls prints lines for Kafka's own kafka-acls, of each role as a user. RUN need not be there yet:
    rasfleet topics RUN --acls | sh -s -- --bootstrap-server HOST:PORT --command-config ADMIN.PROPERTIES
    """
    from fleet.log.kafka import kept
    from fleet.log.kafka.names import word_of
    from fleet.place import brokers_of, servers_of

    if action == "acls":
        _print_acls(run, as_json=as_json)
        return
    brokers = brokers_of(servers_of(kafka))
    if action == "delete":
        if not yes and not _confirmed(run):
            raise click.UsageError(f"run {word_of(run)} is left as it is; say --yes to remove it")
        removed = kept.delete(brokers, run)
        click.echo(f"run {word_of(run)}: removed {_told(removed)}", err=True)
        return
    if action == "create":
        kept.create(brokers, run)
    found = kept.topics(brokers, run)
    if as_json:
        click.echo(json.dumps([topic._asdict() for topic in found]))
        return
    for topic in found:
        click.echo(f"{topic.name}: {topic.partitions} partitions, {topic.replicas} replicas")
        for name, value in topic.settings.items():
            click.echo(f"  {name:36}{value}")


def _told(removed: "Removed") -> str:
    from fleet.log.kafka.names import RUNS

    topics, records = removed
    said = [f"{topics} topic{'s' * (topics != 1)}"] if topics else []
    said += [f"{records} record{'s' * (records != 1)} of {RUNS}"] if records else []
    return " and ".join(said)


def _print_acls(run: str, *, as_json: bool) -> None:
    from fleet.log.kafka.acls import acls

    if as_json:
        click.echo(json.dumps([acl._asdict() for acl in acls(run)]))
        return
    for acl in acls(run):
        click.echo(f'kafka-acls.sh "$@" {shlex.join(acl.words())}')


def _confirmed(run: str) -> bool:
    """Asked on a terminal, and only there."""
    from fleet.log.kafka.names import word_of

    if not sys.stdin.isatty():
        return False
    return click.confirm(f"Remove run {word_of(run)}, all its commands and events?", err=True)


command = topics
