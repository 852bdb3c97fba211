"""KVM: what an error that was taken while a guest ran means for that guest.

The physical syndrome is not what the guest sees: for UEU and UER it gets an IMPLEMENTATION DEFINED one, CE and UEO
are swallowed, anything worse panics the host. Only user space can hand over a real syndrome.

Sources: Linux arch/arm64/kvm/handle_exit.c kvm_handle_guest_serror(), mmu.c kvm_handle_guest_abort(), guest.c
__kvm_arm_vcpu_set_events(), inject_fault.c of 6.1.192 and 6.12.117; inject_fault.c of 6.19;
Documentation/virt/kvm/api.rst 4.31, 4.32; the patch "kvm: pass the virtual SEI syndrome to guest OS" (March 2017).
"""

from typing import Final, Protocol

from nodes.events import Event, SyndromeSwallowed, VcpuEventsRefused, VirtualSErrorDeferred, VirtualSErrorPended
from nodes.events.head import Level
from nodes.hardware.routing import virtual_barrier, virtual_serror_deliverable
from nodes.ledger import Account, Ledger
from nodes.linux.traps import SErrorVerdict, classify_serror
from nodes.linux.versions import Behaviour
from nodes.policy import VirtualSyndrome
from nodes.spec.aarch64 import HCR_GUEST, HcrEl2
from nodes.spec.syndrome import ISS_MASK, SERROR_EC, VSESR_WITHOUT_ESR, vserror_esr

EINVAL: Final = 22
NONE_PENDING: Final = -1


class Neighbours(Protocol):
    """What KVM asks of the guest above it and the kernel around it."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def guest_takes_serror(self, vcpu: "Vcpu", esr: int, carried: int) -> None:
        """The guest's kernel runs at its SError vector."""

    def guest_takes_abort(self, vcpu: "Vcpu") -> None:
        """The guest's kernel runs at its synchronous vector: an abort that user space asked for."""

    def host_panics(self) -> None:
        """The classifier panicked the host's kernel."""


class Vcpu:
    """The virtual CPU of one guest, as far as errors concern it."""

    __slots__ = ("carried", "el", "guest", "masked", "vdisr", "vse", "vsesr")

    def __init__(self, guest: int) -> None:
        self.guest = guest
        self.el = 0  # what runs: 0 a task, 1 the kernel
        self.masked = False  # PSTATE.A
        self.vse = False  # HCR_EL2.VSE
        self.vsesr = 0
        self.vdisr = 0
        self.carried = 0  # occurrences behind the pending virtual SError

    def hcr(self) -> int:
        """HCR_EL2 while this vCPU is loaded."""
        return HCR_GUEST | HcrEl2.VSE.mask if self.vse else HCR_GUEST

    def reset(self) -> int:
        """vCPU reset: nothing is pending. Returns what was carried."""
        carried, self.carried = self.carried, 0
        self.vse = self.masked = False
        self.vsesr = self.vdisr = self.el = 0
        return carried


