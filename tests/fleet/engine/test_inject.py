"""A fault that is sent to a run: in the log when the command ends, taken once, whenever it comes."""

import json
import subprocess
import sys

import pytest

from fleet.codec import decode_command
from fleet.engine.again import run_again
from fleet.engine.inject import inject
from fleet.integrity import check
from fleet.log.files import FileLog
from fleet.partition import partition_of
from fleet.view.tracing import NotTraceable, Wanted
from nodes.events import COMMAND
from nodes.events import commands as c
from tests.runs import ROOT, SMALL, rasfleet, records, storm

HOST = "host-0003"
PARTITION = partition_of(HOST, 12)


@pytest.fixture
def over(tmp_path):
    """The small storm, over."""
    storm(tmp_path / "run")
    return FileLog.open(tmp_path / "run")


def last_command(log):
    return decode_command(next(log.commands_backwards(PARTITION)).value)


def test_a_fault_stands_behind_everything_and_names_itself(over):
    before = len(list(over.read(COMMAND, PARTITION)))
    sent = inject(over, HOST, Wanted("memory-uer", guest=1))
    command = last_command(over)

    assert (sent.host, sent.partition, sent.offset, sent.commands) == (HOST, PARTITION, before, 1)
    assert (command.n, command.sequence, command.origin) == (before, before + 1, 1)
    assert (type(command), command.host, command.guest, command.address) == (c.InjectFault, HOST, 1, sent.address)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("esr:0xbe000011", c.PendSError), ("guest-esr:0xbe000411", c.PendSError), ("vserror:0x411", c.SetVcpuEvents)],
)
def test_raw_beginnings_can_be_sent_too(over, fault, kind):
    inject(over, HOST, Wanted(fault, guest=0))

    assert type(last_command(over)) is kind


@pytest.mark.parametrize(
    ("wanted", "given", "says"),
    [
        (Wanted("block:big"), {"block": bytes(400_000)}, "block:big: a block of 400,000 bytes: .* at most 61,440"),
        (Wanted("block:big"), {"block": bytes(61_441)}, "at most 61,440"),
        (Wanted("memory-ce"), {"pe": 16}, "memory-ce: pe 16: on this host 0 to 15"),
        (Wanted("esr:0xbe000011"), {"pe": 255}, "esr:0xbe000011: pe 255: on this host 0 to 15"),
    ],
)
def test_what_could_only_become_a_dead_letter_is_not_sent(over, wanted, given, says):
    before = records(over)

    with pytest.raises(NotTraceable, match=says):
        inject(over, HOST, wanted, **given)
    assert records(FileLog.open(over.folder)) == before
    assert inject(over, HOST, Wanted("block:big"), block=bytes(61_440), pe=15).commands == 1


@pytest.mark.parametrize(
    ("host", "wanted", "says"),
    [
        ("host-9999", Wanted("memory-ce"), 'no host "host-9999"'),
        (HOST, Wanted("memory-cee"), 'did you mean "memory-ce"'),
        (HOST, Wanted("memory-ce", guest=4), "the host has 4, counted from 0"),
        (HOST, Wanted("memory-ce", address=0x80000000, guest=3), "belongs to guest 0, not to guest 3"),
        (HOST, Wanted("guest-esr:0xbe000411"), "concerns a guest"),
    ],
)
def test_what_cannot_be_sent_is_one_line_and_changes_nothing(over, host, wanted, says):
    before = records(over)

    with pytest.raises(NotTraceable, match=says):
        inject(over, host, wanted)
    assert records(FileLog.open(over.folder)) == before


def test_a_fault_alone_needs_brokers_to_find_its_run(monkeypatch):
    monkeypatch.delenv("RASFLEET_KAFKA", raising=False)
    done, all_missing = rasfleet("inject", "memory-ce", "--host", HOST), rasfleet("inject", "--host", HOST)

    assert (done.returncode, all_missing.returncode) == (2, 2)
    assert "Missing argument 'RUN': only with --kafka or RASFLEET_KAFKA" in done.stderr
    assert "Expected [RUN] FAULT" in all_missing.stderr


def test_a_run_that_is_over_takes_it_when_it_is_resumed(over):
    whole = records(over)
    inject(over, HOST, Wanted("memory-uer", guest=1), count=2)
    waiting = check(over)
    done = rasfleet("resume", over.folder, "--json")
    told = json.loads(done.stdout)
    after = records(FileLog.open(over.folder))

    assert (waiting.whole, waiting.waiting) == (True, 2)
    assert done.returncode == 0
    assert told["faults"] == SMALL["faults"] + 2
    assert told["ledger"]["injected"] == SMALL["faults"] + 2
    assert all(after[place][: len(part)] == part for place, part in whole.items())
    assert check(FileLog.open(over.folder)).problems == []
    assert run_again(FileLog.open(over.folder)).difference_count == 0


def test_what_waits_for_resume_is_no_difference_and_is_told(over):
    inject(over, HOST, Wanted("memory-uer", guest=1), count=2)
    again = run_again(FileLog.open(over.folder))
    told = rasfleet("log", "verify", over.folder).stdout

    assert (again.difference_count, again.digest) == (0, over.summary().digest)
    assert "2 commands, for rasfleet resume" in told
    assert "as the run had it" not in told


def test_a_run_that_has_nothing_new_is_left_as_it_is(over):
    before = {path: path.read_bytes() for path in over.folder.rglob("*") if path.is_file()}
    done = rasfleet("resume", over.folder)

    assert done.returncode == 0
    assert over.summary().digest in done.stdout
    assert {path: path.read_bytes() for path in over.folder.rglob("*") if path.is_file()} == before


def test_faults_that_are_sent_while_a_run_goes_on_are_taken_once_and_in_order(tmp_path):
    folder = tmp_path / "run"
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "fleet",
            "run",
            "storm",
            "--hosts",
            "8",
            "--faults",
            "16000",
            "--json",
            "--out",
            folder,
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    while not (folder / "manifest.json").exists():
        assert running.poll() is None
    sent = [inject(FileLog.open(folder), HOST, Wanted("memory-ce"), pe=number) for number in range(5)]
    told = json.loads(running.stdout.read())
    running.stdout.close()
    assert running.wait() == 0
    log = FileLog.open(folder)
    taken = [decode_command(entry.value) for entry in log.read(COMMAND, PARTITION)]

    assert told["faults"] == 16005
    assert [command.pe for command in taken if getattr(command, "origin", 0) == 1] == [0, 1, 2, 3, 4]
    assert [one.offset for one in sent] == sorted(one.offset for one in sent)
    assert check(log).problems == []
    assert run_again(log).difference_count == 0


def test_the_command_says_what_it_sent(over):
    done = rasfleet("inject", over.folder, "memory-uer", "--host", HOST, "--guest", "1", "--json")

    assert json.loads(done.stdout)["offset"] == last_command(over).n
    assert json.loads(done.stdout)["address"] == hex(last_command(over).address)


def test_the_command_ends_with_2_for_a_host_that_nobody_has(over):
    done = rasfleet("inject", over.folder, "memory-uer", "--host", "hos-0003")

    assert done.returncode == 2
    assert 'no host "hos-0003"' in done.stderr
