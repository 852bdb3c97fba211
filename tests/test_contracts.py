"""The import contracts hold, and each of them goes red when it is broken."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("nodes", "fleet", "consumers")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages and their contracts, to be broken."""
    folder = tmp_path_factory.mktemp("contracts")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def contracts(folder):
    """Exit code and output of the checker."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_contracts_hold(copy):
    code, said = contracts(copy)
    assert code == 0, said


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("nodes/linux/traps.py", "import time", "Below actor.py"),
        ("nodes/stack/machine.py", "import asyncio", "Below actor.py"),
        ("nodes/spec/bits.py", "import random", "Below actor.py"),
        ("nodes/el3/monitor.py", "import logging", "Below actor.py"),
        ("nodes/spec/bits.py", "import nodes.hardware.fault", "The floors of a host"),
        ("nodes/hardware/board.py", "import nodes.el3.monitor", "The floors of a host"),
        ("nodes/policy.py", "import fleet.codec", "consumers > fleet > nodes"),
        ("fleet/codec.py", "import consumers", "consumers > fleet > nodes"),
        ("nodes/actor.py", "import aiokafka", "aiokafka"),
        ("consumers/__init__.py", "import nodes.stack.machine", "consumers know of a host only"),
    ],
)
def test_a_broken_contract_is_said(copy, module, line, contract):
    path = copy / module
    whole = path.read_text()
    try:
        path.write_text(f"{whole}\n\n{line}\n")
        code, said = contracts(copy)
    finally:
        path.write_text(whole)
    assert code != 0
    broken = [row for row in said.splitlines() if row.endswith("BROKEN")]
    assert any(contract in row for row in broken), said


def imported(path):
    """The top-level packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_aiokafka_appears_only_under_the_log():
    users = {
        path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "aiokafka" in imported(path)
    }
    assert users, "the log writes record batches with it"
    assert all(path.is_relative_to(ROOT / "fleet" / "log") for path in users)


def test_only_the_actor_awaits_among_the_floors_of_a_host():
    waiting = {
        path.name
        for path in (ROOT / "nodes").rglob("*.py")
        if any(
            isinstance(node, ast.Await | ast.AsyncFunctionDef) for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert waiting == {"actor.py"}
