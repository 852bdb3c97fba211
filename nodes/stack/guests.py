"""The guests of one host: KVM, each guest's VMM, firmware and kernel, wired to one another.

A guest exists once something concerns it. One that is gone stays so until it is started again, by command or after
the restart time.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from nodes.apei.source import ErrorSource
from nodes.events import Event, GuestReset, GuestStarted, GuestStopped, SignalCode
from nodes.guest.kernel import GuestKernel
from nodes.guest.uefi import NO_FIRMWARE, Booted
from nodes.hardware.routing import EL1
from nodes.hypervisor.kvm import Kvm, Vcpu
from nodes.hypervisor.versions import QemuBehaviour
from nodes.hypervisor.vmm import Vmm
from nodes.ledger import Account, Ledger
from nodes.linux.kernel import KernelConfig
from nodes.policy import RecordDelivery, RecordLocation
from nodes.spec.hest import NotificationType
from nodes.stack.platform import Platform
from nodes.stack.timers import Timer

SIGBUS_NS: Final = 30_000  # from the signal to QEMU's handler; assumed
REBOOT_NS: Final = 30_000_000_000  # panic=30 on every kernel; assumed
RESTART_NS: Final = 60_000_000_000  # a VM that ended is started again; assumed
_NO_GUESTS: Final[frozenset[int]] = frozenset()
_TWO_SIGBUS: Final = "a second SIGBUS before the first was processed"


class Neighbours(Protocol):
    """What the guests ask of their host."""

    @property
    def now(self) -> int:
        """Virtual time, ns."""

    @property
    def down(self) -> bool:
        """Nothing runs on the host."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def set_timer(self, delay_ns: int, timer: Timer, first: int = 0, second: int = 0, third: int = 0) -> None:
        """Come back later."""

    def host_panics(self) -> None:
        """KVM asked the classifier, and it panicked the host's kernel."""

    def guest_went_on(self, guest: int) -> None:
        """A guest's task goes on after an abort: it may touch the same place again."""

    def guest_lost_task(self, guest: int) -> None:
        """The task that ran in a guest is gone, or the guest is."""

    def guest_runs_nowhere(self, guest: int) -> None:
        """A guest is gone, or its kernel panicked: no PE executes its code."""

    def memory_mapped_anew(self, guest: int) -> None:
        """A VMM mapped fresh pages in place of its guest's poisoned ones."""


class Guest:
    """One virtual machine."""

    __slots__ = ("kernel", "vcpu", "vmm")

    def __init__(self, vcpu: Vcpu, vmm: Vmm, kernel: GuestKernel) -> None:
        self.vcpu = vcpu
        self.vmm = vmm
        self.kernel = kernel


def _sea_sources(vmm: Vmm) -> Iterator[ErrorSource]:
    """The error sources that a guest's kernel looks at when it takes an abort."""
    return vmm.sources.with_notification(NotificationType.SEA)


