"""``rasfleet topics``: a run's topics."""

import json
import sys

import click

from fleet.place import of_brokers


@click.command()
@click.argument("run")
@of_brokers
@click.option("--create", "action", flag_value="create", help="Make those that are missing.")
@click.option("--delete", "action", flag_value="delete", help="Remove the run with everything that it holds.")
@click.option("--yes", is_flag=True, help="Remove without asking once more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def topics(run: str, kafka: str | None, action: str | None, *, yes: bool, as_json: bool) -> None:
    """Show the topics of RUN with their partitions, replicas and settings; make them, or remove them."""
    from fleet.log.kafka import kept
    from fleet.place import brokers_of, servers_of

    brokers = brokers_of(servers_of(kafka))
    if action == "delete":
        if not yes and not _confirmed(run):
            raise click.UsageError(f"run {run} is left as it is; say --yes to remove it")
        click.echo(f"run {run}: {kept.delete(brokers, run)} topics removed", err=True)
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


def _confirmed(run: str) -> bool:
    """Asked on a terminal, and only there."""
    if not sys.stdin.isatty():
        return False
    return click.confirm(f"Remove run {run}, all its commands and events?", err=True)


command = topics
