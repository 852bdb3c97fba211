"""Records from their lines: what is read back prints the same."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.recordings import BODY_SIZE_MAX
from fleet.recordings.forms import Form
from fleet.recordings.records import RecordLines
from fleet.sample import BLOCK, make
from nodes.linux.dmesg import dmesg
from nodes.linux.estatus import check
from nodes.policy import Kernel
from nodes.spec.memory_sections import MemorySection
from nodes.spec.sections import decode_section
from nodes.spec.status_block import StatusBlock
from tests.blocks import memory_block
from tests.logs import WARNS

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "linux").glob("*.json"))
HEAD = ["event severity: recoverable", " Error 0, type: recoverable"]
kernels = pytest.mark.parametrize("kernel", [Kernel.V6_1, Kernel.V6_12])


def read(lines):
    """The record of these lines, and the lines that it did not take."""
    record, refused = RecordLines(), []
    for line in lines:
        taken = record.blame(line.removeprefix(WARNS)) if line.startswith(WARNS) else record.take(line)
        if not taken:
            refused.append(line)
    return record, refused


def section(lines):
    """The body of a record's first section."""
    return StatusBlock.decode(read([*HEAD, *lines])[0].block()).entries[0].body


@kernels
@given(st.integers(0, 1 << 20))
def test_a_block_that_is_read_from_its_lines_prints_the_same_lines(kernel, index):
    lines = dmesg(make(BLOCK, 11, index).octets, kernel, source_id=7, sequence=5)

    record, refused = read(lines)

    assert not refused
    assert not record.cut
    assert dmesg(record.block(), kernel, source_id=record.source_id, sequence=5) == lines


@kernels
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_real_kernels_printed_is_read_back(path, kernel):
    real = json.loads(path.read_text())[kernel]["printed"]
    record, refused = read(real)

    if path.stem == "fru-text":  # a newline inside a text is the end of its line in a log
        assert refused == ["lines", ""]
    elif real:
        assert not refused
        assert dmesg(record.block(), kernel) == real


@given(st.sampled_from([make(BLOCK, 12, i).octets for i in range(40)]), st.data())
def test_a_record_that_is_cut_off_anywhere_gives_a_block_or_none(block, data):
    lines = dmesg(block, Kernel.V6_12, source_id=7)
    first = data.draw(st.integers(0, len(lines) - 1))

    record, _ = read(lines[first : data.draw(st.integers(first + 1, len(lines)))])
    made = record.block()

    assert made is None or check(made) is None


@given(
    st.lists(st.sampled_from([line for i in range(60) for line in dmesg(make(BLOCK, 13, i).octets, Kernel.V6_12)]))
)
def test_lines_in_any_order_give_a_block_that_linux_accepts_or_none(lines):
    made = read(lines)[0].block()

    assert made is None or check(made) is None


def test_an_old_location_is_read_and_its_age_is_seen():
    record, refused = read(
        [
            *HEAD,
            "  section_type: memory error",
            "  error_status: 0x0000000000000400",
            "  node: 1 card: 4 module: 0 rank: 0 bank: 513 bank_group: 2 bank_address: 1 row: 200000 device: 1",
            "  DIMM location: CPU 2 DIMM 30",
        ]
    )
    body = MemorySection.decode(StatusBlock.decode(record.block()).entries[0].body)

    assert not refused
    assert record.forms == {Form.LOCATION, Form.STATUS}
    assert (body.node, body.card, body.bank, body.device) == (1, 4, 513, 1)
    assert body.row | (body.extended & 3) << 16 == 200_000
    assert 'DIMM "CPU 2 DIMM 30" is named by SMBIOS' in record.notes()[0]


@pytest.mark.parametrize("end", ["", " modu", " module:", " module: "])
def test_a_location_that_breaks_off_is_read_as_far_as_it_goes(end):
    record, refused = read([*HEAD, "  section_type: memory error", f"  node: 1 card: 4{end}"])
    body = MemorySection.decode(StatusBlock.decode(record.block()).entries[0].body)

    assert not refused
    assert record.cut == bool(end)
    assert body.validation_bits == 0b11000


