"""``rasfleet schema``: what a scenario may hold, and what a run's topics do."""

import json

import click


@click.group(name="schema")
def schema() -> None:
    """Print what a scenario may hold, and what the topics of a run hold."""


@schema.command(name="scenario")
def scenario() -> None:
    """Print the JSON Schema of scenarios, for an editor: `#:schema FILE` as a scenario's first line."""
    from fleet.scenario.schema import schema as declared

    click.echo(json.dumps(declared(), indent=2))


@schema.command(name="keys")
def keys() -> None:
    """Print every key of a scenario as Markdown."""
    from fleet.scenario.schema import keys as table

    click.echo(table())


@schema.command(name="event")
def event() -> None:
    """Print the JSON Schema of events: as rasfleet tail --json prints them, and as arrays on the wire."""
    from fleet.contract.wire import EVENTS, schemas

    click.echo(json.dumps(schemas(EVENTS, "event"), indent=2))


@schema.command(name="command")
def command_() -> None:
    """Print the JSON Schema of commands: as rasfleet tail --json prints them, and as arrays on the wire."""
    from fleet.contract.wire import COMMANDS, schemas

    click.echo(json.dumps(schemas(COMMANDS, "command"), indent=2))


@schema.command(name="asyncapi")
def asyncapi() -> None:
    """Print the AsyncAPI document of a run's topics on Kafka, as deploy/asyncapi.yaml has it."""
    from fleet.contract.asyncapi import text

    click.echo(text(), nl=False)


command = schema
