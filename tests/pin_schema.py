"""Writes what is made of the declarations: the schema that scenarios name, the table of keys in their README, and
the AsyncAPI document.

``python -m tests.pin_schema`` after a change of ``fleet.scenario.tables`` or ``.script``, events or topics.
"""

import json

from fleet.contract.asyncapi import text
from fleet.scenario.schema import keys, schema
from tests.runs import ROOT

SCHEMA = ROOT / "deploy" / "scenarios" / "scenario.schema.json"
README = ROOT / "deploy" / "scenarios" / "README.md"
ASYNCAPI = ROOT / "deploy" / "asyncapi.yaml"
FIRST = "### The scenario\n"  # of the table of keys
HOW = "The keys of scenarios changed: run python -m tests.pin_schema."


def schema_text():
    return json.dumps(schema(), indent=2) + "\n"


def readme_text(before):
    """The README with the table of keys renewed."""
    return before[: before.index(FIRST)] + keys().rstrip() + "\n"


def main():
    SCHEMA.write_text(schema_text())
    README.write_text(readme_text(README.read_text()))
    ASYNCAPI.write_text(text())


if __name__ == "__main__":
    main()
