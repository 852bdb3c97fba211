"""What stands before a line."""

import json

import pytest

from fleet.recordings.clock import GAP_MAX_NS, SPAN_MAX_NS, Clock
from fleet.recordings.lines import Line, line_of

S = 1_000_000_000
MOMENT = 1_795_342_272 * S  # 2026-11-22T10:11:12Z


def only(raw):
    (line,) = line_of(1, raw)
    return line


@pytest.mark.parametrize(
    ("before", "host", "kernel_ns", "wall_ns"),
    [
        ("", "", None, None),
        ("[   12.345678] ", "", 12_345_678_000, None),
        ("[ 148.794638] ", "", 148_794_638_000, None),
        ("[   12.345678 <    0.000012>] ", "", 12_345_678_000, None),
        ("<3>[   12.345678] ", "", 12_345_678_000, None),
        ("kern  :err   : [   12.345678] ", "", 12_345_678_000, None),
        ("[   12.345678] [    T1] ", "", 12_345_678_000, None),
        ("[   12.345678][   C4] ", "", 12_345_678_000, None),
        ("[   12.345678] [ C4] ", "", 12_345_678_000, None),
        ("kernel: ", "", None, None),
        ("kernel: [   12.345678] ", "", 12_345_678_000, None),
        ("[Sun Nov 22 10:11:12 2026] ", "", None, MOMENT),
        ("2026-11-22T10:11:12,345678+00:00 ", "", None, MOMENT + 345_678_000),
        ("2026-11-22T10:11:12+0000 web-1 kernel: ", "web-1", None, MOMENT),
        ("\x1b[32m[   12.345678] \x1b[0m\x1b[33m", "", 12_345_678_000, None),
        ("3,1042,12345678,-;", "", 12_345_678_000, None),
        ("3,1042,12345678,-,caller=T123;", "", 12_345_678_000, None),
        ("2026-11-22T11:11:12.345678+01:00 web-1 kernel: ", "web-1", None, MOMENT + 345_678_000),
        (
            "2026-11-22T10:11:12.5Z web-1.example.org kernel: [    1.000000] ",
            "web-1.example.org",
            S,
            MOMENT + S // 2,
        ),
        ("Sun 2026-11-22 10:11:12 UTC web-1 kernel: ", "web-1", None, MOMENT),
        ("1795342272.345678 web-1 kernel: ", "web-1", None, MOMENT + 345_678_000),
        ("[   12.345678] web-1 kernel: ", "web-1", 12_345_678_000, None),
        ("<11>1 2026-11-22T10:11:12.345678Z web-1 kernel - - - [    1.000000] ", "web-1", S, MOMENT + 345_678_000),
        ("2026-13-45T10:11:12Z web-1 kernel: ", "web-1", None, None),
        ("Feb 30 10:11:12 web-1 kernel: ", "web-1", None, None),
    ],
)
@pytest.mark.parametrize("sequence", [None, 77])
def test_every_prefix_is_taken_apart(before, host, kernel_ns, wall_ns, sequence):
    record = "" if sequence is None else f"{{{sequence}}}[Hardware Error]: "

    line = only(f"{before}{record}  section_type: memory error")

    assert line == Line(1, "  section_type: memory error", host, kernel_ns, wall_ns, sequence, bool(record))


@pytest.mark.parametrize("fraction", ["", ".345678"])
def test_a_syslog_line_says_no_year(fraction):
    first = only(f"Dec 29 05:24:23{fraction} proxmox kernel: {{35}}[Hardware Error]: x")
    second = only(f"Dec 29 05:24:25{fraction} proxmox kernel: {{35}}[Hardware Error]: x")

    assert first.host == "proxmox"
    assert second.wall_ns - first.wall_ns == 2 * S


@pytest.mark.parametrize(
    "raw",
    [
        "[  375.938411] EDAC MC0: 1 CE single-symbol chipkill ECC",
        "[  148.894823] tg3 0000:04:00.0: AER: aer_status: 0x00100000",
    ],
)
def test_words_behind_the_kernels_time_are_no_host(raw):
    line = only(raw)

    assert line.host == ""
    assert line.text == raw.partition("] ")[2]


