"""The README's commands, run as a reader would: in a checkout's place, one after the other.

``python -m tests.readme`` writes what they print into the README. In an output a line ``…`` stands for any lines,
and times that a clock measured are written as ``… s``.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_RECIPE = re.compile(r"^run:.*\n((?:\t.*\n)+)", re.MULTILINE)
_MEASURED = re.compile(r"\bin [\d.]+ s\b")
ANY = "…"
RUNS = "runs/make-run"


class Step(NamedTuple):
    """A command and what the README says that it prints."""

    command: str
    output: list[str]


def steps_of(block: str) -> list[Step]:
    """The commands of a console block."""
    steps: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], []))
        else:
            steps[-1].output.append(line)
    return steps


def blocks() -> list[str]:
    """The console blocks of the README."""
    return _BLOCK.findall(README.read_text())


def place(folder: Path) -> Path:
    """A folder in which the commands run: it holds what a checkout holds."""
    for name in ("deploy", "tests"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def recipe() -> list[str]:
    """What ``make run`` runs and echoes."""
    found = _RECIPE.search((ROOT / "Makefile").read_text())
    assert found, "the Makefile has no target run"
    lines = [line.strip() for line in found[1].splitlines()]
    return [line.replace("$(BIN)", ".venv/bin").replace("$(RUNS)", RUNS) for line in lines if line[0] != "@"]


def printed(command: str, folder: Path) -> list[str]:
    """What a command prints, standard error included; ``make run`` echoes each line of its recipe."""
    if command != "make run":
        return _printed(command, folder)
    return [line for step in recipe() for line in (step, *_printed(step.removeprefix(".venv/bin/"), folder))]


def _printed(command: str, folder: Path) -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return [_MEASURED.sub("in … s", line.rstrip()) for line in done.stdout.splitlines()]


def differs(expected: list[str], found: list[str]) -> str:
    """The first line of the first part that is not found in its place; empty when all are."""
    parts = _parts([line.rstrip() for line in expected])
    if len(parts) == 1:
        return "" if parts[0] == found else (parts[0] or ["(nothing)"])[0]
    at = 0
    for index, part in enumerate(parts):
        places = list(range(at, len(found) + 1)) if index else [0]
        if index == len(parts) - 1 and part:
            places = [len(found) - len(part)]
        place = next((i for i in places if found[i : i + len(part)] == part), -1)
        if place < at:
            return part[0]
        at = place + len(part)
    return ""


def _parts(expected: list[str]) -> list[list[str]]:
    """What stands between lines ``…``."""
    parts: list[list[str]] = [[]]
    for line in expected:
        if line.strip() == ANY:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _renewed(expected: list[str], found: list[str]) -> list[str]:
    """What is printed now, cut as the README cuts it.

    Behind a line ``…`` stand as many lines as before, from the first that differs from the old in numbers only;
    behind the last one all to the end, from the last such line.
    """
    parts = _parts(expected)
    if len(parts) == 1:
        return found
    renewed: list[str] = []
    at = 0
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if index:
            renewed.append(ANY)
        if index and part:
            places = [i for i in range(at, len(found)) if _shape(found[i]) == _shape(part[0])]
            assert places, f"nothing like this is printed any more: {part[0]}"
            at = places[-1 if last else 0]
        renewed += found[at:] if last and part else found[at : at + len(part)]
        at += len(part)
    return renewed


def _shape(line: str) -> str:
    return re.sub(r"[0-9a-f]{8,}|[\d,]+|\s+", "#", line)


def update() -> None:
    """Write what the commands print into the README."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as name:
        folder = place(Path(name))
        for block in blocks():
            lines = []
            for step in steps_of(block):
                lines.append(f"$ {step.command}")
                if step.command == "make test":
                    lines += step.output
                else:
                    lines += _renewed(step.output, printed(step.command, folder))
            text = text.replace(
                f"```console\n{block}```", "```console\n" + "".join(f"{x}\n" for x in lines) + "```"
            )
    README.write_text(text)


if __name__ == "__main__":
    update()