class Kvm:
    """KVM of one host. ``ledger`` is the guests' one."""

    __slots__ = ("ask", "behaviour", "ledger", "policy")

    def __init__(self, ask: Neighbours, ledger: Ledger, behaviour: Behaviour, policy: VirtualSyndrome) -> None:
        self.ask = ask
        self.ledger = ledger
        self.behaviour = behaviour
        self.policy = policy

    def guest_serror(self, vcpu: Vcpu, esr: int) -> bool:
        """kvm_handle_guest_serror(), or what the switch puts in its place. True when the guest gets an SError."""
        if self.policy is VirtualSyndrome.PASSTHROUGH:
            self.inject_serror(vcpu, esr & ISS_MASK)
            return True
        verdict = classify_serror(esr)
        if verdict is SErrorVerdict.PANICS:
            self.ask.host_panics()
            return False
        if verdict is SErrorVerdict.GOES_ON:
            self.ask.publish(SyndromeSwallowed, Level.HYPERVISOR, esr, vcpu.guest)
            return False
        supplied = self.policy is VirtualSyndrome.VMM and verdict is SErrorVerdict.FATAL
        self.inject_serror(vcpu, esr & ISS_MASK if supplied else VSESR_WITHOUT_ESR)
        return True

    def guest_sea_unclaimed(self, vcpu: Vcpu) -> None:
        """A guest's SEA that APEI did not claim: the guest gets an SError, not the abort."""
        self.inject_serror(vcpu, VSESR_WITHOUT_ESR)

    def inject_serror(self, vcpu: Vcpu, vsesr: int) -> None:
        """kvm_inject_vabt(), kvm_set_sei_esr(): an error of its own for the guest.

        A newer kernel enters the guest's vector itself when the guest does not mask SErrors; the syndrome then has
        IL=0 and nothing is pending.
        """
        if self.behaviour.serror_into_unmasked_guest and not vcpu.masked:
            self.ledger.inject()
            self.ask.guest_takes_serror(vcpu, SERROR_EC | vsesr & ISS_MASK, 1)
        else:
            self.pend(vcpu, vsesr)

    def pend(self, vcpu: Vcpu, vsesr: int) -> None:
        """Pend a virtual SError and enter the guest."""
        self._pend(vcpu, vsesr)
        self.enter(vcpu)

    def _pend(self, vcpu: Vcpu, vsesr: int) -> None:
        """One bit, so a second one overwrites the syndrome of the first."""
        self.ledger.inject()
        overwritten = NONE_PENDING
        if vcpu.vse:
            overwritten = vcpu.vsesr
            self.ledger.move(vcpu.carried, Account.PENDING, Account.OVERWRITTEN)
        vcpu.vse, vcpu.vsesr, vcpu.carried = True, vsesr & ISS_MASK, 1
        self.ledger.move(1, Account.IN_FLIGHT, Account.PENDING)
        self.ask.publish(VirtualSErrorPended, vcpu.guest, vcpu.vsesr, vcpu.hcr(), overwritten)

    def enter(self, vcpu: Vcpu) -> None:
        """Enter the guest: it takes the pending virtual SError if it may. HCR_EL2.VSE is cleared by that."""
        if not virtual_serror_deliverable(vcpu.hcr(), vcpu.el, masked=vcpu.masked):
            return
        carried, vcpu.carried = vcpu.carried, 0
        vcpu.vse = False
        self.ledger.move(carried, Account.PENDING, Account.IN_FLIGHT)
        self.ask.guest_takes_serror(vcpu, vserror_esr(vcpu.vsesr), carried)

    def barrier(self, vcpu: Vcpu) -> int:
        """The guest executes ESB: a masked virtual SError goes to VDISR_EL2. Returns what was carried."""
        vdisr = virtual_barrier(vcpu.hcr(), vcpu.vsesr, vcpu.el, masked=vcpu.masked)
        if not vdisr:
            return 0
        vcpu.vdisr, vcpu.vse = vdisr, False
        carried, vcpu.carried = vcpu.carried, 0
        self.ledger.move(carried, Account.PENDING, Account.IN_FLIGHT)
        self.ask.publish(VirtualSErrorDeferred, vcpu.guest, vdisr)
        return carried

    def set_vcpu_events(
        self, vcpu: Vcpu, *, pending: bool, has_esr: bool, serror_esr: int, abort: bool, padding: int
    ) -> int:
        """KVM_SET_VCPU_EVENTS: 0 or -EINVAL. A pending SError cannot be cancelled.

        Newer kernels commit the abort first, so that -EINVAL can follow one that was injected already. In all of
        them a guest that gets both enters at its abort vector, with SErrors masked: the SError is pended, and is
        taken in the abort's handler, at EL1, when that unmasks.
        """
        if padding:
            return self._refuse(vcpu, serror_esr)
        refused = pending and has_esr and serror_esr & ~ISS_MASK
        if abort and refused and self.behaviour.abort_before_serror:
            self._abort(vcpu)
        if refused:
            return self._refuse(vcpu, serror_esr)
        vsesr = serror_esr if has_esr else VSESR_WITHOUT_ESR
        if abort and pending:
            self._pend(vcpu, vsesr)
            self._abort(vcpu)
        elif pending:
            self.inject_serror(vcpu, vsesr)
        elif abort:
            self._abort(vcpu)
        return 0

    def _abort(self, vcpu: Vcpu) -> None:
        self.ledger.inject()
        self.ask.guest_takes_abort(vcpu)

    def _refuse(self, vcpu: Vcpu, serror_esr: int) -> int:
        self.ask.publish(VcpuEventsRefused, vcpu.guest, serror_esr, EINVAL)
        return -EINVAL

    def get_vcpu_events(self, vcpu: Vcpu) -> tuple[int, int, int]:
        """KVM_GET_VCPU_EVENTS: serror_pending, serror_has_esr, serror_esr."""
        return int(vcpu.vse), 1, vcpu.vsesr if vcpu.vse else 0
