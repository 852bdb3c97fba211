"""``rasfleet schema``: what a scenario may hold, for editors and for people."""

import json

import click


@click.group(name="schema")
def schema() -> None:
    """Print what a scenario may hold: its JSON Schema, or a table of its keys."""


@schema.command(name="scenario")
def scenario() -> None:
    """Print the JSON Schema of scenarios, for an editor: `#:schema FILE` as a scenario's first line."""
    from fleet.schema import schema as declared

    click.echo(json.dumps(declared(), indent=2))


@schema.command(name="keys")
def keys() -> None:
    """Print every key of a scenario as Markdown."""
    from fleet.schema import keys as table

    click.echo(table())


command = schema
