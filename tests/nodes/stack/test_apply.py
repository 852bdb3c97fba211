"""Commands: one row for each, and what they do to a host that runs, or does not."""

import pytest

from nodes.events import ErrorRecorded, PoisonRemoved, RegisterWritten, SeaTaken, SErrorReflected, commands
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.spec.err import ErrPfgctl
from nodes.stack.apply import apply
from tests.blocks import FATAL, memory_block
from tests.hosts import fields, host, names, of, present

CACHE = ras_node(RasNodeKind.CACHE, 0)


def test_a_command_is_done_at_its_time():
    machine = host()

    machine.do(c.PendSError, 0xBE00_1811, -1, 1, 0, 2, at_ns=5_000)

    assert {event.time_ns for event in machine.events} == {5_000}


def test_a_command_never_goes_back_in_time():
    machine = host()
    machine.run_until(10)

    with pytest.raises(AssertionError, match="before"):
        apply(machine.machine, c.CallFirmware(0, "h1", 1, 9, 0), 9)


@pytest.mark.parametrize("guest", [0, 1, -1])
def test_only_the_owner_of_an_address_consumes_its_error(guest):
    machine = host()

    machine.do(c.InjectFault, FAULT_INDEX["memory-uer"], machine.task_page(0), guest)

    assert len(of(machine, SeaTaken)) == (guest in (0, -1))
    assert len(of(machine, ErrorRecorded)) == 1


def test_an_error_on_a_host_that_is_down_is_recorded_and_met_by_nobody():
    machine = host()
    present(machine, memory_block(machine.task_page(), FATAL))

    machine.inject("memory-uer")

    assert of(machine, SeaTaken) == []
    assert len(of(machine, ErrorRecorded)) == 1
    machine.run()
    assert machine.accounted()


@pytest.mark.parametrize("command", [c.CallFirmware, c.RunBarrier, c.SetPe, c.ReadMemory, c.SetVcpuEvents])
def test_on_a_host_that_is_down_no_software_does_anything(command):
    machine = host()
    present(machine, memory_block(machine.task_page(), FATAL))
    before = len(machine.events)

    machine.do(command, 0)

    assert machine.events[before:] == []


def test_a_tester_injects_by_the_architected_registers():
    machine = host()
    machine.do(c.WriteErrorRegister, CACHE, RecordRegister.PFGCDN, 1_000)
    machine.do(c.WriteErrorRegister, CACHE, RecordRegister.PFGCTL, ErrPfgctl.of(CDNEN=1, UEO=1, ER=1))

    machine.run()

    assert len(of(machine, RegisterWritten)) == 2
    assert fields(of(machine, ErrorRecorded), "ras_node", "time_ns") == [(CACHE, 1_000)]
    assert machine.ledger()["injected"] == 1
    assert machine.accounted()


def test_a_scrub_removes_poison():
    machine = host()
    address = machine.inject("memory-de")
    machine.run()

    machine.do(c.ScrubMemory, address + 8)

    assert fields(of(machine, PoisonRemoved), "address") == [(address,)]
    assert machine.accounted()


def test_firmware_reflects_what_the_kernel_masks_until_it_gives_up():
    machine = host(handling="kernel_first")
    machine.do(c.SetPe, 0, 1, 1)
    machine.do(c.PendSError, 0xBE00_0411, -1, 1)

    machine.do(c.CallFirmware)
    machine.run()

    assert fields(of(machine, SErrorReflected), "repeats")[-1] == (100,)
    assert "FirmwareStopped" in names(machine)


def test_every_command_of_a_host_is_one_of_the_commands():
    declared = {kind for kind in vars(commands).values() if isinstance(kind, type) and issubclass(kind, c.Command)}

    assert set(c.HOST_COMMANDS) == declared - {c.Command}
    assert set(c.FAULT_COMMANDS) < set(c.HOST_COMMANDS)
