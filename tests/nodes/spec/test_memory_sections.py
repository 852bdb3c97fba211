"""Memory sections 1 and 2 and their validity bits."""

import pytest

from nodes.spec.memory_sections import (
    BEYOND_OLD,
    ErrorStatus,
    Extended,
    MemorySection,
    MemorySection2,
    MemorySectionOld,
)


def test_the_old_section_is_the_start_of_the_new_one():
    new = MemorySection(validation_bits=7, node=1, bit_position=2, target_id=3, memory_error_type=4, rank_number=5)

    old = MemorySectionOld.decode(new.encode())

    assert old.encode() == new.encode()[:73]
    assert MemorySectionOld.valid_bits.items() <= MemorySection.valid_bits.items()


def test_fields_that_the_old_section_lacks_have_validity_bits_beyond_it():
    lacking = set(MemorySection.valid_bits) - set(MemorySectionOld.valid_bits)

    assert all(BEYOND_OLD >> MemorySection.valid_bits[name] & 1 for name in lacking)
    assert not any(BEYOND_OLD >> bit & 1 for bit in MemorySectionOld.valid_bits.values())


@pytest.mark.parametrize("name", ["bit_position", "requestor_id", "memory_error_type", "card_handle"])
def test_the_two_sections_number_their_validity_bits_differently_above_bit_9(name):
    assert MemorySection.valid_bits[name] != MemorySection2.valid_bits[name]


@pytest.mark.parametrize("name", ["error_status", "physical_address", "node", "bank", "row", "column"])
def test_the_two_sections_agree_on_validity_bits_up_to_9(name):
    assert MemorySection.valid_bits[name] == MemorySection2.valid_bits[name] <= 9


def test_the_extended_byte_holds_chip_id_and_two_row_bits():
    extended = Extended(0b101_000_10)

    assert (extended.CHIP_ID, extended.ROW) == (5, 2)


def test_the_error_status_word_has_its_type_in_the_second_byte():
    assert (ErrorStatus(0x40_0400).TYPE, ErrorStatus(0x40_0400).OVERFLOW) == (4, 1)
