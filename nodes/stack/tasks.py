"""Tasks that met an error: they touch the same place again until they can go on or are gone.

An abort interrupts a load, and whoever handles it goes back to that load. So a page that nobody took away, or a
duplicate record that nobody acts on, is met over and over: the storm of repeated aborts.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from nodes.events import NO_GUEST
from nodes.stack.timers import Timer

if TYPE_CHECKING:
    from nodes.stack.machine import Machine

RETRY_NS: Final = 1_000_000  # until a task that met an error runs again; assumed
RETRY_AGAIN_NS: Final = 100_000_000  # until it touches the same place once more; assumed
RETRY_MAX: Final = 150  # touches in a row; then whoever watches the task ends it


class Consumer(NamedTuple):
    """One task and where it stands."""

    address: int  # physical
    el: int  # 0 a task, 1 the kernel
    pe: int
    touches: int


_NOBODY: Final[dict[int, Consumer]] = {}  # shared, never changed in place


class Tasks:
    """At most one task of each guest, and one of the host."""

    __slots__ = ("consumers", "machine")

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.consumers = _NOBODY  # guest, or NO_GUEST for a task of the host

    def clear(self) -> None:
        """Nobody runs any more."""
        self.consumers = _NOBODY

    def gone(self, guest: int) -> None:
        """The task that met an error is gone, or could go on."""
        if guest in self.consumers:
            self.consumers = {other: kept for other, kept in self.consumers.items() if other != guest} or _NOBODY

    def met_error(self, guest: int, address: int, el: int, pe: int) -> None:
        """Whoever met an error tries again."""
        before = self.consumers.get(guest)
        touches = before.touches + 1 if before is not None and before.address == address else 1
        self.consumers = {**self.consumers, guest: Consumer(address, 1 if el else 0, pe, touches)}
        self.machine.set_timer(RETRY_NS if touches == 1 else RETRY_AGAIN_NS, Timer.RETRY, guest, touches)

    def went_on(self, guest: int) -> None:
        """A guest's task goes on after an abort: it touches the same place again."""
        consumer = self.consumers.get(guest)
        if consumer is not None:
            self.met_error(guest, consumer.address, consumer.el, consumer.pe)

    def retry(self, guest: int, touches: int) -> None:
        """The task touches the place again, unless something else happened to it meanwhile."""
        consumer = self.consumers.get(guest)
        if consumer is None or consumer.touches != touches or self.machine.down:
            return
        if touches >= RETRY_MAX:
            self.gone(guest)
            return
        self.access(consumer.address, guest, consumer.el, consumer.pe)

    def access(self, address: int, guest: int, el: int, pe: int) -> None:
        """A task reads an address: the guest's tables, the host's tables and the memory itself may object.

        The host's kernel itself has every page mapped: it meets only what the memory holds.
        """
        machine = self.machine
        if guest != NO_GUEST:
            if not machine.guests.alive(guest):
                return
            machine.guests.runs(guest, el)
            ipa = machine.platform.ipa_of(address)
            if el == 0 and machine.guests.guest_of(guest).kernel.touched(ipa):
                self.gone(guest)
                return
        if (guest != NO_GUEST or el == 0) and machine.kernel.linux.lost(address):
            consumer = self.consumers.get(guest)
            if consumer is None or consumer.address != address:
                self.consumers = {**self.consumers, guest: Consumer(address, 1 if el else 0, pe, 1)}
            machine.kernel.touched(address)
        elif not machine.board.read(address, pe, guest, el):
            self.gone(guest)
