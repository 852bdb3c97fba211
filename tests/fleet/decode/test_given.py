"""What a user may give: hex in all its forms, dumps, files, standard input."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.decode.given import SIZE_MAX, NotGiven, is_number, load, number_of, octets_of
from nodes.spec.layout import Malformed

octets = st.binary(min_size=1, max_size=100)


def rows(source, width=16):
    return [(at, source[at : at + width]) for at in range(0, len(source), width)]


def shown(row):
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)


def as_xxd(source):
    lines = []
    for at, row in rows(source):
        pairs = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        lines.append(f"{at:08x}: {pairs:<39}  {shown(row)}")
    return "\n".join(lines)


def as_hexdump_canonical(source):
    lines = []
    for at, row in rows(source):
        halves = "  ".join(" ".join(f"{byte:02x}" for byte in row[i : i + 8]) for i in (0, 8))
        lines.append(f"{at:08x}  {halves:<48}  |{shown(row)}|")
    return "\n".join([*lines, f"{len(source):08x}"])


def as_od(source):
    return "\n".join([f"{at:06x} {' '.join(f'{b:02x}' for b in row)}" for at, row in rows(source)])


def as_qemu_script(source):
    lines = [f"      {at:08x}  {' '.join(f'{b:02x}' for b in row):<47}   {shown(row)}" for at, row in rows(source)]
    return "\n".join(["Generic Error Status Block (20 bytes):", *lines, "Error injected."])


@given(octets, st.sampled_from([as_xxd, as_hexdump_canonical, as_od, as_qemu_script]))
def test_a_dump_is_read_back(source, dumped):
    assert octets_of(dumped(source).encode()) == source


@given(octets)
def test_several_dumps_that_begin_at_0_are_one_piece(source):
    text = (
        as_qemu_script(source)
        + "\n"
        + as_qemu_script(b"second part")
        + "\n[    9.358364] {1}[Hardware Error]: no row"
    )

    assert octets_of(text.encode()) == source + b"second part"


@given(octets, st.sampled_from([" ", "\n", ", ", "\t", ""]))
def test_plain_hex_is_read_with_and_without_spaces(source, between):
    joined = between.join(f"{byte:02x}" for byte in source)

    assert octets_of(joined.encode()) == source
    assert octets_of(joined.upper().encode()) == source


def test_hex_may_have_its_0x():
    assert octets_of(b"0x0102") == octets_of(b"0x01 0x02") == b"\1\2"


def test_hexdump_without_options_shows_words_of_16_bits():
    assert octets_of(b"0000000 4548 5453 00e0\n0000006\n") == b"HEST\xe0\0"


def test_rows_that_a_star_left_out_are_filled():
    row = " ".join(["00"] * 16)
    text = f"00000000  01 {row[3:]}\n00000010  {row}\n*\n00000040  ff\n"

    assert octets_of(text.encode()) == b"\1" + bytes(63) + b"\xff"


def test_a_missing_row_is_malformed():
    with pytest.raises(Malformed, match="row at 0x20"):
        octets_of(as_xxd(bytes(16)).encode() + b"\n00000020: 01")


@given(st.binary(min_size=1, max_size=100).filter(lambda b: not b.isascii() or b"\0" in b))
def test_bytes_that_are_no_text_are_taken_as_they_are(source):
    assert octets_of(source) == source


@pytest.mark.parametrize("text", [b"0x1", b"01 2", b"hello", b"01 0g", b"----"])
def test_text_that_is_not_whole_bytes_of_hex_is_malformed(text):
    with pytest.raises(Malformed):
        octets_of(text)


@given(st.integers(0, (1 << 64) - 1))
def test_a_number_is_read_with_and_without_0x(value):
    assert number_of(f"{value:#x}".encode()) == number_of(f"  {value:X}\n".encode()) == value
    assert is_number(f"{value:x}".encode())


@pytest.mark.parametrize("content", [b"", b"0x", b"1 2", b"10000000000000000", b"\0\1"])
def test_what_is_no_number_of_64_bits_is_malformed(content):
    assert not is_number(content)
    with pytest.raises(Malformed):
        number_of(content)


def test_a_file_comes_before_hex_of_the_same_letters(tmp_path, monkeypatch):
    (tmp_path / "beef").write_bytes(b"\1\2")
    monkeypatch.chdir(tmp_path)

    assert load("beef", io.BytesIO()) == b"\1\2"
    assert load("0xbeef", io.BytesIO()) == b"0xbeef"


def test_a_dash_is_standard_input():
    assert load("-", io.BytesIO(b"abc")) == b"abc"


@pytest.mark.parametrize("value", ["", "no-such-file", "xyz", "12 zz", "a" * 5000 + "z"])
def test_what_is_neither_hex_nor_a_file_is_not_given(value):
    with pytest.raises(NotGiven):
        load(value, io.BytesIO())


def test_a_folder_is_not_given(tmp_path):
    with pytest.raises(NotGiven):
        load(str(tmp_path), io.BytesIO())


def test_more_than_the_bound_is_malformed():
    with pytest.raises(Malformed, match="more than"):
        load("-", io.BytesIO(bytes(SIZE_MAX + 1)))


def test_as_much_as_the_bound_is_taken():
    assert len(load("-", io.BytesIO(bytes(SIZE_MAX)))) == SIZE_MAX


def test_words_of_a_dump_may_begin_with_0x():
    assert octets_of(b"00000000: 0x0102 0x0304\n") == b"\1\2\3\4"
