"""One host: its floors, its clock, its timers, and what each floor asks of the others.

The machine is told the time with every command and every timer. A floor finishes its own state before it asks;
what takes time goes through a timer of the world outside, which fires it back here.
"""

from collections.abc import Callable
from typing import ClassVar, Final, Protocol

from nodes.apei.source import ErrorSource, Sources
from nodes.el3.entry import Entry
from nodes.el3.monitor import Monitor
from nodes.el3.sources import POLL_INTERVAL_MS
from nodes.events import (
    NO_GUEST,
    Event,
    HostReset,
    SeaTaken,
    SErrorTaken,
    SignalCode,
    WatchdogExpired,
)
from nodes.hardware.board import Board
from nodes.hardware.pe import NOTHING
from nodes.hardware.routing import EL1
from nodes.hypervisor.kernel import AEST_NS, HOST_TASK, IRQ_WORK_NS, HostKernel
from nodes.ledger import Account, Ledger
from nodes.linux.memory_failure import Task
from nodes.linux.pages import PAGE_SIZE, Page
from nodes.policy import Aest
from nodes.spec.hest import NotificationType
from nodes.stack.guests import REBOOT_NS, Guests
from nodes.stack.platform import Platform
from nodes.stack.tasks import Tasks
from nodes.stack.timers import Timer

WATCHDOG_NS: Final = 10_000_000_000  # from a system that EL3 stopped, or that hangs, to its reset; assumed
POLL_NS: Final = POLL_INTERVAL_MS * 1_000_000
NS_PER_S: Final = 1_000_000_000


class World(Protocol):
    """What a machine asks of what is outside it."""

    def publish(
        self, kind: type[Event], host: str, sequence: int, time_ns: int, fields: tuple[object, ...]
    ) -> None:
        """A fact leaves the host."""

    def set_timer(self, time_ns: int, machine: "Machine", timer: Timer, numbers: tuple[int, int, int]) -> None:
        """Fire a timer of this machine when its time has come."""

    def timestamp(self, epoch_s: int) -> bytes:
        """A time in seconds since 1970 as firmware writes it (BCD)."""


