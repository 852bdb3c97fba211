"""Who owns the page behind an address, and where a task has it mapped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.events import NO_GUEST, SignalCode
from nodes.linux.pages import (
    APPLICATION_VA,
    GIB,
    GUEST_BASE,
    VMM_VA,
    PageKind,
    address_lsb,
    guest_map,
    host_map,
    user_address,
)
from nodes.policy import Kernel
from tests.doubles import MAP, kernel, page

HOST = host_map(64, 4, 4)
GUEST = guest_map(4)


def test_a_host_begins_with_the_memory_of_its_guests():
    owners = [HOST.page_of(HOST.start + guest * 4 * GIB).owner for guest in range(4)]

    assert owners == [0, 1, 2, 3]
    assert HOST.page_of(HOST.start + 16 * GIB).owner == NO_GUEST
    assert HOST.end - HOST.start == 64 * GIB


@pytest.mark.parametrize("memory", [HOST, GUEST], ids=["host", "guest"])
def test_outside_its_ends_there_is_no_memory(memory):
    kinds = [
        memory.page_of(a).kind for a in (0, memory.start - 1, memory.start, memory.end - 1, memory.end, 1 << 63)
    ]

    assert [kind is PageKind.OUTSIDE for kind in kinds] == [True, True, False, False, True, True]


@given(st.integers(0, 64 * GIB - 1))
def test_the_range_of_a_page_holds_it(offset):
    found = HOST.page_of(HOST.start + offset)

    first, size = HOST.range_of(found.kind, found.owner)
    assert first == found.first <= HOST.start + offset < first + size


def test_a_kind_that_a_map_lacks_has_an_empty_range():
    assert GUEST.range_of(PageKind.GUEST, 0) == (0, 0)


def test_a_guest_has_pages_of_every_kind_but_another_guests():
    kinds = {kind for kind in PageKind if GUEST.range_of(kind)[1]}

    assert kinds == set(PageKind) - {PageKind.OUTSIDE, PageKind.GUEST}
    assert GUEST.start == GUEST_BASE


@pytest.mark.parametrize(("kind", "base"), [(PageKind.GUEST, VMM_VA), (PageKind.APPLICATION, APPLICATION_VA)])
def test_a_task_has_the_page_not_the_byte_in_its_signal(kind, base):
    address = page(kind, 7) + 0x123

    assert user_address(MAP.page_of(address), address) == base + 7 * 4096


@pytest.mark.parametrize(("kind", "lsb"), [(PageKind.HUGE, 21), (PageKind.APPLICATION, 12), (PageKind.GUEST, 12)])
def test_the_signal_tells_the_size_of_the_mapping(kind, lsb):
    linux = kernel()

    linux.publish_sigbus(MAP.page_of(page(kind)), page(kind), SignalCode.BUS_MCEERR_AR)

    assert address_lsb(MAP.page_of(page(kind))) == linux.ask.events[0].address_lsb == lsb


@pytest.mark.parametrize(("kind", "offset"), [(PageKind.APPLICATION, 0x123), (PageKind.GUEST, 0)])
def test_an_application_that_touches_a_lost_page_gets_the_byte_and_a_vmm_the_page(kind, offset):
    linux = kernel()
    address = page(kind) + 0x123

    linux.publish_sigbus(MAP.page_of(address), address, SignalCode.BUS_MCEERR_AR, touched=True)

    assert linux.ask.events[0].address & 0xFFF == offset


@pytest.mark.parametrize("version", list(Kernel))
def test_a_signal_for_a_huge_page_names_its_first_4_kib_in_6_1_and_the_very_ones_since(version):
    linux = kernel(version)
    address = page(PageKind.HUGE, 512 + 5)

    linux.publish_sigbus(MAP.page_of(address), address, SignalCode.BUS_MCEERR_AR)
    linux.publish_sigbus(MAP.page_of(address), address + 0x38, SignalCode.BUS_MCEERR_AR, touched=True)

    offset = (512 if version is Kernel.V6_1 else 512 + 5) * 4096
    assert [event.address - APPLICATION_VA for event in linux.ask.events] == [offset, (512 + 5) * 4096 + 0x38]
