"""Which blocks Linux accepts, and which entries it finds in them."""

import struct

import pytest

from fleet.sample import BLOCK, make
from nodes.linux.estatus import check, copied, walk
from nodes.spec.layout import Malformed
from nodes.spec.memory_sections import MEMORY_GUID, MemorySection
from nodes.spec.status_block import DataEntry, StatusBlock, entry_head_size

BODY = MemorySection(validation_bits=0).encode()
ONE = StatusBlock(1, 0, (DataEntry(MEMORY_GUID, 0, BODY),)).encode()
BODY_LENGTH_AT = 20 + 24


def with_word(block, offset, value):
    changed = bytearray(block)
    struct.pack_into("<I", changed, offset, value)
    return bytes(changed)


@pytest.mark.parametrize("index", range(60))
def test_the_walk_finds_the_entries_that_the_decoder_finds(index):
    block = make(BLOCK, 3, index).octets

    found = walk(block)

    decoded = StatusBlock.decode(block).entries
    assert [(e.section_type, e.severity, e.flags, e.validation_bits) for e in found] == [
        (e.section_type, e.error_severity, e.flags, e.validation_bits) for e in decoded
    ]
    assert [block[e.body_offset :][: e.body_length] for e in found] == [e.body for e in decoded]
    assert [e.body_offset - e.offset for e in found] == [entry_head_size(e.revision) for e in decoded]


def test_a_length_that_wraps_lets_the_next_entry_begin_inside_this_one():
    wrapping = with_word(with_word(ONE, BODY_LENGTH_AT, (64 - 72) & 0xFFFF_FFFF), 12, 128)

    entries = walk(wrapping)

    assert [entry.offset for entry in entries] == [20, 84]
    assert entries[0].body_length == 0xFFFF_FFF8


def test_an_entry_whose_size_wraps_to_nothing_is_refused_as_endless():
    refused = check(with_word(ONE, BODY_LENGTH_AT, -72 & 0xFFFF_FFFF))

    assert refused is not None
    assert "endless" in refused


@pytest.mark.parametrize("length", [0, 79, 81, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FF00])
def test_a_body_length_that_does_not_add_up_is_refused(length):
    with pytest.raises(Malformed, match="offset"):
        walk(with_word(ONE, BODY_LENGTH_AT, length))


@pytest.mark.parametrize("offset", [0, 19, 20, 171])
def test_raw_data_inside_the_entries_is_refused(offset):
    assert check(with_word(with_word(ONE, 4, offset), 8, 1)) is not None


def test_raw_data_behind_the_entries_is_not_looked_at():
    assert check(with_word(with_word(ONE, 4, len(ONE)), 8, 0xFFFF_FFFF)) is None


@pytest.mark.parametrize(
    ("raw_offset", "raw_length", "accepted"),
    [
        (len(ONE), 65536 - len(ONE), True),
        (len(ONE), 65537 - len(ONE), False),  # "Invalid error status block length!"
        (0x7FFF_FFFF, 44, False),
        (0xFFFF_FFFF, 20, False),  # 19 bytes: "Truncated error status block!"
    ],
)
def test_raw_data_may_not_make_a_block_longer_than_any_source_takes(raw_offset, raw_length, accepted):
    refused = check(with_word(with_word(ONE, 4, raw_offset), 8, raw_length))

    assert (refused is None) is accepted


def test_raw_data_that_wrap_end_the_copy_inside_the_entries():
    wrapping = with_word(with_word(ONE, 4, 0xFFFF_FFFF), 8, 1 + 100)

    assert copied(wrapping) == wrapping[:100] + bytes(72)
    assert copied(ONE + b"behind") == ONE


def test_a_block_that_ends_before_its_entries_is_refused():
    assert check(ONE[:-1]) is not None
    assert check(ONE) is None


def test_a_block_without_entries_is_accepted():
    assert walk(bytes(20)) == []
