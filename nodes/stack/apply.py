"""What each command does to a host: one row for each.

A command that speaks of a guest which does not own the address, or is gone, has no consumer there: the error is
found without anyone meeting it. On a host that is down no software does anything.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from nodes.events import NO_GUEST, RegisterWritten
from nodes.events import commands as c
from nodes.hardware.record import RecordRegister
from nodes.hardware.routing import EL3
from nodes.policy import SwitchChanges
from nodes.stack.beginnings import Syndrome, barrier, pend_serror, present_block
from nodes.stack.machine import Machine
from nodes.stack.platform import platform_of


def _inject_fault(machine: Machine, command: c.InjectFault) -> None:
    guest = command.guest
    consumed = not machine.down
    if guest != NO_GUEST and not (_owns(machine, guest, command.address) and machine.guests.alive(guest)):
        guest, consumed = NO_GUEST, False
    machine.board.inject(command.fault, command.address, command.pe, guest, command.el, consumed=consumed)


def _owns(machine: Machine, guest: int, address: int) -> bool:
    return machine.platform.guest_of(address) == guest


def _read_memory(machine: Machine, command: c.ReadMemory) -> None:
    guest = command.guest
    if machine.down or (guest != NO_GUEST and not _owns(machine, guest, command.address)):
        return
    machine.tasks.access(command.address, guest, command.el, command.pe)


def _scrub(machine: Machine, command: c.ScrubMemory) -> None:
    machine.board.scrub(command.address)


def _set_guest(machine: Machine, command: c.SetGuest) -> None:
    machine.guests.set_context(
        command.guest, el=command.el, masked=bool(command.masked), acknowledges=bool(command.acknowledges)
    )


def _set_pe(machine: Machine, command: c.SetPe) -> None:
    if machine.down:
        return
    state = machine.board.pe_of(command.pe)
    state.sdei_masked = bool(command.sdei_masked)
    if state.el != EL3:
        guest = command.guest if machine.guests.alive(command.guest) else NO_GUEST
        machine.guests.enters(guest, command.el, masked=bool(command.masked))
        machine.board.pes.place(command.pe, guest, command.el, masked=bool(command.masked))


def _reset_host(machine: Machine, command: c.ResetHost) -> None:
    machine.reset(cold=bool(command.cold), reason="command")


def _change_policy(machine: Machine, command: c.ChangePolicy) -> None:
    changes = msgspec.json.decode(command.switches, type=SwitchChanges)
    platform = machine.platform
    machine.change_platform(platform_of(platform.shape, changes.applied(platform.switches)))


def _write_register(machine: Machine, command: c.WriteErrorRegister) -> None:
    if machine.down:
        return
    machine.publish(RegisterWritten, command.ras_node, command.register, command.value)
    machine.board.write(command.ras_node, RecordRegister(command.register), command.value)


def _pend_serror(machine: Machine, command: c.PendSError) -> None:
    taken = Syndrome(command.esr, command.far)
    pend_serror(machine, taken, command.guest, command.el, command.pe, command.target_el)


def _set_vcpu_events(machine: Machine, command: c.SetVcpuEvents) -> None:
    if not machine.guests.alive(command.guest):
        return
    machine.guests.kvm.set_vcpu_events(
        machine.guests.guest_of(command.guest).vcpu,
        pending=bool(command.serror_pending),
        has_esr=bool(command.serror_has_esr),
        serror_esr=command.serror_esr,
        abort=bool(command.ext_dabt_pending),
        padding=command.padding,
    )


def _present_block(machine: Machine, command: c.PresentBlock) -> None:
    present_block(machine, command.block, command.source_id, command.guest, command.el)


def _inject_guest_error(machine: Machine, command: c.InjectGuestError) -> None:
    if machine.guests.alive(command.guest):
        machine.guests.guest_of(command.guest).vmm.inject(command.block)


def _barrier(machine: Machine, command: c.RunBarrier) -> None:
    if not machine.down:
        barrier(machine, command.guest, command.pe)


def _call_firmware(machine: Machine, command: c.CallFirmware) -> None:
    if not machine.down:
        machine.monitor.take(command.pe, 0)


_ROWS: Final[dict[type[c.Command], Callable[[Machine, Any], None]]] = {
    c.InjectFault: _inject_fault,
    c.ReadMemory: _read_memory,
    c.ScrubMemory: _scrub,
    c.SetGuest: _set_guest,
    c.SetPe: _set_pe,
    c.StartGuest: lambda machine, command: machine.guests.start(command.guest),
    c.StopGuest: lambda machine, command: machine.guests.stop(command.guest),
    c.ResetGuest: lambda machine, command: machine.guests.reset(command.guest),
    c.ResetHost: _reset_host,
    c.ChangePolicy: _change_policy,
    c.WriteErrorRegister: _write_register,
    c.PendSError: _pend_serror,
    c.SetVcpuEvents: _set_vcpu_events,
    c.PresentBlock: _present_block,
    c.InjectGuestError: _inject_guest_error,
    c.RunBarrier: _barrier,
    c.CallFirmware: _call_firmware,
    c.WithdrawFirmware: lambda machine, command: machine.guests.withdraw_firmware(command.guest),
}
assert set(_ROWS) == set(c.HOST_COMMANDS), "every command has a row"


def apply(machine: Machine, command: c.Command, time_ns: int) -> None:
    """Do a command to its host at ``time_ns``, which is not before the host's clock."""
    assert time_ns >= machine.now, f"{machine.name}: {time_ns} lies before {machine.now}"
    machine.now = time_ns
    _ROWS[type(command)](machine, command)
