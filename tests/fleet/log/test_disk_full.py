"""A disk that takes no more: one line that says where, exit code 2, and nothing that was acknowledged is lost.

The limit on a file's size stands for the full disk: a write is cut short, the next one fails.
"""

import resource
import subprocess
import sys

import pytest

from fleet.integrity import check
from fleet.log.files import FileLog
from fleet.partition import PARTITIONS_MAX
from nodes.events import SYNDROME
from tests.fleet.log.contract import entries, read, record
from tests.runs import ROOT, is_beginning, records, storm

MANIFEST = 4096  # bytes, at least as much as a manifest has
COMMITTER = """
import asyncio, pathlib, sys
from fleet.log.files import FileLog
from tests.fleet.log.contract import manifest_of, record
from nodes.events import CPER, SYNDROME

async def write(folder):
    writer = FileLog.create(folder, manifest_of()).writer(0)
    for number in range(1000):
        await writer.commit({SYNDROME: [record(number)], CPER: [record(number)]})
        print(number, flush=True)

asyncio.run(write(pathlib.Path(sys.argv[1])))
"""


def limited(words, *, file_size):
    """Run a program that may write files up to a size in bytes."""
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size)),
    )


@pytest.mark.parametrize("file_size", [4000, 4011, 4217])
def test_what_was_acknowledged_is_there(tmp_path, file_size):
    ended = limited(["-c", COMMITTER, str(tmp_path / "run")], file_size=file_size)
    acknowledged = len(ended.stdout.splitlines())
    found = read(FileLog.open(tmp_path / "run"), SYNDROME)

    assert 5 < acknowledged < 1000
    assert found == entries(SYNDROME, 0, [record(n) for n in range(acknowledged)])
    assert "0000-0000.log: cannot write: File too large" in ended.stderr.splitlines()[-1]


RUN = ["-m", "fleet", "run", "--hosts", "8", "--faults", "800", "--out"]  # the small storm


@pytest.mark.parametrize("file_size", [20, 3000, 64 * 1024])
def test_a_run_ends_with_one_line_and_an_exit_code_and_keeps_its_beginning(tmp_path, file_size, whole):
    ended = limited([*RUN, str(tmp_path / "run")], file_size=file_size)

    assert (ended.returncode, ended.stdout) == (2, "")
    estimate, *line = ended.stderr.splitlines()
    (line,) = line or [estimate]  # the smallest disk does not even take the manifest
    assert line.startswith(f"rasfleet: {tmp_path}")
    assert line.endswith("cannot write: File too large")
    if file_size > 2 * MANIFEST:
        log = FileLog.open(tmp_path / "run")
        assert log.summary() is None
        assert is_beginning(records(log), whole)
        assert check(log).whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return records(storm(tmp_path_factory.mktemp("whole") / "run")[1])


def test_files_that_may_not_be_opened_end_a_run_as_well(tmp_path):
    ended = subprocess.run(
        [sys.executable, *RUN, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)),
    )

    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith("Too many open files")


def test_as_many_partitions_as_a_scenario_may_have_can_be_open_at_once(tmp_path):
    (tmp_path / "wide.toml").write_text(f'name = "wide"\npartitions = {PARTITIONS_MAX}\n[[hosts]]\n')
    ended = subprocess.run(
        [sys.executable, "-m", "fleet", "run", str(tmp_path / "wide.toml"), "--out", str(tmp_path / "run")],
        check=False,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)),
    )

    assert ended.returncode == 0
