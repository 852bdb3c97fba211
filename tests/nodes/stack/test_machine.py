"""A whole machine: resets, the watchdog, switches that change, polling."""

import msgspec
import pytest

from nodes.events import (
    BootErrorFound,
    ErrorRecorded,
    FirmwareStopped,
    HostReset,
    KernelPanicked,
    PageOfflined,
    RecordRead,
    SignalCode,
    WatchdogExpired,
)
from nodes.events import commands as c
from nodes.spec.hest import NotificationType
from nodes.spec.severity import Severity
from nodes.spec.status_block import StatusBlock
from nodes.stack.guests import REBOOT_NS
from nodes.stack.machine import POLL_NS, WATCHDOG_NS
from nodes.stack.timers import Timer
from tests.blocks import CORRECTED, FATAL, RECOVERABLE, memory_block
from tests.hosts import S, ended, fields, guest_meets_error, host, names, of, open_accounts, present

ENDLESS = (
    bytes.fromhex("1200000000000000000000004800000002000000")
    + bytes(20)
    + bytes.fromhex("00030000b8ffffff")
    + bytes(44)
)  # one entry of revision 0x300 whose body of -72 bytes wraps its size to 0


def change(machine, **switches):
    machine.do(c.ChangePolicy, msgspec.json.encode(switches).decode())


def test_a_panicked_host_boots_after_its_panic_time_with_its_guests():
    machine = host()
    present(machine, memory_block(machine.task_page(), FATAL))
    (panic,) = of(machine, KernelPanicked)
    assert machine.machine.down

    machine.run()

    assert fields(of(machine, HostReset), "time_ns", "reason", "cold") == [(panic.time_ns + REBOOT_NS, "panic", 0)]
    assert not machine.machine.down
    assert machine.machine.guests.alive(0)


def test_a_host_that_firmware_stopped_is_reset_by_the_watchdog():
    machine = host(tfa="new")
    machine.inject("memory-uer")
    machine.run()

    (stopped,) = of(machine, FirmwareStopped)
    assert fields(of(machine, WatchdogExpired), "time_ns") == [(stopped.time_ns + WATCHDOG_NS,)]
    assert fields(of(machine, HostReset), "reason") == [("watchdog",)]
    assert not machine.machine.monitor.stopped


@pytest.mark.parametrize("notification", ["polled", "sdei", "gsiv", "sea"])
def test_a_block_that_hangs_the_kernel_is_gone_after_the_watchdog(notification):
    machine = host(notification=notification)

    present(machine, ENDLESS)
    assert machine.machine.down
    assert (of(machine, RecordRead, KernelPanicked), open_accounts(machine)) == ([], {"in_flight": 1})
    machine.run()

    assert fields(of(machine, HostReset), "reason", "cold") == [("watchdog", 1)]
    assert ended(machine) == {"lost host_reset": 1}
    assert machine.machine.guests.alive(3)


def test_a_guest_that_hangs_stays_so_until_it_is_reset():
    machine = host()
    machine.do(c.InjectGuestError, 0, ENDLESS)
    machine.run()
    assert not machine.machine.guests.alive(0)

    machine.do(c.ResetGuest, 0)

    assert machine.machine.guests.alive(0)
    assert ended(machine, guests=True) == {"lost guest_gone": 1}


@pytest.mark.parametrize(("cold", "told"), [(0, 1), (1, 0)])
def test_records_survive_a_warm_reset_and_are_told_at_boot(cold, told):
    machine = host(handling="kernel_first", aest="none")
    machine.inject("memory-ueo")

    machine.do(c.ResetHost, cold)

    assert len(of(machine, BootErrorFound)) == told
    assert ended(machine) == {"reported" if told else "lost host_reset": 1}
    assert machine.accounted()


@pytest.mark.parametrize(("cold", "read"), [(0, 1), (1, 0)])
def test_an_unread_block_survives_a_warm_reset_and_is_read_at_boot(cold, read):
    machine = host(notification="polled")
    machine.do(c.PresentBlock, memory_block(machine.task_page()), 0)

    machine.do(c.ResetHost, cold)
    machine.run()

    assert len(of(machine, RecordRead)) == len(of(machine, PageOfflined)) == read
    assert ended(machine) == {"reported" if read else "lost host_reset": 1}


def test_a_fatal_block_at_boot_panics_the_kernel_that_boots():
    machine = host(notification="polled")
    machine.do(c.PresentBlock, memory_block(machine.task_page(), FATAL), 0)

    machine.do(c.ResetHost)
    assert machine.machine.down
    machine.run()

    assert fields(of(machine, HostReset), "reason") == [("command",), ("panic",)]
    assert len(of(machine, KernelPanicked)) == 1


@pytest.mark.parametrize("cold", [0, 1])
def test_a_reset_ends_what_was_on_its_way(cold):
    machine = host()
    machine.do(c.SetPe, 1, 1, 1)
    machine.inject("memory-de")
    machine.inject("memory-uer", address=machine.task_page() + 64)
    machine.do(c.SetGuest, 0, 1, 1)
    machine.do(c.SetVcpuEvents, 0, 1, 0)
    machine.run_until(20_000)

    machine.do(c.ResetHost, cold)

    assert (open_accounts(machine), open_accounts(machine, guests=True)) == ({}, {})
    assert ended(machine, guests=True) == {"lost guest_gone": 1}
    machine.run()
    assert machine.accounted()


