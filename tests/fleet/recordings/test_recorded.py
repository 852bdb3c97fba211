"""The recordings that come with the program: what is read in each, line by line, and how the model compares."""

from pathlib import Path

import pytest

from fleet.recordings.carry import carry
from fleet.recordings.compare import Verdict
from fleet.recordings.model import ErrorKind, OutcomeKind
from fleet.recordings.reading import load, read
from nodes.spec.memory_sections import MemorySection
from nodes.spec.status_block import StatusBlock
from tests.runs import ROOT

FOLDER = ROOT / "deploy" / "recorded"
SAME, DIFFERS, NOT_RECORDED = Verdict.SAME, Verdict.DIFFERS, Verdict.NOT_RECORDED
EXPECTED = {  # lines, host, kernel, error's first and last line, cut off; printed, severity, outcome
    "altra-oem-corrected": (
        8, "test-equinix-ubuntu2004-docker-arm64-2-0", "6.12", 1, 8, True, SAME, SAME, SAME,
    ),
    "cache-corrected-sent-as-recoverable": (
        18, "cache-corrected-sent-as-recoverable-0", "6.1", 1, 18, False, DIFFERS, SAME, NOT_RECORDED,
    ),
    "chipkill-ghes-and-edac": (12, "chipkill-ghes-and-edac-0", "6.1", 2, 12, False, SAME, SAME, SAME),
    "memory-corrected-fru-text": (10, "proxmox-0", "6.12", 1, 10, False, SAME, SAME, SAME),
    "memory-single-bit-corrected": (10, "memory-single-bit-corrected-0", "6.1", 1, 10, False, SAME, SAME, SAME),
    "pcie-fatal-in-recoverable": (16, "pcie-fatal-in-recoverable-0", "6.1", 1, 15, False, SAME, SAME, SAME),
    "qemu-inject-arm-bytes-and-decode": (
        35, "qemu-inject-arm-bytes-and-decode-0", "6.12", 18, 34, False, SAME, SAME, DIFFERS,
    ),
    "serror-uncategorized-panic": (
        6, "serror-uncategorized-panic-0", "6.19", 1, 6, False, NOT_RECORDED, NOT_RECORDED, SAME,
    ),
}  # fmt: skip
every_recording = pytest.mark.parametrize("name", EXPECTED)


def recording(name):
    path = FOLDER / f"{name}.log"
    with path.open("rb") as file:
        return load(str(path), file)


def only_error(name):
    (error,) = recording(name).errors
    return error


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    return carry([recording(name) for name in EXPECTED], tmp_path_factory.mktemp("import") / "run")


def test_every_recording_is_expected():
    assert {path.stem for path in FOLDER.glob("*.log")} == set(EXPECTED)


@every_recording
def test_every_line_is_understood(name):
    read = recording(name)

    assert read.line_count == read.understood == EXPECTED[name][0]
    assert read.not_understood == []
    assert read.other == []


@every_recording
def test_each_holds_one_error_of_one_host(name, imported):
    _, host, kernel, first, last, cut, *_ = EXPECTED[name]
    (compared,) = imported.compared[host]

    assert (compared.error.first, compared.error.last, compared.error.cut) == (first, last, cut)
    assert compared.error.host.kernel == kernel
    assert not compared.error.skipped


@every_recording
def test_the_model_compares_as_expected(name, imported):
    (compared,) = imported.compared[EXPECTED[name][1]]

    assert tuple(aspect.verdict for aspect in compared.comparison) == EXPECTED[name][6:]


def test_one_error_told_twice_is_put_through_once(imported):
    (compared,) = imported.compared["chipkill-ghes-and-edac-0"]

    assert compared.error.doubles == ["EDAC on line 1"]
    assert imported.summary.faults == len(EXPECTED)


def test_bank_513_is_group_2_address_1():
    body = MemorySection.decode(StatusBlock.decode(only_error("chipkill-ghes-and-edac").block).entries[0].body)

    assert (body.bank, body.row, body.column) == (513, 4887, 1032)
    assert body.physical_address == 0x898B86020


