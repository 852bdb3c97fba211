"""Tasks that met an error touch the same place again, until they can go on or are gone."""

from itertools import pairwise

import pytest

from nodes.events import (
    MemoryRead,
    PageOfflined,
    SeaTaken,
    SignalCode,
    SignalSent,
    VirtualSErrorTaken,
)
from nodes.events import commands as c
from nodes.linux.pages import PageKind
from nodes.stack.guests import SIGBUS_NS
from nodes.stack.tasks import RETRY_AGAIN_NS, RETRY_MAX, RETRY_NS, Consumer
from tests.blocks import memory_block
from tests.hosts import fields, host, names, of, present


def pinned(machine, guest=0):
    """A page of a guest that cannot be handled, and that its task goes on using."""
    ipa, _ = machine.platform.guest_map.range_of(PageKind.PINNED)
    return machine.platform.address_of(guest, ipa)


def test_a_task_of_the_host_is_gone_once_it_has_its_signal():
    machine = host(notification="sea")

    machine.inject("memory-uer")
    machine.run()

    assert len(of(machine, SeaTaken, target_el=3)) == 1
    assert fields(of(machine, SignalSent), "code") == [(SignalCode.BUS_MCEERR_AR,)]
    assert machine.machine.tasks.consumers == {}


def test_a_task_touches_the_place_again_when_nobody_signalled_it():
    machine = host()

    address = machine.inject("memory-uer", el=0)
    machine.run()

    touched = of(machine, SignalSent)
    assert fields(touched, "time_ns", "code") == [(RETRY_NS, SignalCode.BUS_MCEERR_AR)]
    assert of(machine, PageOfflined)[0].pfn == address >> 12


STORMS = {  # guest's kernel: times that the VMM was signalled, and the signal that ended it for the application
    "6.1": (101, SignalCode.BUS_MCEERR_AR),  # duplicates are dropped and claimed, until the first is forgotten
    "6.12": (2, SignalCode.BUS_OBJERR),  # a duplicate is nobody's
    "6.19": (1, SignalCode.SI_KERNEL),  # a page that cannot be taken costs the task its life
}


@pytest.mark.parametrize("version", STORMS)
def test_a_page_that_cannot_be_taken_makes_a_storm_by_version(version):
    machine = host(guest_kernel=version)

    machine.inject("memory-uer", address=pinned(machine), guest=0)
    machine.run()

    times = [event.time_ns for event in of(machine, SignalSent, receiver=1, code=SignalCode.BUS_MCEERR_AR)]
    told = fields(of(machine, SignalSent, receiver=0), "code")
    assert (len(times), told) == (STORMS[version][0], [(STORMS[version][1],)])
    assert {later - earlier for earlier, later in pairwise(times)} <= {RETRY_AGAIN_NS + SIGBUS_NS}
    assert machine.machine.tasks.consumers == {}


def test_somebody_ends_a_task_that_touches_one_place_for_ever():
    machine = host()
    machine.inject("memory-de")
    tasks = machine.machine.tasks

    for touches in (RETRY_MAX - 1, RETRY_MAX):
        tasks.consumers = {-1: Consumer(machine.task_page(), 0, 0, touches)}
        tasks.retry(-1, touches)

    assert (tasks.consumers, len(of(machine, SeaTaken))) == ({}, 1)


def test_a_task_that_can_read_is_no_longer_remembered():
    machine = host()
    machine.inject("memory-de")
    machine.do(c.ScrubMemory, machine.task_page())

    machine.do(c.ReadMemory, machine.task_page())
    machine.run()

    assert machine.machine.tasks.consumers == {}
    assert of(machine, SeaTaken) == []


def test_poison_is_met_only_when_somebody_reads_it():
    machine = host()
    address = machine.inject("memory-de", guest=0)
    machine.run()
    present_before = names(machine)

    machine.do(c.ReadMemory, address, 0)

    assert "SeaTaken" not in present_before
    assert len(of(machine, SeaTaken)) == 1


def test_the_hosts_kernel_reads_what_tasks_have_lost():
    machine = host(notification="gsiv")
    address = machine.task_page()
    present(machine, memory_block(address))

    machine.do(c.ReadMemory, address, -1, 1)
    assert of(machine, SignalSent) == []
    machine.do(c.ReadMemory, address)

    assert len(of(machine, SignalSent)) == 1


@pytest.mark.parametrize("el", [0, 1])
def test_a_guest_that_touches_a_page_lost_by_its_host_takes_the_abort_where_it_touched(el):
    machine = host(notification="gsiv")
    address = machine.task_page(0)
    present(machine, memory_block(address))

    machine.do(c.ReadMemory, address + 0x40, 0, el)
    machine.run()

    signal = of(machine, SignalSent, receiver=1, code=SignalCode.BUS_MCEERR_AR)[0]
    assert signal.address & 0xFFF == 0
    assert machine.guest(0).vcpu.el == el


def test_another_page_is_another_story():
    machine = host(notification="gsiv")
    first, second = machine.task_page(0), machine.task_page(0) + 4096
    present(machine, memory_block(second))
    machine.machine.tasks.consumers = {0: Consumer(first, 1, 0, 7)}

    machine.do(c.ReadMemory, second, 0)

    assert machine.machine.tasks.consumers == {0: Consumer(second, 0, 0, 1)}


def test_a_guest_cannot_read_what_is_not_its_own():
    machine = host()

    machine.do(c.ReadMemory, machine.task_page(1), 0)

    assert of(machine, MemoryRead) == []


def test_nobody_touches_anything_once_the_host_is_down():
    machine = host()
    machine.inject("memory-de", guest=0)
    machine.do(c.PresentBlock, memory_block(machine.task_page(), 1), 1)

    machine.do(c.ReadMemory, machine.task_page(0), 0)

    assert of(machine, MemoryRead, VirtualSErrorTaken) == []
