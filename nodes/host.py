"""One host by itself, for people who script: inject, step, look at everything. No files, no asyncio.

    host = Host("r1-h1")
    host.inject("memory-uer", guest=0)
    host.run()
    for event in host.events: print(event)

What no host could have (a fault, a RAS node, a PE, an address) is a ValueError that says what was expected.
A host alone has its own clock and its own timers; they fire in the same order as in a fleet.
"""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from heapq import heappop, heappush
from typing import Final

import msgspec

from nodes.events import NO_GUEST, Event
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX, FAULTS
from nodes.hardware.ras_nodes import KIND_SHIFT, RasNodeKind, ras_node
from nodes.hardware.record import ErrorRecord, RecordRegister
from nodes.ledger import ledger_json
from nodes.linux.pages import GUEST_BASE
from nodes.policy import Switches
from nodes.spec.timestamp import timestamp_at
from nodes.stack.accounting import accounted
from nodes.stack.apply import apply
from nodes.stack.guests import Guest
from nodes.stack.look import state_of
from nodes.stack.machine import NS_PER_S, Machine
from nodes.stack.platform import HostShape, Platform, platform_of
from nodes.stack.timers import Timer

START_NS = 1_767_225_600 * NS_PER_S  # 2026-01-01T00:00:00Z, where a scenario starts unless it says otherwise
SHAPE = HostShape()
SWITCHES = Switches()
_HEAD_FIELDS: Final = len(c.Command.__struct_fields__)
ADDRESS_BITS: Final = 56  # of a physical address, ERR<n>ADDR.PADDR


def _instances(shape: HostShape) -> dict[RasNodeKind, int]:
    """How many RAS nodes of each kind a host of this shape has."""
    counts = dict.fromkeys(RasNodeKind, shape.pes)
    dimms = shape.sockets * shape.channels
    return counts | {RasNodeKind.MEMORY: dimms, RasNodeKind.BUS: shape.sockets, RasNodeKind.PCIE: 1}


def _expected_ras_node(shape: HostShape, node: int) -> str:
    counts = _instances(shape)
    if any(node >> KIND_SHIFT == kind and node < ras_node(kind, 0) + count for kind, count in counts.items()):
        return ""
    names = ", ".join(f"{kind.name.lower()} 0 to {count - 1}" for kind, count in counts.items())
    return f"kind << {KIND_SHIFT} | instance, as nodes.hardware.ras_nodes.ras_node makes it, of {names}"


def _between(first: int, last: int, value: int) -> str:
    return "" if first <= value <= last else f"{first} to {last}"


_EXPECTED: Final[dict[str, Callable[[HostShape, int], str]]] = {  # "": the value is one
    "fault": lambda _, value: _between(0, len(FAULTS) - 1, value),
    "ras_node": _expected_ras_node,
    "register": lambda _, value: _between(0, len(RecordRegister) - 1, value),
    "pe": lambda shape, value: _between(0, shape.pes - 1, value),
    "el": lambda _, value: _between(0, 2, value),
    "address": lambda _, value: "" if 0 <= value < 1 << ADDRESS_BITS else f"0 to 2**{ADDRESS_BITS} - 1",
}


def _check(shape: HostShape, name: str, value: object) -> None:
    """Whether a host of this shape has what a field of a command names. Raises ValueError."""
    expected = _EXPECTED.get(name)
    if expected is None:
        return
    says = expected(shape, value) if isinstance(value, int) else "a number"
    if says:
        shown = hex(value) if isinstance(value, int) and name in ("ras_node", "address") else repr(value)
        raise ValueError(f"{name} = {shown}: expected {says}")


def _fault(name: str) -> int:
    """The index of a fault. Raises ValueError."""
    if name not in FAULT_INDEX:
        near = get_close_matches(name, FAULT_INDEX, n=1)
        raise ValueError(
            f'fault = "{name}": there is no such fault; '
            + (f'did you mean "{near[0]}"?' if near else "FAULT_NAMES has them all")
        )
    return FAULT_INDEX[name]


