"""Where an address lies in DRAM."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.hardware.dram import DRAM_BASE, LINE_SIZE, ROW_BITS, DramAddress, DramGeometry

geometries = st.builds(DramGeometry, st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 8, 16]))


def places(geometry):
    return st.builds(
        DramAddress,
        socket=st.integers(0, geometry.sockets - 1),
        channel=st.integers(0, geometry.channels - 1),
        rank=st.integers(0, 1),
        bank_group=st.integers(0, 7),
        bank=st.integers(0, 3),
        row=st.integers(0, (1 << ROW_BITS) - 1),
        column=st.integers(0, 127).map(lambda burst: 8 * burst),
    )


@given(data=st.data(), geometry=geometries)
def test_an_address_and_its_place_are_each_others_inverse(data, geometry):
    place = data.draw(places(geometry))

    assert geometry.place_of(geometry.address_of(place)) == place


@given(geometry=geometries, line=st.integers(0, 1 << 30), offset=st.integers(0, LINE_SIZE - 1))
def test_every_byte_of_a_line_lies_at_the_same_place(geometry, line, offset):
    address = DRAM_BASE + line * LINE_SIZE

    assert geometry.place_of(address + offset) == geometry.place_of(address)


@given(geometry=geometries, line=st.integers(0, 1 << 34))
def test_the_dimm_of_an_address_is_that_of_its_place(geometry, line):
    address = DRAM_BASE + line * LINE_SIZE

    dimm = geometry.dimm_of(address)

    assert dimm == geometry.dimm(geometry.place_of(address))
    assert 0 <= dimm < geometry.dimm_count


@given(geometry=geometries, line=st.integers(0, 1 << 34))
def test_the_socket_of_an_address_is_that_of_its_place(geometry, line):
    address = DRAM_BASE + line * LINE_SIZE

    assert geometry.socket_of(address) == geometry.place_of(address).socket


@pytest.mark.parametrize("channels", [1, 4, 8])
def test_neighbouring_lines_lie_on_neighbouring_channels(channels):
    geometry = DramGeometry(channels=channels)

    dimms = [geometry.dimm_of(DRAM_BASE + line * LINE_SIZE) for line in range(2 * channels)]

    assert dimms == [*range(channels)] * 2


def test_one_row_is_every_column_of_every_channel_before_the_bank_changes():
    geometry = DramGeometry(channels=8)
    row = [geometry.place_of(DRAM_BASE + line * LINE_SIZE) for line in range(8 * 128)]

    assert {(place.row, place.bank, place.bank_group) for place in row} == {(0, 0, 0)}
    assert geometry.place_of(DRAM_BASE + len(row) * LINE_SIZE).bank_group == 1


def test_an_address_below_dram_is_taken_as_its_first():
    assert DramGeometry().place_of(0x1000) == DramGeometry().place_of(DRAM_BASE)


@pytest.mark.parametrize("part", ["socket", "channel", "rank", "bank_group", "bank", "column"])
def test_a_place_outside_the_geometry_is_our_own_fault(part):
    place = DramGeometry().place_of(DRAM_BASE)._replace(**{part: 1 << 12})

    with pytest.raises(AssertionError, match="lies outside"):
        DramGeometry().address_of(place)
