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
_MEASURED = re.compile(r"\bin [\d.]+ s\b")
ANY = "…"


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


def printed(command: str, folder: Path) -> list[str]:
    """What a command prints, standard error included."""
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
    """The first expected line that is not found in its place; empty when all are."""
    at = 0
    for index, line in enumerate(expected):
        if line.strip() == ANY:
            continue
        after_any = index > 0 and expected[index - 1].strip() == ANY
        span = found[at:] if after_any else found[at : at + 1]
        if line.rstrip() not in span:
            return line
        at += span.index(line.rstrip()) + 1
    if at < len(found) and not (expected and expected[-1].strip() == ANY):
        return f"(the end, but there is: {found[at]})"
    return ""


def _renewed(expected: list[str], found: list[str]) -> list[str]:
    """What is printed now, cut where the README cuts: after as many lines as it shows before a line ``…``."""
    marks = [line.strip() == ANY for line in expected]
    if not any(marks):
        return found
    head = marks.index(True)
    tail = len(expected) - head - 1
    indent = expected[head][: -len(ANY)]
    return [*found[:head], f"{indent}{ANY}", *(found[-tail:] if tail else [])]


def update() -> None:
    """Write what the commands print into the README."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as name:
        folder = place(Path(name))
        for block in blocks():
            lines = []
            for step in steps_of(block):
                lines.append(f"$ {step.command}")
                if step.command.startswith("make "):
                    lines += step.output
                else:
                    lines += _renewed(step.output, printed(step.command, folder))
            text = text.replace(
                f"```console\n{block}```", "```console\n" + "".join(f"{x}\n" for x in lines) + "```"
            )
    README.write_text(text)


if __name__ == "__main__":
    update()