class Guests:
    """All guests of one host. ``ledger`` counts what their hypervisor took to them."""

    __slots__ = ("ask", "firmware_withdrawn", "gone", "guests", "ledger", "platform", "stopped")

    def __init__(self, ask: Neighbours, platform: Platform) -> None:
        self.ask = ask
        self.ledger = Ledger()
        self.guests: dict[int, Guest] = {}
        self.gone: frozenset[int] = _NO_GUESTS
        self.stopped: frozenset[int] = _NO_GUESTS  # on purpose: not started again by itself
        self.firmware_withdrawn: frozenset[int] = _NO_GUESTS  # guests that boot without UEFI
        self.set_platform(platform)

    def set_platform(self, platform: Platform) -> None:
        """The host's switches changed: guests that start from now on follow the new ones."""
        self.platform = platform

    @property
    def kvm(self) -> Kvm:
        """KVM has no state of its own."""
        switches = self.platform.switches
        return Kvm(self, self.ledger, self.platform.host_config.behaviour, switches.virtual_syndrome)

    @property
    def guest_config(self) -> KernelConfig:
        """How guests' kernels are built."""
        return self.platform.guest_config

    @property
    def qemu(self) -> QemuBehaviour:
        """What this QEMU version does."""
        return self.platform.qemu

    @property
    def record_delivery(self) -> RecordDelivery:
        """How a guest's kernel gets at a record."""
        return self.platform.switches.record_delivery

    @property
    def now(self) -> int:
        """Virtual time, ns."""
        return self.ask.now

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""
        self.ask.publish(kind, *fields)

    def alive(self, guest: int) -> bool:
        """Whether a guest runs: its VM has not ended and its kernel has not panicked."""
        if guest in self.gone or not self._exists(guest):
            return False
        state = self.guests.get(guest)
        return state is None or not state.kernel.down

    def _exists(self, guest: int) -> bool:
        return 0 <= guest < self.platform.shape.guests

    def guest_of(self, guest: int) -> Guest:
        """A running guest, made when something first concerns it."""
        state = self.guests.get(guest)
        if state is None:
            state = self.guests[guest] = self._new(guest)
        return state

    def _new(self, guest: int) -> Guest:
        has_ghes = self.booted(guest).knows_errors
        return Guest(Vcpu(guest), Vmm(self, guest, has_ghes=has_ghes), GuestKernel(self, guest))

    def runs(self, guest: int, el: int) -> None:
        """The code of a guest that meets an error is what runs there: its vCPU is at that level."""
        state = self.guests.get(guest)
        if el and state is None and self.alive(guest):
            state = self.guest_of(guest)
        if state is not None:
            state.vcpu.el = min(el, 1)

    def booted(self, guest: int) -> Booted:
        """What a guest's firmware left at its last boot."""
        return NO_FIRMWARE if guest in self.firmware_withdrawn else self.platform.firmware

    def vmm_signalled(self, guest: int, ipa: int, code: SignalCode) -> None:
        """A VMM got SIGBUS. The slot of the vCPU thread holds one."""
        if not self.alive(guest):
            return
        vmm = self.guest_of(guest).vmm
        if code == SignalCode.BUS_MCEERR_AR:
            if vmm.busy:
                vmm.exit(_TWO_SIGBUS)
                return
            vmm.busy = True
        self.ask.set_timer(SIGBUS_NS, Timer.VMM_SIGBUS, guest, ipa, code)

    def vmm_sigbus(self, guest: int, ipa: int, code: int) -> None:
        """The VMM's handler runs."""
        if not self.alive(guest):
            return
        vmm = self.guest_of(guest).vmm
        if code == SignalCode.BUS_MCEERR_AR:
            if not vmm.busy:
                return  # it was for a VM that has ended since
            vmm.busy = False
        vmm.sigbus(ipa, code)

    def vmm_killed(self, guest: int) -> None:
        """A VMM got a signal that it does not survive."""
        if self.alive(guest):
            self.guest_of(guest).vmm.exit("SIGBUS without an address: raised again")

    def guest_takes_serror(self, vcpu: Vcpu, esr: int, carried: int) -> None:
        """The guest's kernel runs at its SError vector."""
        self.guest_of(vcpu.guest).kernel.serror(esr, vcpu.el, carried)

    def guest_takes_abort(self, vcpu: Vcpu) -> None:
        """The guest takes an abort that user space asked KVM for."""
        state = self.guest_of(vcpu.guest)
        state.kernel.plain_abort(vcpu.el, _sea_sources(state.vmm))
        self.ask.guest_lost_task(vcpu.guest)

    def guest_unmasks(self, guest: int) -> None:
        """In its abort handler, at EL1, a guest restores PSTATE.A as it was before the abort."""
        vcpu = self.guest_of(guest).vcpu
        if vcpu.vse:
            el, vcpu.el = vcpu.el, EL1
            self.kvm.enter(vcpu)
            vcpu.el = el

    def guest_takes_vmm_abort(self, guest: int, *, recorded: bool) -> None:
        """The guest takes an abort whose registers QEMU wrote; on demand there may be no room for its record."""
        state = self.guest_of(guest)
        vcpu, kernel, vmm = state.vcpu, state.kernel, state.vmm
        if self.record_delivery is RecordDelivery.ON_DEMAND:
            lost = kernel.abort_on_demand(vcpu.el, masked=vcpu.masked, answered=vmm.answers_calls)
            if lost is not None and recorded:
                kernel.lose_call(vmm.withdraw_newest(), lost)
        elif kernel.vmm_abort(vcpu.el, _sea_sources(vmm)):
            self.ask.guest_went_on(guest)

    def notify_guest(self, guest: int, source: ErrorSource) -> None:
        """An interrupt tells the guest's kernel of a source."""
        state = self.guest_of(guest)
        if self.record_delivery is not RecordDelivery.ON_DEMAND:
            state.kernel.notified(source)
            return
        lost = state.kernel.notified_on_demand(answered=state.vmm.answers_calls)
        if lost is not None:
            state.kernel.lose_call(state.vmm.withdraw_newest(), lost)

    def guest_failure_work_later(self, guest: int, delay_ns: int) -> None:
        """Run a guest's memory_failure worker soon."""
        self.ask.set_timer(delay_ns, Timer.GUEST_FAILURE, guest)

    def guest_call_later(self, guest: int, delay_ns: int) -> None:
        """A call of a guest's firmware returns soon."""
        self.ask.set_timer(delay_ns, Timer.GUEST_CALL, guest)

    def call_returned(self, guest: int) -> None:
        """The call brings blocks that wait (on demand); the kernel calls again until none does."""
        state = self.guests.get(guest)
        if state is None or not state.kernel.calling or state.kernel.down:
            return
        state.kernel.call_returned(*state.vmm.answer())
        if state.vmm.queue or state.vmm.refused:
            state.kernel.call_again()
        self.ask.guest_went_on(guest)

    def failure_work(self, guest: int) -> None:
        """A guest's memory_failure worker."""
        state = self.guests.get(guest)
        if state is not None:
            state.kernel.failure_work()

    def host_panics(self) -> None:
        """KVM asked the classifier, and it panicked."""
        self.ask.host_panics()

    def set_context(self, guest: int, *, el: int, masked: bool, acknowledges: bool) -> None:
        """What runs in a guest changes; an SError that waited for PSTATE.A may be taken now."""
        if not self.alive(guest):
            return
        state = self.guest_of(guest)
        state.vcpu.el, state.vcpu.masked = min(el, 1), masked
        state.kernel.acknowledges = acknowledges
        self.kvm.enter(state.vcpu)

    def enters(self, guest: int, el: int, *, masked: bool) -> None:
        """A guest, if it is one, runs on a PE from now on: its vCPU is at that level."""
        if self.alive(guest):
            vcpu = self.guest_of(guest).vcpu
            vcpu.el, vcpu.masked = min(el, 1), masked
            self.kvm.enter(vcpu)

    def guest_down(self, guest: int) -> None:
        """A guest's kernel panicked: it reboots after its panic time."""
        self.ask.guest_runs_nowhere(guest)
        self.ask.guest_lost_task(guest)
        self.ask.set_timer(REBOOT_NS, Timer.GUEST_REBOOT, guest)

    def vm_exited(self, guest: int) -> None:
        """A VM's process ended: what was on its way to the guest is lost; it is started again later."""
        self._drop(guest)
        self.gone |= {guest}
        self.ask.set_timer(RESTART_NS, Timer.GUEST_RESTART, guest)

    def _drop(self, guest: int) -> None:
        state = self.guests.pop(guest, None)
        self.ask.guest_runs_nowhere(guest)
        self.ask.guest_lost_task(guest)
        self.ask.memory_mapped_anew(guest)
        if state is None:
            return
        self.ledger.move(state.vcpu.carried, Account.PENDING, Account.LOST_GUEST_GONE)
        carried = state.vmm.drop() + state.kernel.reset()
        self.ledger.move(carried, Account.IN_FLIGHT, Account.LOST_GUEST_GONE)

    def start(self, guest: int) -> None:
        """A guest is started if it is gone; its firmware boots and tells where its tables lie.

        On a host that is down it starts when the host has booted.
        """
        if guest not in self.gone:
            return
        self.stopped -= {guest}
        if self.ask.down:
            return
        self.gone -= {guest}
        self.publish(GuestStarted, guest, self.booted(guest).hest)

    def stop(self, guest: int) -> None:
        """A guest is stopped on purpose; one that is gone will not be started again by itself."""
        if not self._exists(guest):
            return
        self.stopped |= {guest}
        if guest not in self.gone:
            self.publish(GuestStopped, guest)
            self._drop(guest)
            self.gone |= {guest}

    def restart(self, guest: int) -> None:
        """The restart time of a VM that ended is over."""
        if guest not in self.stopped:
            self.start(guest)

    def reboot(self, guest: int) -> None:
        """The panic time of a guest is over."""
        state = self.guests.get(guest)
        if state is not None and state.kernel.down:
            self.reset(guest)

    def reset(self, guest: int) -> None:
        """A guest is reset, by command or after a panic: what a reboot clears is cleared."""
        if guest in self.gone or not self._exists(guest):
            return
        self.publish(GuestReset, guest)
        self.ask.guest_lost_task(guest)
        self.ask.memory_mapped_anew(guest)
        state = self.guests.get(guest)
        keeps = self.platform.switches.record_location is RecordLocation.MM_COMMUNICATE
        if state is not None:
            self._clear(state, keeps_blocks=keeps)
        self.publish(GuestStarted, guest, self.booted(guest).hest)
        if state is not None and keeps:
            self._probe(state)

    def _clear(self, state: Guest, *, keeps_blocks: bool) -> None:
        """vCPU, VMM and kernel begin anew."""
        pending = state.vcpu.reset()
        self.ledger.move(pending, Account.PENDING, Account.LOST_GUEST_GONE)
        carried = state.vmm.reset(keeps_blocks=keeps_blocks) + state.kernel.reset()
        self.ledger.move(carried, Account.IN_FLIGHT, Account.LOST_GUEST_GONE)

    def _probe(self, state: Guest) -> None:
        """ghes_probe() of a guest that boots: what stands in its blocks is consumed now."""
        for source in state.vmm.sources.made:
            if state.kernel.acknowledges and not state.kernel.down:
                state.kernel.running().reader.proc(source)

    def withdraw_firmware(self, guest: int) -> None:
        """A guest boots without UEFI from now on; one that runs is reset for it."""
        if not self._exists(guest):
            return
        self.firmware_withdrawn |= {guest}
        state = self.guests.get(guest)
        if state is not None:
            state.vmm.has_ghes = False
            self.reset(guest)

    def host_gone(self, reason: str) -> None:
        """The host's kernel panicked, or the host stopped: every guest that was there is gone with it."""
        for guest in sorted(self.guests):
            self.guests[guest].vmm.announce_exit(reason)
            self._drop(guest)
        self.gone = frozenset(range(self.platform.shape.guests))

    def host_back(self) -> None:
        """The host has booted: its guests are started again, but for those that were stopped on purpose."""
        self.gone = self.stopped

    def guest_went_on(self, guest: int) -> None:
        """A guest's task goes on after an abort."""
        self.ask.guest_went_on(guest)

    def guest_lost_task(self, guest: int) -> None:
        """The task that ran in a guest is gone."""
        self.ask.guest_lost_task(guest)

    def carried(self) -> tuple[int, int]:
        """Occurrences in flight, and pending; for the accounting check."""
        in_flight = sum(g.vmm.carried() + g.kernel.carried() for g in self.guests.values())
        return in_flight, sum(g.vcpu.carried for g in self.guests.values())