@pytest.mark.parametrize(
    "raw",
    ["Dec 29 05:24:23 proxmox sshd[123]: Connection closed", "2026-11-22T10:11:12Z web-1 systemd[1]: Started x."],
)
def test_a_line_of_another_program_is_told_apart(raw):
    assert only(raw).foreign


def journal(**fields):
    return json.dumps(
        {
            "MESSAGE": "{1}[Hardware Error]: event severity: fatal",
            "_HOSTNAME": "web-1",
            "_TRANSPORT": "kernel",
            "SYSLOG_IDENTIFIER": "kernel",
            "__REALTIME_TIMESTAMP": "1795342272345678",
            "_SOURCE_MONOTONIC_TIMESTAMP": "12345678",
        }
        | fields
    )


def test_an_entry_of_the_journal_in_json_is_a_line():
    line = only(journal())

    assert line == Line(
        1, "event severity: fatal", "web-1", 12_345_678_000, MOMENT + 345_678_000, 1, hardware=True
    )


def test_a_message_of_bytes_and_one_of_several_lines_are_taken():
    assert only(journal(MESSAGE=list(b"fru_text: \xff"))).text == "fru_text: \udcff"
    assert [line.text for line in line_of(1, journal(MESSAGE="a\nb"))] == ["a", "b"]


@pytest.mark.parametrize(
    "raw",
    [
        "{77}[Hardware Error]: x}",
        "{}",
        '{"MESSAGE": 5}',
        '{"MESSAGE": "x", "_HOSTNAME": 7, "__REALTIME_TIMESTAMP": "now"}',
        '{"MESSAGE": [300]}',
        '{"a":' * 5000 + "1" + "}" * 5000,
    ],
)
def test_braces_that_are_no_entry_are_only_a_line(raw):
    assert all(line.wall_ns is None for line in line_of(1, raw))


def clock(*stamps):
    """Virtual times of lines with these kernel's and wall times."""
    made = Clock()
    return [made.at(Line(1, "", kernel_ns=kernel, wall_ns=wall)) for kernel, wall in stamps], made


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([(None, None), (5 * S, None), (7 * S, None)], [None, 0, 2 * S]),
        ([(5 * S, 100 * S), (7 * S, 103 * S)], [0, 2 * S]),
        ([(900 * S, None), (1 * S, None), (3 * S, None)], [0, 0, 2 * S]),
        ([(900 * S, 100 * S), (1 * S, 160 * S), (3 * S, 162 * S)], [0, 60 * S, 62 * S]),
        ([(None, 100 * S), (None, 40 * S), (None, 50 * S)], [0, 0, 10 * S]),
        ([(5 * S, None), (None, None), (6 * S, None)], [0, 0, S]),
        ([(0, None), (2 * GAP_MAX_NS, None)], [0, GAP_MAX_NS]),
    ],
    ids=["first", "kernel", "reboot", "reboot-with-wall", "set-back", "none-between", "gap"],
)
def test_virtual_time_is_what_passed_since_the_first_line(stamps, times):
    assert clock(*stamps)[0] == times


def test_new_years_eve_of_a_log_without_years_is_no_step_back():
    eve = only("Dec 31 23:59:59 web-1 kernel: x").wall_ns
    morning = only("Jan  1 00:00:01 web-1 kernel: x").wall_ns

    assert clock((None, eve), (None, morning))[0] == [0, 2 * S]


def test_time_is_bounded():
    times, made = clock(*((i * GAP_MAX_NS * 2, None) for i in range(200)))

    assert times[-1] == SPAN_MAX_NS
    assert made.shortened == 199


@pytest.mark.parametrize("text", ["EDAC MC0: 1 CE on unknown memory", "Memory failure: 0xdeadb: recovery action"])
def test_a_line_of_dmesg_with_an_iso_time_names_no_host(text):
    """Its first word and colon look like a host and a program of the journal."""
    line = only(f"2026-11-22T10:11:12,345678+00:00 {text}")

    assert (line.host, line.foreign, line.text) == ("", False, text)


def test_colours_are_no_part_of_a_text():
    assert only("\x1b[32m[   12.345678] \x1b[0m\x1b[33mEDAC MC0: \x1b[0m1 CE").text == "EDAC MC0: 1 CE"
