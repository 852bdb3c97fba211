"""The guests of a host: how they come and go, and what a reboot clears."""

import pytest

from nodes.events import (
    GuestReset,
    GuestSeaTaken,
    GuestStarted,
    GuestStopped,
    KernelPanicked,
    Level,
    RecordRead,
    SignalCode,
    SignalSent,
    VirtualSErrorTaken,
    VmExited,
)
from nodes.events import commands as c
from nodes.linux.pages import PageKind
from nodes.stack.guests import REBOOT_NS, RESTART_NS
from tests.blocks import FATAL, memory_block
from tests.hosts import S, ended, fields, guest_meets_error, guest_serror, host, names, of, open_accounts

PANIC = 0xBE00_0411  # IMPLEMENTATION DEFINED for the guest


def exited(machine):
    """A VM that ended: its guest left a record unread and met another error."""
    for page in range(2):
        guest_meets_error(machine, page=page, el=1)
    assert of(machine, VmExited)
    return machine


def test_an_error_of_the_guests_kernel_leaves_the_record_unread_and_the_next_one_ends_the_vm():
    machine = host()

    guest_meets_error(machine, el=1)
    assert machine.machine.guests.alive(0)
    assert open_accounts(machine, guests=True) == {"in_flight": 1}
    guest_meets_error(machine, page=1)

    assert len(of(machine, VmExited)) == 1
    assert of(machine, RecordRead, read_by=Level.GUEST_KERNEL) == []
    assert ended(machine, guests=True) == {"lost slot_not_acknowledged": 1, "lost guest_gone": 1}


def test_a_guest_that_does_not_look_loses_its_application_and_then_its_vm():
    machine = host()
    machine.do(c.SetGuest, 0, 0, 0, 0)

    guest_meets_error(machine)
    guest_meets_error(machine, page=1)

    assert fields(of(machine, SignalSent, sent_by=Level.GUEST_KERNEL), "code") == [(3,)]
    assert len(of(machine, VmExited)) == 1


def test_a_second_sigbus_before_the_first_was_processed_ends_the_vm():
    machine = host()

    for page in range(2):
        machine.machine.guests.vmm_signalled(0, 0x4000_0000 + 4096 * page, SignalCode.BUS_MCEERR_AR)

    assert fields(of(machine, VmExited), "reason") == [("a second SIGBUS before the first was processed",)]


def test_action_optional_does_not_take_the_slot():
    machine = host()

    for _ in range(2):
        machine.machine.guests.vmm_signalled(0, 0x4000_0000, SignalCode.BUS_MCEERR_AO)
    machine.run()

    assert of(machine, VmExited) == []
    assert names(machine) == ["PoisonNoted"] * 2


@pytest.mark.parametrize(("code", "ends"), [("memory-ueo", False), ("memory-uer", True)])
def test_a_guest_without_firmware_survives_what_it_does_not_touch(code, ends):
    machine = host()
    machine.do(c.WithdrawFirmware, 0)

    machine.inject(code, guest=0)
    machine.run_until(S)

    assert fields(of(machine, VmExited), "reason") == ([("Hardware memory error!: exit(1)",)] if ends else [])
    assert of(machine, GuestSeaTaken) == []


def test_a_running_guest_is_reset_to_boot_without_firmware():
    machine = host()
    machine.do(c.SetGuest, 0, 0)

    machine.do(c.WithdrawFirmware, 0)

    assert fields(of(machine, GuestStarted), "guest", "hest") == [(0, 0)]


def test_a_panicked_guest_reboots_after_its_panic_time_and_not_before():
    machine = host()
    guest_serror(machine, PANIC)
    (panic,) = of(machine, KernelPanicked)

    machine.run_until(panic.time_ns + REBOOT_NS - 1)
    assert not machine.machine.guests.alive(0)
    machine.run()

    assert fields(of(machine, GuestReset, GuestStarted), "time_ns") == [(panic.time_ns + REBOOT_NS,)] * 2
    assert machine.machine.guests.alive(0)


def test_a_vm_that_ended_is_started_again_after_its_restart_time():
    machine = exited(host())

    machine.run()

    assert of(machine, GuestStarted)[0].time_ns == of(machine, VmExited)[0].time_ns + RESTART_NS
    guest_meets_error(machine, page=5)
    assert len(of(machine, RecordRead, read_by=Level.GUEST_KERNEL)) == 1


