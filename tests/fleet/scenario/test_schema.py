"""The JSON Schema of a scenario: complete, as it is committed, and what editors make of it."""

import json
import subprocess

import pytest

from fleet.scenario.scenario import bundled, load
from fleet.scenario.schema import schema
from tests.cli import rasfleet
from tests.pin_schema import HOW, README, SCHEMA, readme_text, schema_text
from tests.tools import from_npm, needs_node


@pytest.fixture(scope="session")
def taplo():
    """Taplo, which editors check TOML with."""
    return from_npm("@taplo/cli", "0.7.0") / "node_modules" / ".bin" / "taplo"


def lint(taplo, *words):
    """The exit code of a check."""
    return subprocess.run([taplo, "lint", *words], capture_output=True, check=False).returncode


@pytest.fixture(scope="session")
def declared(tmp_path_factory):
    """What `rasfleet schema scenario` prints, in a file."""
    path = tmp_path_factory.mktemp("schema") / "scenario.json"
    path.write_text(rasfleet("schema", "scenario").out)
    return path


@needs_node
def test_taplo_accepts_every_bundled_scenario(taplo, declared):
    assert lint(taplo, "--schema", declared.as_uri(), *bundled().values()) == 0
    assert lint(taplo, *bundled().values()) == 0, "by their own first lines"


WRONG = {
    "share = 84": "shaer = 84",
    "share = 84\n": "share = 84\nrate_per_host_h = 0.1\n",
    "memory-ce = 80": "memory-cf = 80",
    "count = 10_000": "count = 0",
    "guests = 8": 'guests = "8"',
    'name = "large"': "",
}


@needs_node
@pytest.mark.parametrize("right", WRONG)
def test_taplo_refuses_what_is_misspelt_or_wrong(right, taplo, declared, tmp_path):
    path = tmp_path / "wrong.toml"
    text = load("large")[0].partition("\n")[2]
    assert right in text
    path.write_text(text.replace(right, WRONG[right]))

    assert lint(taplo, "--schema", declared.as_uri(), path) != 0


def objects(part):
    """Every part of a schema that says what a table holds."""
    if isinstance(part, dict):
        if "properties" in part and "type" in part:
            yield part
        for inner in part.values():
            yield from objects(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from objects(inner)


def test_no_table_takes_a_key_that_is_not_declared():
    assert len(list(objects(schema()))) >= 30
    assert all(table["additionalProperties"] is False for table in objects(schema()))


def test_every_key_of_a_scenario_says_what_it_means():
    tables = {"Scenario": schema()} | schema()["$defs"]
    silent = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, declared in table.get("properties", {}).items()
        if key != "do" and "description" not in declared and "$ref" not in declared and "allOf" not in declared
    ]

    assert silent == []


def test_the_schema_that_scenarios_name_is_the_one_that_is_printed():
    assert SCHEMA.read_text() == schema_text() == rasfleet("schema", "scenario").out, HOW
    assert all(load(name)[0].startswith(f"#:schema ./{SCHEMA.name}\n") for name in bundled())


def test_the_table_of_keys_is_the_one_that_is_declared():
    assert README.read_text() == readme_text(README.read_text()), HOW
    assert README.read_text().endswith(rasfleet("schema", "keys").out.rstrip() + "\n")


def test_the_schema_names_its_draft_and_itself():
    found = json.loads(rasfleet("schema", "scenario").out)

    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["$id"] == "urn:rasfleet:scenario"