class Machine:
    """One host with everything in it."""

    __slots__ = (
        "board",
        "down",
        "epoch_ns",
        "falls",
        "guests",
        "home",
        "index",
        "kernel",
        "ledger",
        "monitor",
        "name",
        "now",
        "platform",
        "polling",
        "resets",
        "sequence",
        "sources",
        "tasks",
        "world",
    )
    # For the compiler; see nodes.stack.snapshot.dismantle().
    __deletable__: ClassVar[list[str]] = ["tasks", "guests", "board", "monitor", "kernel"]

    def __init__(self, name: str, index: int, platform: Platform, world: World, *, epoch_ns: int = 0) -> None:
        self.name = name
        self.index = index  # place among the hosts: the order of timers that are due at one time
        self.home = platform  # as the roster has it; the platform of now differs once the switches were changed
        self.world = world
        self.epoch_ns = epoch_ns  # real time of virtual time 0, ns since 1970
        self.now = 0  # virtual time, ns
        self.sequence = 0
        self.ledger = Ledger()
        self.tasks = Tasks(self)
        self.polling: tuple[int, ...] = ()  # source ids whose poll timer is armed
        self.down = False  # nothing runs above the hardware and EL3
        self.falls = 0  # how often it went down
        self.resets = 0  # how often it was reset: what firmware began before does not come back
        self.guests = Guests(self, platform)
        self.board = Board(self, self.ledger, platform.setup)
        self.set_platform(platform)
        self.monitor.sdei.boot()

    def set_platform(self, platform: Platform) -> None:
        """Shape and switches: firmware and the host's kernel are set up anew, the hardware keeps its state."""
        self.platform = platform
        self.board.set_up(platform.setup)
        self.sources = Sources(platform.source_kinds)
        self.monitor = Monitor(self, self.board, platform.switches, self.sources)
        self.kernel = HostKernel(self, self.board, platform.host_config, self.sources, platform.switches.aest)
        self.guests.set_platform(platform)

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""
        self.sequence += 1
        self.world.publish(kind, self.name, self.sequence, self.now, fields)

    def set_timer(self, delay_ns: int, timer: Timer, first: int = 0, second: int = 0, third: int = 0) -> None:
        """Come back later."""
        self.world.set_timer(self.now + delay_ns, self, timer, (first, second, third))

    def timestamp(self) -> bytes:
        """The time of day, BCD."""
        return self.world.timestamp((self.epoch_ns + self.now) // NS_PER_S)

    def fire(self, time_ns: int, timer: Timer, numbers: tuple[int, int, int]) -> None:
        """A timer is due."""
        self.now = time_ns
        _TIMERS[timer](self, *numbers)

    def ras_interrupt(self, node: int) -> None:
        """A RAS node interrupts: EL3 where it handles errors first, else the host's kernel."""
        if self.platform.firmware_first:
            if not self.monitor.stopped:
                self.monitor.interrupt(node)
        elif not self.down:
            self.set_timer(AEST_NS, Timer.AEST, node)

    def countdown(self, node: int, ticks: int, countdown: int) -> None:
        """An injection countdown began; a tick is a nanosecond."""
        self.set_timer(ticks, Timer.COUNTDOWN, node, countdown)

    def serror_taken(self, pe: int, target: int, esr: int, node: int, carried: int) -> None:
        """A PE took a physical SError."""
        state = self.board.pe_of(pe)
        if state.el <= EL1:
            self.guests.runs(state.guest, state.el)
        self.publish(SErrorTaken, pe, state.interrupted(), target, esr, state.guest)
        if target == 3:
            self._end(NOTHING, carried, Account.REPORTED)
            self.monitor.take(pe, esr)
        else:
            self.serror_at_el2(state.guest, esr, node, carried)

    def serror_at_el2(self, guest: int, esr: int, node: int, carried: int) -> None:
        """An SError was taken to EL2: KVM's while a guest ran, else the kernel's own.

        A record that the AEST driver will read stays where it is.
        """
        if guest != NO_GUEST and self.guests.alive(guest):
            swallowed = not self.guests.kvm.guest_serror(self.guests.guest_of(guest).vcpu, esr) and not self.down
        else:
            swallowed = self.kernel.serror(esr)
        nobody_reads = self.down or self.platform.switches.aest is Aest.NONE
        self._end(node if nobody_reads else NOTHING, carried, Account.SWALLOWED if swallowed else Account.REPORTED)

    def _end(self, node: int, carried: int, account: Account) -> None:
        """What an exception and its record carry ends."""
        self.ledger.move(carried, Account.IN_FLIGHT, account)
        self.board.take_carried(node, account)

    def sea_taken(self, pe: int, target: int, esr: int, address: int, node: int) -> None:
        """A PE took a synchronous external abort for a physical address."""
        state = self.board.pe_of(pe)
        if state.el <= EL1:
            self.guests.runs(state.guest, state.el)
        far = self.platform.virtual_address(state.guest, address)
        self.publish(SeaTaken, pe, state.interrupted(), target, esr, far, state.guest)
        self.tasks.met_error(state.guest, address, state.el, pe)
        if target == 3:
            self.monitor.take(pe, esr, far)
        else:
            self.sea_at_el2(state.guest, state.el, esr, far)
            if self.platform.switches.aest is Aest.NONE:
                self._end(node, 0, Account.REPORTED)

    def sea_at_el2(self, guest: int, el: int, esr: int, far: int = 0) -> None:
        """An abort was taken to EL2: APEI may claim it; KVM gives an unclaimed one to its guest as an SError."""
        if guest == NO_GUEST:
            self.kernel.sea(esr, HOST_TASK if el == 0 else None, far)
            return
        if not self.guests.alive(guest) or self.down:
            return
        thread = Task(owner=guest)
        if self.kernel.claim_sea(thread):
            self.kernel.linux.return_to_user(thread)
        elif not self.down:
            self.guests.kvm.guest_sea_unclaimed(self.guests.guest_of(guest).vcpu)

    def guest_went_on(self, guest: int) -> None:
        """A guest's task goes on after an abort: it touches the same place again."""
        self.tasks.went_on(guest)

    def guest_lost_task(self, guest: int) -> None:
        """The task that ran in a guest is gone, or the guest is."""
        self.tasks.gone(guest)

    def guest_runs_nowhere(self, guest: int) -> None:
        """No PE executes a guest's code any more."""
        self.board.pes.vacate(guest)

    def memory_mapped_anew(self, guest: int) -> None:
        """A VMM mapped fresh pages in place of its guest's poisoned ones."""
        self.kernel.linux.mapped_anew(guest)

    def enter_later(self, pe: int, delay_ns: int) -> None:
        """Look at the exception of a PE soon."""
        self.set_timer(delay_ns, Timer.EL3_ENTERED, pe, self.resets)

    def called_later(self, pe: int, delay_ns: int) -> None:
        """The MM partition returns soon."""
        self.set_timer(delay_ns, Timer.EL3_CALLED, pe, self.resets)

    def notify_os(self, source: ErrorSource, pe: int = 0) -> None:
        """The operating system's handler runs on a PE."""
        self.kernel.notified(source)
        if source.kind.notification is NotificationType.SDEI:
            self.set_timer(IRQ_WORK_NS, Timer.SDEI_DONE, pe, self.resets)

    def sdei_done(self, pe: int) -> None:
        """The SDEI handler of a PE completes, and what it queued is processed."""
        if pe in self.monitor.sdei.running:
            self.monitor.sdei.complete(pe)
        self.kernel.irq_work()

    def inject_sea(self, pe: int, entry: Entry) -> None:
        """EL3 makes the lower level take the abort that EL3 took."""
        self.publish(SeaTaken, pe, entry.el, 2, entry.esr, entry.far, entry.guest)
        self.sea_at_el2(entry.guest, entry.el, entry.esr, entry.far)

    def system_stopped(self, reason: str) -> None:
        """EL3 stopped the system: the watchdog will reset it."""
        self._fall(reason, WATCHDOG_NS)

    def host_failure_work_later(self, delay_ns: int) -> None:
        """Run memory_failure's worker soon."""
        self.set_timer(delay_ns, Timer.HOST_FAILURE)

    def poll_later(self, source_id: int) -> None:
        """Look at a polled source at its next interval; the timer is armed only while a block waits."""
        if source_id not in self.polling:
            self.polling = tuple(sorted((*self.polling, source_id)))
            self.set_timer(POLL_NS - self.now % POLL_NS, Timer.POLL, source_id)

    def poll(self, source_id: int) -> None:
        """The poll timer of a source."""
        self.polling = tuple(other for other in self.polling if other != source_id)
        self.kernel.poll(source_id)

    def vmm_signalled(self, page: Page, address: int, code: SignalCode) -> None:
        """A VMM got SIGBUS for a page of its guest."""
        self.guests.vmm_signalled(page.owner, self.platform.ipa_of(address) & ~(PAGE_SIZE - 1), code)

    def task_signalled(self) -> None:
        """A task of the host got a signal for an error that it met."""
        self.tasks.gone(NO_GUEST)

    def vmm_killed(self, guest: int) -> None:
        """A VMM got a signal that it does not survive."""
        self.guests.vmm_killed(guest)

    def host_down(self) -> None:
        """The host's kernel panicked: it reboots after its panic time."""
        self._fall("the host's kernel panicked", REBOOT_NS)

    def host_hung(self) -> None:
        """The host's kernel loops for ever: the watchdog will reset it."""
        self._fall("the host's kernel hangs", WATCHDOG_NS, hung=True)

    def host_panics(self) -> None:
        """KVM's classifier panicked the host's kernel."""
        self.kernel.serror_panic()

    def _fall(self, reason: str, delay_ns: int, *, hung: bool = False) -> None:
        """Nothing runs above the hardware any more, until the host is reset."""
        if self.down:
            return
        self.down = self.kernel.down = True
        self.falls += 1
        self.monitor.sdei.masked = True
        self.tasks.clear()
        self.guests.host_gone(reason)
        self.set_timer(delay_ns, Timer.HOST_REBOOT, self.falls, int(hung))

    def reboot(self, fall: int, hung: int) -> None:
        """The panic time or the watchdog is over.

        A block that hung the kernel would do so again at boot: there the watchdog's reset is a Cold one.
        """
        if not self.down or fall != self.falls:
            return
        watchdog = hung or self.monitor.stopped
        if watchdog:
            self.publish(WatchdogExpired)
        self.reset(cold=bool(hung), reason="watchdog" if watchdog else "panic")

    def reset(self, *, cold: bool, reason: str) -> None:
        """The host is reset and boots: records survive an Error Recovery reset and are told by BERT."""
        self._take_down(reason, cold=cold)
        self._boot()

    def _take_down(self, reason: str, *, cold: bool) -> None:
        self.resets += 1
        self.publish(HostReset, reason, int(cold))
        self.guests.host_gone("the host was reset")
        self.tasks.clear()
        self.polling = ()
        lost = self.kernel.carried() + self.monitor.reset()
        if cold:
            lost += self.sources.initialise()
        self.ledger.move(lost, Account.IN_FLIGHT, Account.LOST_HOST_RESET)
        self.board.lose_power(cold=cold)

    def _boot(self) -> None:
        self.down = False
        self.monitor.tell_boot_errors()
        self.monitor.sdei.boot()
        self.guests.host_back()
        self.kernel.boot()

    def change_platform(self, platform: Platform) -> None:
        """Other switches: firmware and kernels are exchanged while the host is down, and it boots with them.

        Error records survive, as in an Error Recovery reset; the new firmware initialises its memory, so that a
        block that the old kernel had not read is gone.
        """
        self._take_down("the switches changed", cold=False)
        self.ledger.move(self.sources.initialise(), Account.IN_FLIGHT, Account.LOST_HOST_RESET)
        self.kernel.retire()
        self.set_platform(platform)
        self._boot()


_TIMERS: Final[dict[Timer, Callable[..., object]]] = {
    Timer.EL3_ENTERED: lambda machine, pe, resets, _: resets == machine.resets and machine.monitor.entered(pe),
    Timer.EL3_CALLED: lambda machine, pe, resets, _: resets == machine.resets and machine.monitor.called(pe),
    Timer.SDEI_DONE: lambda machine, pe, resets, _: resets == machine.resets and machine.sdei_done(pe),
    Timer.HOST_FAILURE: lambda machine, *_: machine.kernel.failure_work(),
    Timer.AEST: lambda machine, node, *_: machine.kernel.ras_interrupt(node),
    Timer.POLL: lambda machine, source_id, *_: machine.poll(source_id),
    Timer.COUNTDOWN: lambda machine, node, countdown, _: machine.board.countdown_over(node, countdown),
    Timer.RETRY: lambda machine, guest, touches, _: machine.tasks.retry(guest, touches),
    Timer.VMM_SIGBUS: lambda machine, guest, ipa, code: machine.guests.vmm_sigbus(guest, ipa, code),
    Timer.GUEST_FAILURE: lambda machine, guest, *_: machine.guests.failure_work(guest),
    Timer.GUEST_CALL: lambda machine, guest, *_: machine.guests.call_returned(guest),
    Timer.GUEST_REBOOT: lambda machine, guest, *_: machine.guests.reboot(guest),
    Timer.GUEST_RESTART: lambda machine, guest, *_: machine.guests.restart(guest),
    Timer.HOST_REBOOT: lambda machine, fall, hung, _: machine.reboot(fall, hung),
}
