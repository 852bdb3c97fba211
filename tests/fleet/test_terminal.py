"""A terminal gets colours, unless the environment asks for plain text; then no command leaves an escape in it."""

import os
import pty
import subprocess
import sys

import pytest

from tests.runs import ROOT

RUN = ["run", "storm", "--hosts", "3", "--faults", "50", "--out"]
WORDS = [
    ["trace", "memory-uer"],
    ["trace", "memory-uer", "--compare", "kernel=6.1,6.12"],
    ["decode", "esr", "0xbe000411"],
    ["hest", "--decode"],
    ["import", "deploy/recorded/memory-corrected-fru-text.log", "--out", "{0}/import"],
    ["state", "{0}/run", "--host", "host-0000"],
    ["info", "{0}/run"],
    ["tail", "{0}/run"],
    ["verify", "{0}/run"],
    ["log", "verify", "{0}/run"],
    ["validate", "storm"],
    ["nothing"],
    ["--help"],
]


def on_terminal(words, **changes):
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet", *words],
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=kept | {"TERM": "xterm", "COLUMNS": "100"} | changes,
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            parts.append(os.read(ours, 65536))
        except OSError:  # how a terminal says that its other end is closed
            break
    process.wait()
    os.close(ours)
    return b"".join(parts)


@pytest.fixture(scope="module", params=[{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def plain(request, tmp_path_factory):
    """How plain text is asked for, and a folder with a run."""
    folder = tmp_path_factory.mktemp("plain")
    printed = on_terminal([*RUN, str(folder / "run")], **request.param)
    return request.param, folder, printed


def test_a_run_leaves_no_escapes_where_none_are_wanted(plain):
    _, folder, printed = plain

    assert (folder / "run" / "summary.json").is_file()
    assert b"digest" in printed
    assert b"\x1b" not in printed


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_no_command_leaves_escapes_where_none_are_wanted(plain, words):
    changes, folder, _ = plain
    printed = on_terminal([word.format(folder) for word in words], **changes)

    assert len(printed) > 20
    assert b"\x1b" not in printed


@pytest.mark.parametrize("words", [["trace", "memory-ce"], ["decode", "esr", "0xbe000411"]], ids=" ".join)
def test_another_terminal_gets_colours(words):
    assert b"\x1b[" in on_terminal(words)
    assert b"\x1b[" in on_terminal(words, NO_COLOR="")