def dirtied(machine):
    """A guest with something in every place that a reboot clears."""
    guest_meets_error(machine)  # a lost page, a remembered record, a print limit
    guest_meets_error(machine, page=1, el=1)  # a block that nobody reads
    machine.do(c.InjectGuestError, 0, memory_block(machine.platform.guest_map.range_of(PageKind.FREE)[0]))
    machine.do(c.SetGuest, 0, 1, 1)
    machine.do(c.SetVcpuEvents, 0, 1, 1, 0x411)  # a virtual SError that waits
    return machine


def test_a_reboot_clears_what_a_reboot_clears():
    machine = dirtied(host())
    state = machine.guest(0)
    ipa = machine.platform.ipa_of(machine.task_page(0))
    assert state.kernel.linux.lost(ipa)
    assert (state.vcpu.vse, state.vcpu.masked, state.vcpu.el) == (True, True, 1)
    assert state.kernel.linux.failure.fifo
    assert [source.read_ack for source in state.vmm.sources.made] == [0, 1]

    machine.do(c.ResetGuest, 0)

    assert (state.vcpu.vse, state.vcpu.vsesr, state.vcpu.masked, state.vcpu.el) == (False, 0, False, 0)
    assert (state.kernel.linux, state.kernel.down, state.kernel.calling) == (None, False, False)
    assert (state.vmm.sources.made, state.vmm.busy, state.vmm.queue) == ((), False, ())
    assert not machine.machine.kernel.linux.lost(machine.task_page(0))
    assert ended(machine, guests=True)["lost guest_gone"] == 3
    assert machine.accounted()


def test_after_a_reset_the_guest_reads_its_pages_again():
    machine = dirtied(host())
    machine.do(c.ResetGuest, 0)
    before = len(machine.events)

    machine.do(c.ReadMemory, machine.task_page(0), 0)

    assert names(machine, before) == ["MemoryRead"]


def test_where_qemu_keeps_the_buffer_the_guest_finds_its_record_when_it_boots():
    machine = host(record_location="mm_communicate")
    guest_meets_error(machine, el=1)
    before = len(machine.events)

    machine.do(c.ResetGuest, 0)

    assert names(machine, before)[:4] == ["GuestReset", "GuestStarted", "RecordRead", "RecordLogged"]
    assert machine.guest(0).vmm.carried() == 0


def test_a_reset_of_a_guest_that_nothing_concerned_is_told_too():
    machine = host()

    machine.do(c.ResetGuest, 1)

    assert names(machine) == ["GuestReset", "GuestStarted"]


@pytest.mark.parametrize("command", [c.ResetGuest, c.StopGuest, c.StartGuest, c.WithdrawFirmware, c.SetGuest])
@pytest.mark.parametrize("guest", [-1, 4, 1 << 31])
def test_a_guest_that_does_not_exist_is_passed_over(guest, command):
    machine = host()

    machine.do(command, guest)

    assert machine.events == []


def test_a_stopped_guest_stays_stopped_until_it_is_started():
    machine = host()
    machine.do(c.SetGuest, 0, 0)
    machine.do(c.StopGuest, 0)
    machine.do(c.StopGuest, 0)
    machine.do(c.ResetHost)
    assert not machine.machine.guests.alive(0)

    machine.do(c.StartGuest, 0)

    assert names(machine) == ["GuestStopped", "HostReset", "GuestStarted"]
    assert machine.machine.guests.alive(0)


def test_what_was_on_its_way_to_a_stopped_guest_is_lost():
    machine = host()
    guest_meets_error(machine, el=1)

    machine.do(c.StopGuest, 0)

    assert ended(machine, guests=True) == {"lost guest_gone": 1}
    assert of(machine, GuestStopped)


def test_a_vm_that_ended_and_was_then_stopped_is_not_started_by_itself():
    machine = exited(host())
    machine.do(c.StopGuest, 0)

    machine.run()

    assert of(machine, GuestStarted) == []


def falls(machine):
    """The host's kernel panics, and stays down for its panic time."""
    machine.do(c.PresentBlock, memory_block(machine.task_page(), FATAL), 1)
    assert machine.machine.down


def test_no_guest_starts_on_a_host_that_is_down():
    machine = host()
    machine.do(c.StopGuest, 0)
    falls(machine)

    machine.do(c.StartGuest, 0)
    assert not machine.machine.guests.alive(0)
    machine.run()

    assert machine.machine.guests.alive(0)


