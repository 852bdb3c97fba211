"""Every declared structure: encoding and decoding are each other's inverse, short bytes are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.spec.layout import Layout, Malformed, Reader, layout, padded, text_of, u8, u16
from tests.declared import LAYOUTS, every_layout, structures

few = settings(max_examples=15)


def test_all_structures_are_found():
    assert len(LAYOUTS) >= 38


@every_layout
@few
@given(data=st.data())
def test_what_was_encoded_is_decoded(kind, data):
    structure = data.draw(structures(kind))

    assert kind.decode(structure.encode()) == structure


@every_layout
@few
@given(data=st.data())
def test_any_bytes_of_the_size_are_a_structure_that_encodes_to_them(kind, data):
    size = kind.codec.size
    stored = data.draw(st.binary(min_size=size, max_size=size))

    assert kind.decode(stored).encode() == stored


@every_layout
@few
@given(data=st.data())
def test_a_structure_is_found_at_an_offset_of_longer_bytes(kind, data):
    structure = data.draw(structures(kind))
    before, behind = data.draw(st.binary(max_size=20)), data.draw(st.binary(max_size=20))

    assert kind.decode(before + structure.encode() + behind, len(before)) == structure


@every_layout
@pytest.mark.parametrize("missing", [1, 2, 10**6])
def test_bytes_that_end_early_are_refused_at_their_offset(kind, missing):
    source = bytes(5) + bytes(max(0, kind.codec.size - missing))

    with pytest.raises(Malformed) as refused:
        kind.decode(source, 5)

    assert (refused.value.what, refused.value.offset) == (kind.__name__, 5)


@every_layout
def test_a_negative_offset_is_refused(kind):
    with pytest.raises(Malformed):
        kind.decode(bytes(500), -1)


@every_layout
def test_every_validity_bit_stands_for_one_field_and_fits_the_validation_field(kind):
    bits = list(kind.valid_bits.values())

    assert len(set(bits)) == len(bits)
    assert not bits or "validation_bits" in kind.wire
    assert all(bit < {"H": 16, "I": 32, "Q": 64}[kind.wire["validation_bits"]] for bit in bits)


def test_a_declaration_of_another_size_than_the_document_fails_when_it_loads():
    with pytest.raises(AssertionError, match="3 != 4"):

        @layout(size=4)
        class Wrong(Layout, frozen=True, gc=False):
            first: u8
            second: u16


def test_a_validity_bit_of_no_field_fails_when_it_loads():
    with pytest.raises(AssertionError, match="no field"):

        @layout(size=1)
        class Wrong(Layout, frozen=True, gc=False):
            first: u8

            valid_bits = {"second": 0}


@given(st.binary(max_size=40), st.integers(-5, 50), st.integers(0, 100))
def test_a_reader_takes_what_is_there_or_refuses_naming_the_place(source, size, base):
    reader = Reader(source, "thing", base=base)

    if 0 <= size <= len(source):
        assert reader.take(size, "part") == source[:size]
        assert reader.left() == len(source) - size
    else:
        with pytest.raises(Malformed, match=f"thing at offset {base}: part needs {size} bytes"):
            reader.take(size, "part")


@given(st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=20))
def test_padded_text_is_read_back(text):
    assert text_of(padded(text, 20)) == text
    assert len(padded(text, 20)) == 20


def test_text_that_is_not_ascii_shows_as_escapes():
    assert text_of(b"DIMM \xe9\0\xff") == "DIMM \\xe9"