def test_the_injected_bytes_stand_for_the_record_that_was_printed_of_them():
    error = only_error("qemu-inject-arm-bytes-and-decode")

    assert error.doubles == ["its bytes on lines 3-16"]
    assert error.block[:4] == bytes((1, 0, 0, 0))
    assert error.block[-8:] == bytes.fromhex("efbeadde00000000")
    assert len(error.block) == 164


def test_the_page_of_the_injected_error_was_offlined_in_both_but_had_another_owner(imported):
    (compared,) = imported.compared["qemu-inject-arm-bytes-and-decode-0"]

    assert [(o.kind, o.subject) for o in compared.error.outcomes] == [(OutcomeKind.OFFLINED, 0xDEADB)]
    assert [(o.kind, o.subject) for o in compared.modelled.outcomes] == [(OutcomeKind.OFFLINED, 0xDEADB)]
    assert "whose page it was is not in the record" in compared.comparison.outcome.says


def test_a_serror_is_taken_where_it_was_taken(imported):
    (compared,) = imported.compared["serror-uncategorized-panic-0"]

    assert compared.error.kind is ErrorKind.SERROR
    assert (compared.error.esr, compared.error.pe, compared.error.el) == (0xBE000000, 5, 1)
    assert compared.modelled.outcomes[0].kind is OutcomeKind.PANIC


def test_a_device_is_recovered_in_both(imported):
    (compared,) = imported.compared["pcie-fatal-in-recoverable-0"]

    assert {o.subject for o in (*compared.error.outcomes, *compared.modelled.outcomes)} == {0x04 << 8}


def test_the_old_type_byte_is_the_only_reason_why_lines_differ(imported):
    (compared,) = imported.compared["cache-corrected-sent-as-recoverable-0"]
    lines = [line for line in compared.comparison.printed.lines if line.counts]

    assert [line.number for line in lines] == [12, 15, 16]
    assert "reads the type byte as a number" in lines[0].why
    assert {line.why for line in lines[1:]} == {"follows from the type byte"}


def test_a_dump_that_breaks_off_is_filled_with_zeros(imported):
    (compared,) = imported.compared["test-equinix-ubuntu2004-docker-arm64-2-0"]

    assert compared.error.block[-16:] == bytes(16)
    assert "32 of 48 bytes of a section are there; zeros stand for the others" in compared.error.notes
    assert [line.why for line in compared.comparison.printed.lines] == ["cut off in the recording"]


def test_the_excerpts_name_no_place_of_the_machine_they_were_kept_on():
    texts = [path.read_text() for path in Path(FOLDER).iterdir()]

    assert not any("/work/" in text or "/home/" in text for text in texts)


def test_a_mark_of_the_byte_order_hides_no_line():
    content = (FOLDER / "memory-corrected-fru-text.log").read_bytes()

    assert read("x.log", b"\xef\xbb\xbf" + content).understood == read("x.log", content).understood == 10


@pytest.mark.parametrize("name", ["cache-corrected-sent-as-recoverable", "pcie-fatal-in-recoverable"])
def test_a_log_may_begin_in_the_middle_of_a_section(name):
    """Its lines are understood; no severity is left of it, so no block can be made."""
    lines = (FOLDER / f"{name}.log").read_bytes().splitlines(keepends=True)

    found = read("x.log", b"".join(lines[5:]))

    assert not found.not_understood
    assert [(error.cut, bool(error.skipped)) for error in found.hosts[0].errors] == [(True, True)]


def test_an_address_whose_digits_are_cut_off_is_no_address():
    content = (FOLDER / "cache-corrected-sent-as-recoverable.log").read_bytes()[:-6]

    found = read("x.log", content)

    assert [line.number for line in found.not_understood] == [18]
    (entry,) = StatusBlock.decode(found.hosts[0].errors[0].block).entries
    assert not entry.body[42] & 0x10  # valid: physical fault address
