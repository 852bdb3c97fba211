"""What hosts that are alike share, and how addresses of host and guest belong together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.linux.pages import APPLICATION_VA, GUEST_BASE, VMM_VA, PageKind
from nodes.policy import Handling, Kernel, Qemu, RecordLocation, Switches
from nodes.spec.aarch64 import ScrEl3
from nodes.stack.platform import MM_BUFFER, HostShape, platform_of

SHAPE = HostShape()
PLATFORM = platform_of(SHAPE, Switches())
GUEST_SIZE = SHAPE.guest_memory_gib << 30


def test_a_platform_is_made_once_for_each_shape_and_switches():
    assert platform_of(HostShape(), Switches()) is PLATFORM
    assert platform_of(HostShape(guests=2), Switches()) is not PLATFORM
    assert platform_of(SHAPE, Switches(kernel=Kernel.V6_1)) is not PLATFORM


@given(st.integers(0, SHAPE.guests - 1), st.integers(0, GUEST_SIZE - 1))
def test_an_address_of_a_guest_is_one_of_the_host_and_back(guest, offset):
    address = PLATFORM.address_of(guest, GUEST_BASE + offset)

    assert PLATFORM.guest_of(address) == guest
    assert PLATFORM.ipa_of(address) == GUEST_BASE + offset


def test_what_is_no_guests_has_no_guest_address():
    own, _ = PLATFORM.host_map.range_of(PageKind.APPLICATION)

    assert PLATFORM.guest_of(own) == -1
    with pytest.raises(AssertionError):
        PLATFORM.ipa_of(own)


def test_a_byte_has_an_address_in_the_code_that_touches_it():
    ipa = PLATFORM.guest_map.range_of(PageKind.APPLICATION)[0] + 0x1238
    address = PLATFORM.address_of(1, ipa)

    assert PLATFORM.virtual_address(1, address) == APPLICATION_VA + 0x1238
    assert PLATFORM.virtual_address(-1, address) == VMM_VA + ipa - GUEST_BASE
    assert PLATFORM.virtual_address(0, address) == PLATFORM.virtual_address(-1, address)


@pytest.mark.parametrize(("handling", "claims"), [(Handling.FIRMWARE_FIRST, 1), (Handling.KERNEL_FIRST, 0)])
def test_firmware_claims_external_aborts_where_it_handles_them_first(handling, claims):
    platform = platform_of(SHAPE, Switches(handling=handling))

    scr = ScrEl3(platform.setup.scr)
    assert (scr.EA, platform.firmware_first) == (claims, bool(claims))


@pytest.mark.parametrize("qemu", list(Qemu))
def test_guests_boot_the_contract_or_ask_where_the_buffer_is(qemu):
    contract = platform_of(SHAPE, Switches(qemu=qemu)).firmware
    asked = platform_of(SHAPE, Switches(qemu=qemu, record_location=RecordLocation.MM_COMMUNICATE)).firmware

    assert contract.knows_errors
    assert asked.knows_errors
    assert asked.addresses["etc/hardware_errors"] == MM_BUFFER != contract.addresses["etc/hardware_errors"]
