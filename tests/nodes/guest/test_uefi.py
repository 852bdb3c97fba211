"""A guest's firmware: the loader script with its rollback, and the way by MM_COMMUNICATE."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.apei.qemu_tables import (
    HARDWARE_ERRORS,
    HARDWARE_ERRORS_ADDRESS,
    HEST_ADDRESS,
    TABLES,
    AddChecksum,
    AddPointer,
    Allocate,
    HardwareErrors,
    WritePointer,
    Zone,
    fw_cfg_files,
    loader_script,
    qemu_hest,
)
from nodes.guest.uefi import ALLOCATE_TOP, NO_FIRMWARE, ask_by_mm, run_loader
from nodes.policy import Qemu
from nodes.spec.hest import checksum_of

COUNTS = {Qemu.V7_2: 1, Qemu.V10_0: 1, Qemu.V11_1: 2}
every_qemu = pytest.mark.parametrize("qemu", list(Qemu))


def booted(qemu=Qemu.V11_1, script=None):
    script = loader_script(qemu, COUNTS[qemu]) if script is None else script
    return run_loader({**fw_cfg_files(COUNTS[qemu]), "etc/third": bytes(8)}, tuple(script))


@every_qemu
def test_the_script_leaves_the_table_that_qemu_would_build_at_those_addresses(qemu):
    guest = booted(qemu)

    place = HardwareErrors(guest.addresses[HARDWARE_ERRORS], COUNTS[qemu])
    assert guest.blobs[TABLES] == qemu_hest(place, place.count)
    assert guest.blobs[HARDWARE_ERRORS] == place.blob()
    assert checksum_of(guest.blobs[TABLES]) == guest.blobs[TABLES][9]


@every_qemu
def test_blobs_are_allocated_downwards_in_pages(qemu):
    guest = booted(qemu)

    assert guest.addresses == {TABLES: ALLOCATE_TOP - 4096, HARDWARE_ERRORS: ALLOCATE_TOP - 8192}
    assert guest.hest == guest.addresses[TABLES]


@every_qemu
def test_qemu_learns_the_address_that_its_version_asks_for(qemu):
    guest = booted(qemu)

    name, pointee = (HEST_ADDRESS, TABLES) if qemu is Qemu.V11_1 else (HARDWARE_ERRORS_ADDRESS, HARDWARE_ERRORS)
    assert guest.told == {name: guest.addresses[pointee].to_bytes(8, "little")}
    assert guest.knows_errors


SCRIPT = loader_script(Qemu.V11_1, 2)
TELL = SCRIPT[-1]
WRONG = {
    "file twice": Allocate(TABLES, 8, Zone.HIGH),
    "no such file": Allocate("etc/other", 8, Zone.HIGH),
    "alignment no power of two": Allocate("etc/third", 24, Zone.HIGH),
    "alignment above a page": Allocate("etc/third", 8192, Zone.HIGH),
    "pointer of 3 bytes": AddPointer(TABLES, HARDWARE_ERRORS, 0, 3),
    "pointer in no blob": AddPointer("etc/other", TABLES, 0, 8),
    "pointer to no blob": AddPointer(TABLES, "etc/other", 0, 8),
    "pointer beyond its blob": AddPointer(HARDWARE_ERRORS, HARDWARE_ERRORS, 2073, 8),
    "pointer that points outside": AddPointer(TABLES, HARDWARE_ERRORS, 0, 8),
    "address too large for its pointer": AddPointer(HARDWARE_ERRORS, HARDWARE_ERRORS, 100, 2),
    "checksum of no blob": AddChecksum("etc/other", 9, 0, 10),
    "checksum beyond its blob": AddChecksum(TABLES, 9, 0, 10_000),
    "checksum's byte beyond its blob": AddChecksum(TABLES, 10_000, 0, 10),
    "told of no blob": WritePointer(HEST_ADDRESS, "etc/other", 0, 0, 8),
    "told beyond its file": WritePointer(HEST_ADDRESS, TABLES, 1, 0, 8),
    "told beyond the blob": WritePointer(HEST_ADDRESS, TABLES, 0, 10_000, 8),
    "told in 3 bytes": WritePointer(HEST_ADDRESS, TABLES, 0, 0, 3),
}


@pytest.mark.parametrize("case", WRONG)
def test_any_failure_leaves_no_table_and_what_qemu_was_told_is_0_again(case):
    guest = booted(script=[*SCRIPT, WRONG[case]])

    assert (guest.blobs, guest.addresses, guest.hest) == ({}, {}, 0)
    assert guest.told == {HEST_ADDRESS: bytes(8)}
    assert not guest.knows_errors


@pytest.mark.parametrize("case", WRONG)
def test_a_failure_before_qemu_was_told_tells_it_nothing(case):
    guest = booted(script=[*SCRIPT[:-1], WRONG[case], TELL])

    assert guest == NO_FIRMWARE


def test_the_script_runs_in_its_order():
    summed_too_early = [SCRIPT[0], SCRIPT[1], SCRIPT[-2], *SCRIPT[2:-2], TELL]

    table = booted(script=summed_too_early).blobs[TABLES]

    assert checksum_of(table) != table[9]


@given(st.permutations(range(len(SCRIPT))))
def test_any_order_boots_or_fails_as_a_whole(order):
    guest = booted(script=[SCRIPT[i] for i in order])

    assert guest.knows_errors == bool(guest.blobs) == (set(guest.addresses) == {TABLES, HARDWARE_ERRORS})


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_pointer_of_any_size_is_told_if_it_fits(size):
    guest = booted(script=[*SCRIPT[:-1], msgspec.structs.replace(TELL, size=size)])

    assert guest.knows_errors == (size == 4)


@pytest.mark.parametrize("count", [1, 2])
def test_by_mm_the_driver_builds_the_same_table_around_qemus_buffer(count):
    guest = ask_by_mm(0x7B00_0000, count)

    place = HardwareErrors(0x7B00_0000, count)
    assert guest.blobs == {TABLES: qemu_hest(place, count), HARDWARE_ERRORS: place.blob()}
    assert int.from_bytes(guest.told[HARDWARE_ERRORS_ADDRESS], "little") == place.base
    assert guest.knows_errors


def test_by_mm_a_refused_call_leaves_no_table():
    assert ask_by_mm(None, 2) == NO_FIRMWARE
    assert not NO_FIRMWARE.knows_errors
