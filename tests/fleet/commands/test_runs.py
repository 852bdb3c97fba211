"""A run from its command line to its last look: run, info, tail, state, verify, log verify, validate."""

import json
import os

import msgpack
import pytest

from fleet.codec import TOPICS
from fleet.log.files import FileLog
from tests.cli import rasfleet

SIZE = ("--hosts", 12, "--guests", 2, "--faults", 600, "--seed", 7)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run, and the object that it ended with."""
    out = tmp_path_factory.mktemp("runs") / "run"
    done = rasfleet("run", "storm", *SIZE, "--out", out, "--json")
    assert (done.code, done.err) == (0, "")
    return out, json.loads(done.out)


def test_a_run_ends_with_the_declared_object(run):
    _, told = run
    assert set(told) >= {
        "scenario", "seed", "hosts", "guests", "workers", "faults", "events", "outcomes", "ledger", "digest",
        "seconds", "repeat",
    }  # fmt: skip
    assert (told["scenario"], told["seed"], told["hosts"], told["guests"]) == ("storm", 7, 12, 24)
    assert (told["workers"], told["faults"]) == (2, 600)
    assert set(told["events"]) == {"ras.syndrome.v1", "ras.cper.v1", "ras.outcome.v1"}
    assert set(told["outcomes"]) <= {"hardware", "el3", "hypervisor", "vmm", "guest_firmware", "guest_kernel"}


def test_every_injected_error_is_in_the_ledger(run):
    ledger = run[1]["ledger"]
    for part, injected in ((ledger, 600), (ledger["guests"], ledger["guests"]["injected"])):
        ended = part["ended"]
        whole = sum(part["open"].values()) + sum(ended["lost"].values())
        assert part["injected"] == injected == whole + sum(n for name, n in ended.items() if name != "lost")


def test_the_line_that_repeats_a_run_repeats_it(run, tmp_path):
    _, told = run
    words = told["repeat"].split()
    assert words[0] == "rasfleet"
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert json.loads(rasfleet(*words[1:], "--json").out)["digest"] == told["digest"]


def test_people_are_told_the_same(run, tmp_path):
    _, told = run
    out = rasfleet("run", "storm", *SIZE, "--out", tmp_path / "people").out
    assert told["digest"] in out
    assert "= open + ended" in out
    assert "\x1b" not in out, "no colour without a terminal"
    for count in told["events"].values():
        assert f"{count:,}" in out


def test_a_folder_that_holds_something_is_refused(run):
    done = rasfleet("run", "--out", run[0])
    assert done.code == 2
    assert "holds something already" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hosts", "0"], "0 is not in the range"),
        (["nothing"], "no such file"),
        (["--faults", "-1"], "-1 is not in the range"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--host", "3"], "No such option"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(words, said, tmp_path):
    done = rasfleet("run", "--out", tmp_path / "run", *words)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "run").exists()


def test_info_says_what_a_run_is_and_holds(run):
    out, told = run
    info = json.loads(rasfleet("info", out, "--json").out)
    assert {topic: info["records"][topic] for topic in told["events"]} == told["events"]
    assert (info["ended"], info["digest"], info["hosts"]) == ("finished", told["digest"], 12)
    assert told["digest"] in rasfleet("info", out).out


def test_tail_prints_every_event_by_name(run):
    out, told = run
    lines = rasfleet("tail", out, "--json").lines
    assert len(lines) == sum(told["events"].values())
    assert all(line.keys() >= {"topic", "partition", "event", "host", "time_ns"} for line in lines)
    assert [line["time_ns"] for line in lines] == sorted(line["time_ns"] for line in lines)
    block = next(line for line in lines if line["event"] == "StatusBlockWritten")
    assert bytes.fromhex(block["block"])
    recorded = next(line for line in lines if line["event"] == "ErrorRecorded")
    assert recorded["status"].startswith("0x")


def test_tail_chooses_by_topic_host_and_time(run):
    out, _ = run
    lines = rasfleet("tail", out, "--json", "--topic", "outcome", "--host", "host-0003", "--since", "30m").lines
    assert lines
    assert {(line["topic"], line["host"]) for line in lines} == {("ras.outcome.v1", "host-0003")}
    assert min(line["time_ns"] for line in lines) >= 1800 * 10**9
    dated = rasfleet("tail", out, "--json", "--host", "host-0003", "--since", "2026-01-01T00:30:00Z").lines
    assert [line for line in dated if line["topic"] == "ras.outcome.v1"] == lines


@pytest.mark.parametrize("more", [[], ["--follow"]], ids=str)
def test_tail_refuses_a_host_that_is_none(run, more):
    done = rasfleet("tail", run[0], "--host", "host-0033", *more)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert 'no host "host-0033" in' in done.err
    assert rasfleet("tail", run[0], "--host", "host-0033", "--topic=command", *more).code == 0  # of anyone


def test_a_copy_to_a_folder_that_is_there_names_no_option_that_it_has_not(run, tmp_path):
    (tmp_path / "full" / "of").mkdir(parents=True)
    done = rasfleet("log", "copy", run[0], tmp_path / "full")

    assert done.code == 2
    assert done.err == f"rasfleet: {tmp_path}/full: holds something already; choose another folder, or remove it\n"


def test_tail_shows_commands_when_asked(run):
    lines = rasfleet("tail", run[0], "--topic", "command", "--json").lines
    injected = [line for line in lines if line["event"] == "InjectFault"]
    assert len(injected) == 600
    assert injected[0]["fault"] in {
        "memory-ce",
        "cache-ce",
        "tlb-ce",
        "bus-ce",
        "pcie-ce",
        "memory-uer",
        "memory-de",
    }


def test_the_sequence_of_a_host_has_no_gap(run):
    lines = rasfleet("tail", run[0], "--json", "--host", "host-0005").lines
    assert sorted(line["sequence"] for line in lines) == list(range(1, len(lines) + 1))


def test_text_and_objects_tell_the_same_events(run):
    text = rasfleet("tail", run[0], "--host", "host-0005").out.splitlines()
    assert len(text) == len(rasfleet("tail", run[0], "--json", "--host", "host-0005").lines)
    assert all("host-0005" in line for line in text)


def test_verify_finds_the_same_bytes(run):
    done = rasfleet("verify", run[0], "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["same"], found["digest"]) == (True, run[1]["digest"])
    assert "all the same" in rasfleet("verify", run[0]).out


def test_state_at_the_end_has_the_ledger_of_the_run(run):
    out, told = run
    states = [json.loads(rasfleet("state", out, "--host", f"host-{n:04d}", "--json").out) for n in range(12)]
    assert sum(state["ledger"]["injected"] for state in states) == told["faults"]
    ended = [state["ledger"]["ended"]["reported"] for state in states]
    assert sum(ended) == told["ledger"]["ended"]["reported"]


def test_state_at_a_time_is_what_had_happened_by_then(run):
    out, _ = run
    injected = [
        json.loads(rasfleet("state", out, "--host", "host-0003", "--at", at, "--json").out)["ledger"]["injected"]
        for at in ("0", "10m", "30m", "1h")
    ]
    assert injected == sorted(injected)
    assert injected[0] == 0 < injected[-1]
    assert "host-0003 at 600.0" in rasfleet("state", out, "--host", "host-0003", "--at", "10m").out


def test_a_host_that_nobody_has(run):
    done = rasfleet("state", run[0], "--host", "host-03")
    assert done.code == 2
    assert "did you mean" in done.err


def test_log_verify_says_whole(run):
    done = rasfleet("log", "verify", run[0])
    assert done.code == 0
    assert done.out.endswith("whole\n")
    assert run[1]["digest"] in done.out


def damaged(run, tmp_path, name, change):
    """A copy of a run whose file was changed."""
    copy = tmp_path / "copy"
    for folder, _, files in os.walk(run):
        target = copy / os.path.relpath(folder, run)
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            content = (run / os.path.relpath(folder, run) / file).read_bytes()
            (target / file).write_bytes(content)
    path = next((copy / name).glob("*.log"))
    path.write_bytes(change(path.read_bytes()))
    return copy, path


@pytest.mark.parametrize("folder", ["events", "commands"])
def test_a_flipped_bit_is_told_with_its_place(run, tmp_path, folder):
    copy, path = damaged(run[0], tmp_path, folder, lambda c: c[:99] + bytes([c[99] ^ 1]) + c[100:])
    done = rasfleet("log", "verify", copy)
    assert done.code == 4
    assert f"{path}: at byte" in done.out
    assert rasfleet("verify", copy).code == 4
    rest = rasfleet("tail", copy, "--json", "--topic", "command", "--topic", "outcome")
    assert rest.code == 4
    assert str(path) in rest.err
    assert rest.lines, "what is whole stays readable"


def test_a_truncated_file_is_told_with_its_place(run, tmp_path):
    copy, path = damaged(run[0], tmp_path, "events", lambda c: c[:-7])
    done = rasfleet("log", "verify", copy, "--json")
    assert done.code == 4
    problem = json.loads(done.out)["problems"][0]
    assert (problem["place"], problem["torn"]) == (str(path), False), "the run had ended"


def test_the_end_of_a_run_that_was_cut_off_is_told_as_what_is_still_to_be_written(run, tmp_path):
    copy, path = damaged(run[0], tmp_path, "events", lambda c: c[:-7])
    (copy / "summary.json").unlink()
    done = rasfleet("log", "verify", copy)

    assert done.code == 0
    assert f"{path}: at byte" in done.out
    assert done.out.splitlines()[-1].startswith("whole, but for what is told above: the run is not over")


def test_a_finished_run_without_one_of_its_files_is_not_resumed_until_its_events_may_be_made_again(run, tmp_path):
    copy, path = damaged(run[0], tmp_path, "events", lambda c: c)
    path.unlink()
    refused = rasfleet("resume", copy)
    (copy / "summary.json").unlink()
    resumed = rasfleet("resume", copy)

    assert (refused.code, refused.out) == (4, "")
    assert f"{path}: at byte 0: the file is missing; rasfleet log verify {copy} tells all; remove" in refused.err
    assert resumed.code == 0
    assert f"{path}: the file is missing; its events are made again" in resumed.err
    assert run[1]["digest"] in resumed.out


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_without_some_of_its_commands_is_not_resumed(run, tmp_path, ended):
    copy, path = damaged(run[0], tmp_path, "commands", lambda c: c)
    path.unlink()
    if not ended:
        (copy / "summary.json").unlink()
    refused = rasfleet("resume", copy)

    assert (refused.code, refused.out) == (4, "")
    assert f"{path}: at byte 0: the file is missing, and a run cannot go on without its commands" in refused.err
    assert ("run it again: rasfleet run storm" in refused.err) is ended


def test_a_run_with_another_manifest_is_not_resumed(run, tmp_path):
    copy, _ = damaged(run[0], tmp_path, "events", lambda c: c)
    path = copy / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
    refused = rasfleet("resume", copy)

    assert (refused.code, refused.out) == (4, "")
    assert f"{path}: at byte 0: not the manifest that the run's files were written under" in refused.err


def test_a_run_that_was_cut_off_is_whole_as_far_as_it_goes(run, tmp_path):
    copy, _ = damaged(run[0], tmp_path, "events", lambda c: c[: len(c) // 2])
    (copy / "summary.json").unlink()
    assert rasfleet("log", "verify", copy).code == 0
    done = rasfleet("verify", copy)
    assert done.code == 0
    assert "the run was cut off" in done.out
    assert "was cut off" in rasfleet("info", copy).out


def test_a_log_of_another_behaviour_is_not_run_again(run, tmp_path):
    copy, _ = damaged(run[0], tmp_path, "events", lambda c: c)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"behaviour": 0}))
    done = rasfleet("verify", copy)
    assert done.code == 2
    assert "made with behaviour 0 (rasfleet 0.1.0), and this program has behaviour 1 (rasfleet 0.1.0)" in done.err
    assert "--version says behaviour 0" in done.err
    assert rasfleet("--version").out == "rasfleet, version 0.1.0, behaviour 1\n"


@pytest.mark.parametrize("words", [("tail",), ("info",), ("verify",), ("log", "verify"), ("state", "--host", "a")])
def test_where_no_run_lies(words, tmp_path):
    done = rasfleet(*words, tmp_path)
    assert done.code == 2
    assert "no run lies here" in done.err


def test_a_manifest_that_is_no_manifest(run, tmp_path):
    copy, _ = damaged(run[0], tmp_path, "events", lambda c: c)
    (copy / "manifest.json").write_text("{")
    done = rasfleet("info", copy)
    assert done.code == 4
    assert "manifest.json" in done.err


@pytest.mark.parametrize(
    ("until", "until_s"), [("15m", 900.0), ("900", 900.0), ("0.25h", 900.0), ("900.5s", 900.5)]
)
def test_a_run_that_ends_early_is_the_beginning_of_the_whole_run(run, tmp_path, until, until_s):
    out = tmp_path / "part"
    done = rasfleet("run", "storm", *SIZE, "--out", out, "--until", until, "--json")

    assert done.code == 0
    assert json.loads((out / "manifest.json").read_text())["options"]["until_s"] == until_s
    assert done_by(out, until_s) == done_by(run[0], until_s)
    assert f"--until {until_s:g} " in json.loads(done.out)["repeat"]
    assert rasfleet("verify", out).code == 0


def time_of(value):
    """The virtual time of a record: `[tag, n, host, sequence, time_ns, ...]`."""
    return msgpack.unpackb(value)[4]


def done_by(out, until_s):
    """Every record up to a time, with its place and number."""
    log = FileLog.open(out)
    return {
        (topic, partition): [
            entry.value for entry in log.read(topic, partition) if time_of(entry.value) <= until_s * 10**9
        ]
        for topic in TOPICS
        for partition in range(log.manifest.partitions)
    }


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("2h", "until 7200.0 s: expected a time from 0 to duration_s = 3600.0"),
        ("soon", '"soon": expected seconds'),
    ],
)
def test_an_end_that_is_none_is_refused(tmp_path, until, said):
    done = rasfleet("run", "storm", *SIZE, "--out", tmp_path / "run", "--until", until)

    assert (done.code, said in done.err) == (2, True)
    assert not (tmp_path / "run").exists()


def test_validate_prints_the_plan():
    told = json.loads(rasfleet("validate", "storm", "--json").out)
    assert (told["hosts"], told["guests"], told["faults"]) == (200, 800, 20000)
    assert sum(told["random"].values()) + told["script"]["inject"] == 20000
    assert "valid; run it with" in rasfleet("validate", "storm").out


def test_validate_says_who_is_selected_and_what_is_expected():
    told = json.loads(rasfleet("validate", "fleet", "--json").out)

    assert (told["hosts"], told["guests"], told["firmware"]["2.13"]) == (1_000_000, 4_000_000, 250_000)
    assert told["dimms"]["2347"] == told["random"]["test of the batch"]
    assert told["expected"].keys() == {"dram", "corrected", "uncorrected", "overclocked", "bad batch"}
    assert told["expected"]["corrected"] == pytest.approx(told["random"]["corrected"], rel=0.02)
    assert told["faults"] == sum(told["random"].values()) < told["commands"] < told["estimate"]["events"]


def test_validate_refuses_with_the_place(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nhots = 3\n[[hosts]]\n')
    done = rasfleet("validate", path)
    assert done.code == 2
    assert f'{path}: hots: unknown key; did you mean "hosts"?' in done.err


@pytest.mark.parametrize("at", ["soon", "1w", "", "2026-13-01"])
def test_a_time_that_is_none(run, at):
    done = rasfleet("state", run[0], "--host", "host-0000", "--at", at)
    assert done.code == 2
    assert "expected seconds" in done.err
