"""How a fault ended for the host and for one guest: a fold over the host's events.

The first event that ended a life decides (a panic is a panic, whatever the reset after it); without one the worst
that happened does. A level that shows no event was not involved; an exception that was taken to EL2 and a virtual
SError that a guest took are the host's doing as well.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final

from fleet.view.present import guest_of, hex_of, level_of
from nodes.events import (
    Event,
    FirmwareStopped,
    GuestReset,
    GuestSeaTaken,
    GuestStarted,
    HostReset,
    KernelPanicked,
    Level,
    PageOfflined,
    Receiver,
    SeaTaken,
    SErrorTaken,
    Signal,
    SignalCode,
    SignalSent,
    StatusBlockWritten,
    TaskKilled,
    VirtualSErrorTaken,
    VmExited,
)
from nodes.linux.memory_failure import ActionResult

HOST_LEVELS: Final = frozenset({Level.EL3, Level.HYPERVISOR, Level.VMM})
GUEST_LEVELS: Final = frozenset({Level.GUEST_FIRMWARE, Level.GUEST_KERNEL})
_EL2: Final = 2
_TAKEN_AWAY: Final = frozenset({ActionResult.DELAYED, ActionResult.RECOVERED})


class Outcome(IntEnum):
    """How it ended for a level, the worst last."""

    NOT_INVOLVED = 0
    CONTINUES = 1
    PAGE_OFFLINED = 2
    APPLICATION_KILLED = 3
    RESET = 4
    PANICKED = 5
    KILLED = 6  # a guest whose host or VM died


class End:
    """The ends of a host and one of its guests."""

    def __init__(self, events: Iterable[Event], guest: int) -> None:
        self.guest = guest
        self.host_outcome = self.guest_outcome = Outcome.NOT_INVOLVED
        self.signals: list[SignalSent] = []
        self.host_records: list[bytes] = []
        self.guest_records: list[bytes] = []
        self.guest_esr: int | None = None
        for event in events:
            self._add(event)

    def _add(self, event: Event) -> None:
        level = level_of(event)
        if level in HOST_LEVELS or _runs_hypervisor(event):
            self.host_outcome = _worse(self.host_outcome, _host_outcome(event))
        if level in GUEST_LEVELS and guest_of(event) == self.guest and not isinstance(event, GuestStarted):
            self.guest_outcome = _worse(self.guest_outcome, _kernel_outcome(event))
        self.guest_outcome = _worse(self.guest_outcome, _life_of_guest(event, self.guest))
        match event:
            case SignalSent():
                self.signals.append(event)
            case StatusBlockWritten():
                (self.host_records if event.written_by == Level.EL3 else self.guest_records).append(event.block)
            case VirtualSErrorTaken() | GuestSeaTaken() if event.guest == self.guest:
                self.guest_esr = event.esr

    def as_object(self, ledger: dict[str, object]) -> dict[str, Any]:
        """As the last line of ``trace --json`` has it."""
        return {
            "host": self.host_outcome.name.lower(),
            "guest": self.guest_outcome.name.lower(),
            "signals": [signal_object(event) for event in self.signals],
            "guest_esr_el1": None if self.guest_esr is None else hex_of(self.guest_esr),
            "records": {
                "host": [block.hex() for block in self.host_records],
                "guest": [block.hex() for block in self.guest_records],
            },
            "ledger": ledger,
        }


def signal_object(event: SignalSent) -> dict[str, Any]:
    """A signal: to whom, which, and where in the receiver's memory."""
    return {
        "to": Receiver(event.receiver).name.lower(),
        "signal": Signal(event.signal).name,
        "code": SignalCode(event.code).name,
        "address": hex_of(event.address),
        "address_lsb": event.address_lsb,
    }


def _worse(before: Outcome, now: Outcome) -> Outcome:
    return before if before >= Outcome.RESET else max(before, now)


def _runs_hypervisor(event: Event) -> bool:
    match event:
        case SErrorTaken(target_el=target) | SeaTaken(target_el=target):
            return target == _EL2
    return isinstance(event, VirtualSErrorTaken)


def _host_outcome(event: Event) -> Outcome:
    if isinstance(event, HostReset | FirmwareStopped):
        return Outcome.RESET
    return _kernel_outcome(event)


def _kernel_outcome(event: Event) -> Outcome:
    """What an event says of the kernel that it is about."""
    match event:
        case KernelPanicked():
            return Outcome.PANICKED
        case TaskKilled():
            return Outcome.APPLICATION_KILLED
        case SignalSent() if event.receiver == Receiver.APPLICATION:
            return Outcome.APPLICATION_KILLED
        case PageOfflined() if event.result in _TAKEN_AWAY:
            return Outcome.PAGE_OFFLINED
    return Outcome.CONTINUES


def _life_of_guest(event: Event, guest: int) -> Outcome:
    """What an event of the host's levels says of a guest's life."""
    match event:
        case HostReset() | FirmwareStopped():
            return Outcome.KILLED
        case KernelPanicked() if event.by == Level.HYPERVISOR:
            return Outcome.KILLED
        case VmExited() if event.guest == guest:
            return Outcome.KILLED
        case GuestReset() if event.guest == guest:
            return Outcome.RESET
    return Outcome.NOT_INVOLVED