class Host:
    """A host alone, at virtual time 0.

    ``events`` are the facts that left it, oldest first. Times are in ns of virtual time, addresses are physical.
    """

    def __init__(
        self,
        name: str = "host",
        *,
        switches: Switches = SWITCHES,
        shape: HostShape = SHAPE,
        epoch_ns: int = START_NS,
    ) -> None:
        self.events: list[Event] = []
        self._timers: list[tuple[int, int, Timer, tuple[int, int, int]]] = []
        self._set = 0  # timers ever set: the order of those due at one time
        self._commands = 0
        switches = msgspec.convert(msgspec.structs.asdict(switches), Switches)  # a value may stand as its text
        self.machine = Machine(name, 0, platform_of(shape, switches), self, epoch_ns=epoch_ns)

    @property
    def platform(self) -> Platform:
        """Shape, switches, and what follows from them."""
        return self.machine.platform

    @property
    def now(self) -> int:
        """Virtual time, ns."""
        return self.machine.now

    # What the machine asks of the world around it

    def publish(
        self, kind: type[Event], host: str, sequence: int, time_ns: int, fields: tuple[object, ...]
    ) -> None:
        """A fact left the host."""
        self.events.append(kind(len(self.events), host, sequence, time_ns, *fields))

    def set_timer(self, time_ns: int, machine: Machine, timer: Timer, numbers: tuple[int, int, int]) -> None:
        """The machine wants to come back."""
        assert machine is self.machine, "one world, one machine"
        heappush(self._timers, (time_ns, self._set, timer, numbers))
        self._set += 1

    def timestamp(self, epoch_s: int) -> bytes:
        """A time in seconds since 1970 as firmware writes it."""
        return timestamp_at(epoch_s)

    # Doing things to it

    def do(self, kind: type[c.Command], *fields: object, at_ns: int | None = None) -> None:
        """Do a command now, or at a time that is not past; timers that are due before it fire first."""
        time_ns = self.now if at_ns is None else at_ns
        if time_ns < self.now:
            raise ValueError(f"at_ns = {time_ns}: expected {self.now} or later, which it is already")
        number = self._commands + 1
        command = kind(number, self.machine.name, number, time_ns, 0, *fields)
        for name in kind.__struct_fields__[_HEAD_FIELDS:]:
            _check(self.platform.shape, name, getattr(command, name))
        self._commands = number
        self.run_until(time_ns)
        apply(self.machine, command, time_ns)

    def inject(
        self, fault: str, *, address: int | None = None, guest: int = NO_GUEST, el: int = 0, pe: int = 0
    ) -> int:
        """Inject a fault by name; returns its physical address.

        Without an address it hits a task's page: of the guest whose index is given, else of the host.
        """
        index = _fault(fault)
        if address is None:
            address = self.task_page(guest)
        self._check_guest(guest, first=NO_GUEST)
        self.do(c.InjectFault, index, address, guest, el, pe)
        return address

    def task_page(self, guest: int = NO_GUEST) -> int:
        """Physical address of a page that a task of a guest, or of the host, uses."""
        self._check_guest(guest, first=NO_GUEST)
        return self.platform.task_page(guest)

    def _check_guest(self, guest: int, *, first: int = 0) -> None:
        says = _between(first, self.platform.shape.guests - 1, guest)
        if says:
            raise ValueError(f"guest = {guest}: expected {says}")

    def step(self) -> bool:
        """Fire the next timer; False when nothing waits."""
        if not self._timers:
            return False
        time_ns, _, timer, numbers = heappop(self._timers)
        self.machine.fire(time_ns, timer, numbers)
        return True

    def run_until(self, time_ns: int) -> None:
        """Fire every timer that is due up to a time, and set the clock there."""
        while self._timers and self._timers[0][0] <= time_ns:
            self.step()
        self.machine.now = max(self.machine.now, time_ns)

    def run(self, *, timers_max: int = 100_000) -> None:
        """Fire timers until nothing waits; at most ``timers_max`` of them."""
        for _ in range(timers_max):
            if not self.step():
                return

    # Looking at it

    def records(self) -> Iterator[tuple[int, dict[str, int]]]:
        """Every error record that was touched: RAS node, register name to value."""
        for node, record in sorted(self.machine.board.records.items()):
            yield node, {register.name: record.read(register) for register in RecordRegister}

    def record(self, node: int) -> ErrorRecord:
        """The error record of a RAS node (nodes.hardware.ras_nodes.ras_node names it)."""
        _check(self.platform.shape, "ras_node", node)
        return self.machine.board.record_of(node)

    def guest(self, index: int) -> Guest:
        """A guest: its vCPU, VMM, kernel and what its firmware left."""
        self._check_guest(index)
        return self.machine.guests.guest_of(index)

    def state(self) -> dict[str, object]:
        """Everything that the host holds: registers, records, sources, pages, guests, ledgers, by name."""
        return state_of(self.machine)

    def ledger(self) -> dict[str, object]:
        """Where every injected error is, and under ``guests`` what was taken to the guests."""
        machine = self.machine
        return ledger_json(machine.ledger) | {"guests": ledger_json(machine.guests.ledger)}

    def accounted(self) -> bool:
        """Whether injected = open + ended, and every open occurrence is really somewhere."""
        return accounted(self.machine)


FAULT_NAMES = tuple(fault.name for fault in FAULTS)
__all__ = ["FAULT_NAMES", "GUEST_BASE", "Host", "HostShape", "Switches"]
