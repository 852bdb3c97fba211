"""Brokers that are not there: one line and exit code 3 from every command that could need them."""

from importlib import import_module

import click
import pytest

from fleet.__main__ import COMMANDS
from tests.cli import rasfleet

NOBODY = "127.0.0.1:1"
WORDS = {
    "run": ["run", "storm", "--name", "x"],
    "worker": ["worker", "--run", "x"],
    "inject": ["inject", "x", "memory-ce", "--host", "host-0001"],
    "resume": ["resume", "x"],
    "tail": ["tail", "x"],
    "info": ["info", "x"],
    "state": ["state", "x", "--host", "host-0001"],
    "verify": ["verify", "x"],
    "runs": ["runs"],
    "topics": ["topics", "x"],
    "log verify": ["log", "verify", "x"],
    "log copy": ["log", "copy", "kafka:x", "copy"],
}


def asking():
    """The commands that have the option, by their words."""
    found = {}
    for name in COMMANDS:
        command = import_module(f"fleet.commands.{name.replace('import', 'import_')}").command
        of = command.commands if isinstance(command, click.Group) else {"": command}
        found |= {f"{name} {sub}".strip(): each for sub, each in of.items()}
    return {name for name, each in found.items() if any(option.name == "kafka" for option in each.params)}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_broker_that_is_not_there_is_one_line_and_exit_code_3(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = rasfleet(*words, "--kafka", NOBODY)

    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"rasfleet: {NOBODY}: no broker answers")
    assert done.err.count("\n") == 1


def test_no_command_that_takes_brokers_is_forgotten():
    assert asking() == set(WORDS)
