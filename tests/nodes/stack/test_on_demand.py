"""Records that a guest's kernel must ask for: how each call and each record ends. The flow description (f-2)."""

import pytest

from nodes.events import CallFailed, SignalCode, SignalSent
from nodes.events import commands as c
from nodes.host import Host, HostShape, Switches
from nodes.hypervisor.versions import QEMU
from nodes.hypervisor.vmm import QUEUE_MAX
from nodes.policy import Qemu
from tests.blocks import CORRECTED, memory_block
from tests.hosts import ended, fields, guest_meets_error, host, of


def test_on_demand_two_errors_at_once_meet_the_deadline_and_a_masked_guest_is_denied():
    machine = host(record_delivery="on_demand")
    machine.do(c.SetGuest, 1, 0, 1)

    for guest, page in ((0, 0), (0, 1), (1, 0)):
        machine.guest(guest).vmm.sigbus(0x4100_0000 + 4096 * page, SignalCode.BUS_MCEERR_AR)

    machine.run()

    assert ended(machine, guests=True) == {"reported": 1, "lost call_denied": 1, "lost deadline_expired": 1}
    assert machine.accounted()


def test_on_demand_a_guest_that_never_asks_has_a_queue_that_grows():
    machine = host(record_delivery="on_demand")
    machine.do(c.SetGuest, 0, 0, 0, 0)

    for page in range(3):
        guest_meets_error(machine, page=page)

    assert len(machine.guest(0).vmm.queue) == 3
    assert machine.machine.guests.alive(0)


def on_demand():
    machine = Host("h1", switches=Switches(record_delivery="on_demand"))
    machine.do(c.SetGuest, 0, 0)
    return machine


def call_ends(machine):
    """The codes of calls that failed, and how what was taken to guests ended."""
    assert machine.accounted()
    return [code for (code,) in fields(of(machine, CallFailed), "code")], ended(machine, guests=True)


def test_on_demand_a_guest_without_firmware_has_nothing_to_call():
    machine = on_demand()
    machine.do(c.WithdrawFirmware, 0)

    guest_meets_error(machine)

    assert call_ends(machine) == ([-1], {"lost call_not_supported": 1})
    assert machine.machine.guests.alive(0)


@pytest.mark.parametrize("location", ["contract", "mm_communicate"])
def test_on_demand_firmware_does_not_call_a_partition_that_is_too_old(monkeypatch, location):
    too_old = QEMU[Qemu.V11_1]._replace(mm_version=0xFFFF)
    monkeypatch.setitem(QEMU, Qemu.V11_1, too_old)
    shape = HostShape(pes=13)  # platforms are kept: one that no other test has
    machine = Host("h1", switches=Switches(record_delivery="on_demand", record_location=location), shape=shape)

    guest_meets_error(machine)

    assert call_ends(machine) == ([-1], {"lost call_not_supported": 1})
    assert machine.guest(0).vmm.has_ghes == (location == "contract")


def test_on_demand_a_block_that_no_buffer_holds_is_lost_and_the_others_are_brought():
    machine = on_demand()
    large = memory_block(0x4100_0000) + bytes(4000)

    machine.do(c.InjectGuestError, 0, large)
    machine.do(c.InjectGuestError, 0, memory_block(0x4100_0000, CORRECTED))
    guest_meets_error(machine)

    assert call_ends(machine) == ([-2], {"corrected": 1, "reported": 1, "lost block_too_large": 1})
    assert len(of(machine, SignalSent, receiver=0, guest=0)) == 1


def test_on_demand_a_full_queue_loses_what_comes_and_keeps_what_waits():
    machine = on_demand()
    machine.do(c.SetGuest, 0, 0, 0, 0)  # it never asks
    vmm = machine.guest(0).vmm
    for page in range(QUEUE_MAX):
        vmm.sigbus(0x4100_0000 + 4096 * page, SignalCode.BUS_MCEERR_AR)
    machine.do(c.SetGuest, 0, 0)  # now it does

    vmm.sigbus(0x4100_0000, SignalCode.BUS_MCEERR_AR)
    machine.run()

    codes, ends = call_ends(machine)
    assert (codes, ends.pop("lost call_no_memory")) == ([-5], 1)
    assert sum(ends.values()) == QUEUE_MAX
    assert vmm.queue == ()