def test_lost_pages_are_healthy_after_a_reset():
    machine = host(notification="gsiv")
    present(machine, memory_block(machine.task_page()))
    assert machine.machine.kernel.linux.lost(machine.task_page())

    machine.do(c.ResetHost)

    assert not machine.machine.kernel.linux.lost(machine.task_page())


def test_switches_change_with_a_reset_and_the_ledger_goes_on():
    machine = host()
    guest_meets_error(machine, el=1)

    change(machine, notification="gsiv", qemu="7.2", virtual_syndrome="passthrough")

    assert fields(of(machine, HostReset), "reason") == [("the switches changed",)]
    assert len(machine.guest(0).vmm.sources.kinds) == 1
    assert machine.machine.sources.kinds[0].notification is NotificationType.GSIV
    guest_meets_error(machine, page=2)
    assert machine.ledger()["injected"] == 2
    assert machine.accounted()


@pytest.mark.parametrize("severity", [RECOVERABLE, FATAL])
def test_the_old_kernel_does_not_boot_again_when_the_switches_change(severity):
    machine = host(notification="polled")
    machine.do(c.PresentBlock, memory_block(machine.task_page(0), severity), 0, 0)

    change(machine, notification="gsiv")
    machine.run()

    assert names(machine) == ["StatusBlockWritten", "HostReset"]
    assert ended(machine) == {"lost host_reset": 1}
    assert not machine.machine.down
    assert machine.machine.guests.alive(0)


@pytest.mark.parametrize(
    ("policy", "severity"), [("strict", Severity.FATAL), ("neoverse_rd", Severity.RECOVERABLE)]
)
@pytest.mark.parametrize("record_format", ["v1", "v1p1"])
def test_what_the_records_hold_is_told_once_by_the_new_firmware(record_format, policy, severity):
    machine = host(handling="kernel_first", aest="none")
    machine.do(c.SetPe, 0, 2, 1)
    machine.inject("bus-uc", el=2)  # critical, which v1 does not know

    change(machine, handling="firmware_first", record_format=record_format, severity_policy=policy)

    (told,) = of(machine, BootErrorFound)
    assert StatusBlock.decode(told.block).error_severity == severity
    assert (ended(machine), open_accounts(machine)) == ({"reported": 1}, {})


def test_a_host_that_was_down_runs_again_when_its_switches_change():
    machine = host()
    present(machine, memory_block(machine.task_page(), FATAL))

    change(machine, kernel="6.1")
    machine.run()

    assert not machine.machine.down
    assert len(of(machine, HostReset)) == 1
    assert machine.machine.guests.alive(0)


def test_a_host_takes_the_record_format_of_its_new_switches():
    machine = host(handling="kernel_first", aest="none")
    change(machine, handling="kernel_first", aest="none", record_format="v1")

    machine.inject("cache-ce")
    machine.inject("cache-uer")

    assert [event.status >> 27 & 1 for event in of(machine, ErrorRecorded)] == [0, 0]


def test_a_poll_is_armed_only_while_a_block_waits():
    machine = host(notification="polled")
    assert not machine.step()

    machine.do(c.PresentBlock, memory_block(machine.task_page(), CORRECTED), 0)
    machine.do(c.PresentBlock, memory_block(machine.task_page(), CORRECTED), 1)
    assert machine.machine.polling == (0, 1)
    machine.run()

    assert fields(of(machine, RecordRead), "source_id", "time_ns") == [(0, POLL_NS), (1, POLL_NS)]
    assert (machine.machine.polling, machine.step()) == ((), False)


def test_a_source_that_is_told_twice_is_polled_once():
    machine = host(notification="polled")

    for dimm in range(2):
        machine.inject("memory-ce", address=machine.task_page() + 64 * dimm)
        machine.run_until(machine.now + S // 10)
    assert machine.machine.polling == (0,)
    machine.run_until(S - 1)

    assert machine.step()
    assert not machine.step()


def test_every_timer_has_somebody_whom_it_wakes():
    machine = host()

    for timer in Timer:
        machine.machine.fire(S, timer, (0, 0, SignalCode.BUS_MCEERR_AR))

    assert machine.events == []
    assert machine.accounted()


def test_the_sequence_of_a_host_has_no_gap():
    machine = host()
    guest_meets_error(machine)
    machine.do(c.ResetHost, 1)
    change(machine, kernel="6.1")

    assert [event.sequence for event in machine.events] == list(range(1, len(names(machine)) + 1))


@pytest.mark.parametrize(("aest", "ends"), [("driver", {}), ("none", {"swallowed": 1})])
def test_an_serror_ends_what_its_record_carries_only_where_nobody_will_read_it(aest, ends):
    machine = host(handling="kernel_first", aest=aest)

    machine.inject("tlb-ueo")

    assert ended(machine) == ends
    machine.run()
    assert open_accounts(machine) == {}


def test_an_serror_that_merged_with_one_whose_record_was_read_still_ends():
    machine = host(handling="kernel_first")
    machine.do(c.SetPe, 0, 1, 1)
    machine.inject("tlb-ueo", el=1)
    machine.run_until(S)  # the driver has read the record; the SError still waits

    machine.do(c.PendSError, 0xBE00_0811, -1, 1)
    machine.do(c.SetPe, 0, 1, 0)

    assert machine.accounted()
    assert open_accounts(machine) == {}
