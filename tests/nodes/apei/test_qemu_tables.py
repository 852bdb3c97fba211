"""HEST and etc/hardware_errors byte for byte as real QEMU versions build them, and the script that places them."""

import json
from pathlib import Path

import pytest

from nodes.apei.qemu_tables import (
    ENTRY_SIZE,
    HARDWARE_ERRORS,
    HARDWARE_ERRORS_ADDRESS,
    HEST_ADDRESS,
    TABLES,
    AddChecksum,
    AddPointer,
    Allocate,
    HardwareErrors,
    WritePointer,
    fw_cfg_files,
    loader_script,
    qemu_hest,
)
from nodes.policy import Qemu
from nodes.spec.hest import GenericAddress, Hest, checksum_of
from tests.vectors import VECTORS

REAL = json.loads((Path(__file__).parents[2] / "golden" / "qemu_hest" / "tables.json").read_text())
LAYOUT = VECTORS["hw_errors_layout_n2"]
PUBLISHED = VECTORS["hest_qemu_virt"]
every_qemu = pytest.mark.parametrize("qemu", list(Qemu))
COMMANDS = (Allocate, AddPointer, AddChecksum, WritePointer)  # numbered from 1
COUNTS = {Qemu.V7_2: 1, Qemu.V10_0: 1, Qemu.V11_1: 2}


@every_qemu
def test_the_table_is_the_one_that_qemu_built(qemu):
    real = REAL[qemu]
    place = HardwareErrors(int(real["first_block_address"], 16), real["sources"])

    assert qemu_hest(place, place.count).hex() == real["table"]
    assert place.count == COUNTS[qemu]


def test_the_table_is_the_published_one_at_its_addresses():
    place = HardwareErrors(int(LAYOUT["value"]["base"], 16), LAYOUT["value"]["n"])

    assert qemu_hest(place, 2).hex() == PUBLISHED["value"]


def test_the_blob_lies_as_published():
    place = HardwareErrors(int(LAYOUT["value"]["base"], 16), LAYOUT["value"]["n"])

    said = LAYOUT["meaning"]
    for index in range(place.count):
        assert hex(place.address_slot(index)) == said["addr_slots"][index]
        assert hex(place.ack_slot(index)) == said["ack_slots"][index]
        assert hex(place.block(index)) == said["blocks"][index]
    assert place.size == said["total"] == len(place.blob())


@pytest.mark.parametrize("count", [1, 2])
def test_the_blob_holds_addresses_then_acks_of_1_then_free_blocks(count):
    place = HardwareErrors(0x7BF0_0000, count)
    words = [int.from_bytes(place.blob()[i : i + 8], "little") for i in range(0, place.size, 8)]

    assert words[:count] == [place.block(i) for i in range(count)]
    assert words[count : 2 * count] == [1] * count
    assert set(words[2 * count :]) == {0}


@pytest.mark.parametrize("count", [1, 2])
def test_qemu_gives_the_blob_with_offsets_in_place_of_addresses(count):
    given = fw_cfg_files(count)[HARDWARE_ERRORS]

    assert given == HardwareErrors(0, count).blob(loaded=False)
    assert int.from_bytes(given[:8], "little") == 16 * count


@every_qemu
def test_the_script_allocates_links_sums_and_tells_in_this_order(qemu):
    count = COUNTS[qemu]
    kinds = [type(entry) for entry in loader_script(qemu, count)]

    assert kinds == [Allocate] * 2 + [AddPointer] * 3 * count + [AddChecksum, WritePointer]


@every_qemu
def test_qemu_is_told_of_the_hest_since_10_2_and_of_the_blob_before(qemu):
    told = loader_script(qemu, COUNTS[qemu])[-1]

    names = (told.pointer_file, told.pointee_file)
    assert names == ((HEST_ADDRESS, TABLES) if qemu is Qemu.V11_1 else (HARDWARE_ERRORS_ADDRESS, HARDWARE_ERRORS))


@every_qemu
def test_an_entry_takes_128_bytes_and_begins_with_its_command(qemu):
    for entry in loader_script(qemu, COUNTS[qemu]):
        octets = entry.encode()

        assert len(octets) == ENTRY_SIZE
        assert (
            int.from_bytes(octets[:4], "little")
            == [Allocate, AddPointer, AddChecksum, WritePointer].index(type(entry)) + 1
        )


def test_an_entry_names_its_files_in_56_bytes_each():
    octets = loader_script(Qemu.V11_1, 2)[-1].encode()

    assert octets[4:60].rstrip(b"\0") == HEST_ADDRESS.encode()
    assert octets[60:116].rstrip(b"\0") == TABLES.encode()
    assert octets[116:125] == bytes(8) + b"\x08"


@pytest.mark.parametrize("count", [1, 2])
def test_a_table_with_addresses_sums_to_0_and_its_registers_are_64_bits_wide(count):
    place = HardwareErrors(0x4000_0000, count)
    table = qemu_hest(place, count)

    assert checksum_of(table) == table[9]
    registers = [GenericAddress.decode(s.read_ack_register) for s in Hest.decode(table).sources]
    assert [(r.bit_width, r.access_width, r.address) for r in registers] == [
        (64, 4, place.ack_slot(i)) for i in range(count)
    ]