def test_a_restart_that_falls_due_while_the_host_is_down_waits_for_the_host():
    machine = exited(host())
    restart = of(machine, VmExited)[0].time_ns + RESTART_NS
    machine.run_until(restart - S)
    falls(machine)

    machine.run_until(restart + S)

    assert of(machine, GuestStarted) == []
    machine.run()
    assert machine.machine.guests.alive(0)


def test_a_guest_that_is_stopped_while_the_host_is_down_does_not_come_back_with_it():
    machine = host()
    falls(machine)
    machine.do(c.StopGuest, 2)

    machine.run()

    assert [machine.machine.guests.alive(guest) for guest in range(4)] == [True, True, False, True]


def test_every_guest_that_was_there_ends_with_its_host():
    machine = host()
    for guest in (2, 0):
        machine.do(c.SetGuest, guest, 0)

    falls(machine)

    assert fields(of(machine, VmExited), "guest") == [(0,), (2,)]
    assert machine.machine.guests.guests == {}


def test_nothing_reaches_a_guest_that_is_gone():
    machine = exited(host())
    before = len(machine.events)

    for command in (
        (c.SetVcpuEvents, 0, 1, 1, 0x411),
        (c.InjectGuestError, 0, memory_block(0x4000_0000)),
        (c.RunBarrier, 0),
        (c.ReadMemory, machine.task_page(0), 0),
        (c.PendSError, PANIC, 0, 0, 0, 2),
    ):
        machine.do(*command)

    assert machine.events[before:] == []
    assert ended(machine)["lost guest_gone"] == 1
    assert machine.accounted()


both_at_once = pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.19"])


@both_at_once
@pytest.mark.parametrize("el", [0, 1])
def test_an_serror_that_comes_with_an_abort_is_taken_at_el1_in_the_handler_of_the_abort(el, kernel):
    machine = host(kernel=kernel)
    machine.do(c.SetGuest, 0, el)

    machine.do(c.SetVcpuEvents, 0, 1, 1, 0x1811, 1)

    told = ["VirtualSErrorPended", "GuestSeaTaken", "VirtualSErrorTaken", "SyndromeSwallowed"]
    assert names(machine) == [*told, "TaskKilled" if el else "SignalSent"]
    assert fields(of(machine, VirtualSErrorTaken), "from_el", "esr") == [(1, 0xBE00_1811)]
    assert machine.guest(0).vcpu.el == el


@both_at_once
def test_an_serror_that_panics_the_handler_leaves_the_abort_unfinished(kernel):
    machine = host(kernel=kernel)

    machine.do(c.SetVcpuEvents, 0, 1, 1, 0x411, 1)

    assert names(machine) == ["VirtualSErrorPended", "GuestSeaTaken", "VirtualSErrorTaken", "KernelPanicked"]
    assert ended(machine, guests=True) == {"reported": 2}


@both_at_once
def test_a_handler_that_goes_back_to_a_mask_leaves_the_serror_pending(kernel):
    machine = host(kernel=kernel, panic_on_oops=True)
    machine.do(c.SetGuest, 0, 1, 1)

    machine.do(c.SetVcpuEvents, 0, 1, 1, 0x411, 1)

    assert names(machine) == ["VirtualSErrorPended", "GuestSeaTaken", "KernelPanicked"]
    assert machine.guest(0).vcpu.vse


@pytest.mark.parametrize("masked", [0, 1])
def test_an_serror_waits_for_the_guest_to_unmask(masked):
    machine = host()
    machine.do(c.SetGuest, 0, 1, masked)

    guest_serror(machine, PANIC, el=1)
    assert bool(of(machine, VirtualSErrorTaken)) != masked
    machine.do(c.SetGuest, 0, 1, 0)

    assert fields(of(machine, VirtualSErrorTaken), "from_el", "esr") == [(1, 0xBF00_0000)]


def test_a_barrier_in_a_masked_guest_defers_what_linux_then_does_not_look_at():
    machine = host()
    machine.do(c.SetGuest, 0, 1, 1)
    guest_serror(machine, PANIC, el=1)

    machine.do(c.RunBarrier, 0)

    assert machine.guest(0).vcpu.vdisr == 0x8100_0000
    assert ended(machine, guests=True) == {"swallowed": 1}