def test_a_numbered_type_byte_is_kept_as_it_was():
    lines = [
        "  section_type: ARM processor error",
        "  MIDR: 0x00000000481fd010",
        "  Error info structure 0:",
        "  num errors: 1",
        "   error_type: 0, cache error",
        "   error_info: 0x0000000024400017",
        "    operation type: Generic error (type cannot be determined)",
    ]
    record, refused = read([*HEAD, *lines])
    entry = StatusBlock.decode(record.block()).entries[0]

    assert not refused
    assert record.forms == {Form.TYPE, Form.OPERATION}
    assert decode_section(entry.section_type, entry.body).value.errors[0].type == 0


@pytest.mark.parametrize(
    "line",
    [
        "  node:65536",
        "  chip_id:8",
        "  row:262144",
        "  physical_address: 0x10000000000000000",
        "  error_type: 256, unknown",
        "  error_type: -1, unknown",
        "  node:1 frob:2",
        "  nothing of the kind",
        "  00000000: 01020304",
    ],
)
def test_a_line_with_a_number_that_no_field_holds_is_not_understood(line):
    assert read([*HEAD, "  section_type: memory error", line])[1] == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Hardware error from APEI Generic Hardware Error Source: 65536",
        " precise tstamp: 999-1-1 1:1:1",
        " precise tstamp: 2026-999-01 00:00:00",
        " fru_id: 123",
        "  section_type: IA32/X64 processor error",
        " fru_text: too late",
        "event severity: fatal",
    ],
)
def test_a_head_line_that_is_wrong_or_comes_at_the_wrong_place_is_not_understood(line):
    assert read([*HEAD, "  section_type: memory error", line])[1] == [line]


def test_a_section_of_an_unknown_type_that_is_too_large_makes_no_block():
    unknown = "  section type: unknown, 11112222-3333-4444-5555-666677778888"

    assert read([*HEAD, unknown, f"  section length: {BODY_SIZE_MAX:#x}"])[0].block() is not None
    assert read([*HEAD, unknown, f"  section length: {BODY_SIZE_MAX + 1:#x}"])[0].block() is None
    assert read([*HEAD, unknown, "  section length: 0xffffffff"])[0].block() is None


def test_zeros_stand_for_the_bytes_of_a_dump_that_are_missing():
    lines = [
        "  section type: unknown, e8ed898d-df16-43cc-8ecc-54f060ef157f",
        "  section length: 0x14",
        "  00000000: 40010003 00000000 00400000 00462030  ...@......@.0 F.",
    ]

    assert section(lines) == bytes.fromhex("030001400000000000004000302046 00 00000000".replace(" ", ""))
    assert read([*HEAD, *lines])[0].cut


@pytest.mark.parametrize(
    "row",
    [
        "  00000010: 40010003 00000000 00400000 00462030  ...@......@.0 F.",
        "  00000000: 400100 00000000",
        "  00000000: 40010003 00000000 00400000 00462030 00000000",
        "  00000000: 4001000g",
        "  00000000:",
    ],
)
def test_a_row_that_is_not_the_next_one_is_not_understood(row):
    unknown = "  section type: unknown, 11112222-3333-4444-5555-666677778888"

    assert read([*HEAD, unknown, "  section length: 0x10", row])[1] == [row]


@pytest.mark.parametrize(
    ("shown", "octets"), [("D2", b"D2"), ("  a ", b"  a "), (r"\xff\x5c", b"\xff\\"), ("é", b"\xe9"), ("", b"")]
)
def test_a_fru_text_is_kept_byte_by_byte(shown, octets):
    block = StatusBlock.decode(read([*HEAD, f" fru_text: {shown}", "  section_type: memory error"])[0].block())

    assert block.entries[0].fru_text == octets.ljust(20, b"\0")


def test_a_record_without_its_beginning_takes_the_severity_of_its_entries():
    record, _ = read([" Error 1, type: fatal", "  section_type: memory error"])

    assert StatusBlock.decode(record.block()).error_severity == 1
    assert record.cut


def test_too_little_makes_no_block():
    assert read(["Hardware error from APEI Generic Hardware Error Source: 3"])[0].block() is None
    assert read(["  section_type: memory error"])[0].block() is None


def test_what_linux_does_not_print_is_lost():
    flags_set = memory_block(0x1000, flags=8)

    lost = StatusBlock.decode(read(dmesg(flags_set, Kernel.V6_12))[0].block())

    assert lost.entries[0].flags == 0
    assert lost.entries[0].body == StatusBlock.decode(flags_set).entries[0].body
