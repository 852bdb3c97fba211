"""The program as a whole: help, exit codes, no traceback."""

import os
import resource
import subprocess
import sys

import pytest

from fleet.__main__ import COMMANDS
from tests.cli import rasfleet

HELP_CPU_S = 0.2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_has_help(command):
    done = rasfleet(command, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: rasfleet {command}")


def test_help_names_every_command():
    out = rasfleet("--help").out
    assert all(f"  {command} " in out for command in COMMANDS)


HELP = """
import sys
before, sys.argv = set(sys.modules), ["rasfleet", "--help"]
from fleet.__main__ import main
try:
    main()
finally:
    loaded = set(sys.modules) - before
    further = {name for name in loaded if name.partition(".")[0] not in {*sys.stdlib_module_names, "click"}}
    print(*sorted(further), *sorted(loaded & {"asyncio", "logging", "tomllib"}), file=sys.stderr)
"""


def test_help_imports_nothing_that_it_does_not_need():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["fleet", "fleet.__main__", "fleet.terminal"]


@pytest.mark.parametrize(
    ("words", "code"), [(["--version"], 0), (["nothing"], 2), ([], 2), (["run", "--nothing"], 2), (["log"], 2)]
)
def test_exit_codes(words, code):
    assert rasfleet(*words).code == code


def test_a_defect_is_one_line(monkeypatch):
    import fleet.commands.hest

    def broken(*_):
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(fleet.commands.hest, "_of_host", broken)
    done = rasfleet("hest")
    assert done.code == 70
    assert "a defect of rasfleet, ZeroDivisionError: by nought" in done.err
    assert "Traceback" not in done.err


def test_a_reader_that_has_read_enough_is_no_failure(tmp_path):
    assert rasfleet("run", "--hosts", 3, "--faults", 200, "--out", tmp_path / "run").code == 0
    command = f"'{sys.executable}' -m fleet tail '{tmp_path / 'run'}' | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["141"], "1 would say that something differs"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize(
    "words", ["tail {0}", "info {0} --json", "run --hosts 1 --faults 0 --out {0}-2", "--help"]
)
def test_a_closed_standard_output_is_said_in_a_line(tmp_path, words):
    assert rasfleet("run", "--hosts", 1, "--faults", 0, "--out", tmp_path / "run").code == 0
    command = f"'{sys.executable}' -m fleet {words.format(tmp_path / 'run')} >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("rasfleet: standard output is closed")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run-2").exists()


def test_a_run_that_nobody_reads_is_whole(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    words = ["run", "--hosts", "3", "--faults", "200", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "fleet", *words], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
    assert rasfleet("log", "verify", tmp_path / "run").code == 0


def help_cpu_s():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "fleet", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_takes_little_processor_time():
    """The quickest of five, since other work on the machine only ever adds to it."""
    assert min(help_cpu_s() for _ in range(5)) < HELP_CPU_S, "a module that the help does not need is loaded"
