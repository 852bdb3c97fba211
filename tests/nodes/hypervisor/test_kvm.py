"""What KVM makes of errors for its guests, and what user space may ask of it."""

import pytest

from nodes.events import SyndromeSwallowed, VcpuEventsRefused, VirtualSErrorDeferred, VirtualSErrorPended
from nodes.hypervisor.kvm import EINVAL, Kvm, Vcpu
from nodes.ledger import Account
from nodes.linux.versions import BEHAVIOUR
from nodes.policy import Kernel, VirtualSyndrome
from nodes.spec.aarch64 import HcrEl2
from nodes.spec.severity import Aet
from nodes.spec.syndrome import disr_to_esr, serror_esr, serror_iss
from tests.doubles import Recorder, accounts
from tests.vectors import VECTORS

NO_ESR = 0x100_0000
PLAIN_KERNELS = [Kernel.V6_1, Kernel.V6_12]
SWALLOWED, PANIC = "swallowed", "host panics"
WITHOUT = serror_esr(NO_ESR)
RULE = {  # ISS of the physical SError: what the guest gets by each policy
    serror_iss(Aet.CE): (SWALLOWED, SWALLOWED),
    serror_iss(Aet.UEO): (SWALLOWED, SWALLOWED),
    serror_iss(Aet.UEU): (WITHOUT, serror_esr(0x411)),
    serror_iss(Aet.UER): (WITHOUT, serror_esr(0xC11)),
    serror_iss(Aet.UC): (PANIC, PANIC),
    0x1011: (PANIC, PANIC),  # reserved AET
    0x1411: (PANIC, PANIC),
    0x1C11: (PANIC, PANIC),
    0x0000: (PANIC, PANIC),  # uncategorized
    0x1812: (PANIC, PANIC),  # DFSC is not 0x11
    0x1000002: (WITHOUT, WITHOUT),  # IMPLEMENTATION DEFINED
}
plain_kernels = pytest.mark.parametrize("version", PLAIN_KERNELS)


class KvmMachine(Recorder):
    """What KVM asks of the guest above it and the kernel around it."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def guest_takes_serror(self, vcpu, esr, carried):
        self.asked.append(esr)
        self.ledger.move(carried, Account.IN_FLIGHT, Account.REPORTED)

    def guest_takes_abort(self, vcpu):
        self.asked.append("abort")
        self.ledger.move(1, Account.IN_FLIGHT, Account.REPORTED)

    def host_panics(self):
        self.asked.append(PANIC)


def kvm(version=Kernel.V6_12, policy=VirtualSyndrome.KVM):
    machine = KvmMachine()
    return Kvm(machine, machine.ledger, BEHAVIOUR[version], policy)


def vcpu(*, el=0, masked=False):
    state = Vcpu(3)
    state.el, state.masked = el, masked
    return state


def outcome(host):
    """What the guest got, or what else became of the error."""
    swallowed = [SWALLOWED for _ in host.ask.of(SyndromeSwallowed)]
    return (host.ask.asked + swallowed)[0]


@plain_kernels
@pytest.mark.parametrize("iss", RULE, ids=hex)
@pytest.mark.parametrize("policy", list(VirtualSyndrome))
def test_a_physical_serror_of_a_guest_becomes_what_the_policy_says(policy, iss, version):
    host = kvm(version, policy)

    host.guest_serror(vcpu(), serror_esr(iss))

    by_kvm, by_vmm = RULE[iss]
    said = {VirtualSyndrome.KVM: by_kvm, VirtualSyndrome.VMM: by_vmm, VirtualSyndrome.PASSTHROUGH: serror_esr(iss)}
    assert outcome(host) == said[policy]


@pytest.mark.parametrize("iss", RULE, ids=hex)
def test_an_serror_found_by_the_barrier_of_another_exit_is_treated_like_one_of_the_vector(iss):
    by_vector, by_barrier = kvm(), kvm()

    by_vector.guest_serror(vcpu(), serror_esr(iss))
    by_barrier.guest_serror(vcpu(), disr_to_esr(1 << 31 | iss))

    assert outcome(by_vector) == outcome(by_barrier)


@pytest.mark.parametrize("iss", RULE, ids=hex)
def test_the_caller_learns_whether_the_guest_gets_an_serror(iss):
    host = kvm()

    gets = host.guest_serror(vcpu(), serror_esr(iss))

    assert gets == isinstance(outcome(host), int)


def test_an_abort_that_nobody_claimed_reaches_the_guest_as_an_serror_without_syndrome():
    host = kvm()

    host.guest_sea_unclaimed(vcpu())

    assert host.ask.asked == [0xBF00_0000]


@plain_kernels
@pytest.mark.parametrize("el", [0, 1])
def test_a_masked_guest_takes_it_when_it_unmasks(el, version):
    host, state = kvm(version), vcpu(el=el, masked=True)
    host.inject_serror(state, 0x411)
    assert (host.ask.asked, accounts(host.ledger)) == ([], {"PENDING": 1})

    state.masked = False
    host.enter(state)

    assert host.ask.asked == [0xBE00_0411]
    assert (state.vse, state.carried) == (False, 0)


def test_a_second_pend_overwrites_the_syndrome_of_the_first():
    host, state = kvm(), vcpu(masked=True)

    host.inject_serror(state, 0x411)
    host.inject_serror(state, 0x811)

    assert [event.overwritten for event in host.ask.of(VirtualSErrorPended)] == [-1, 0x411]
    assert accounts(host.ledger) == {"PENDING": 1, "OVERWRITTEN": 1}
    assert host.get_vcpu_events(state) == (1, 1, 0x811)


def test_what_is_pended_shows_in_hcr_and_vsesr():
    host, state = kvm(), vcpu(masked=True)

    host.inject_serror(state, 0x1811)

    (pended,) = host.ask.of(VirtualSErrorPended)
    assert pended.vsesr == 0x1811
    assert pended.hcr == state.hcr()
    assert state.hcr() & HcrEl2.VSE.mask
    assert not vcpu().hcr() & HcrEl2.VSE.mask


@pytest.mark.parametrize("policy", list(VirtualSyndrome))
def test_6_19_takes_it_for_an_unmasked_guest_without_il_and_pends_nothing(policy):
    host, state = kvm(Kernel.V6_19, policy), vcpu()

    host.guest_serror(state, serror_esr(0x411))

    assert host.ask.asked == [0xBD00_0000 if policy is VirtualSyndrome.KVM else 0xBC00_0411]
    assert host.ask.of(VirtualSErrorPended) == []
    assert host.get_vcpu_events(state) == (0, 1, 0)


def test_6_19_pends_it_for_a_masked_guest_as_before():
    host, state = kvm(Kernel.V6_19), vcpu(masked=True)

    host.guest_sea_unclaimed(state)
    state.masked = False
    host.enter(state)

    assert host.ask.asked == [0xBF00_0000]


def set_events(host, state, *, pending=1, has_esr=1, esr=0, abort=0, padding=0):
    return host.set_vcpu_events(
        state, pending=bool(pending), has_esr=bool(has_esr), serror_esr=esr, abort=bool(abort), padding=padding
    )


def test_the_published_refusal():
    value = VECTORS["vsesr_user_ioctl_reject"]["value"]
    host = kvm()

    result = set_events(
        host,
        vcpu(),
        pending=value["serror_pending"],
        has_esr=value["serror_has_esr"],
        esr=int(value["serror_esr"], 16),
    )

    assert result == -EINVAL
    assert host.ask.asked == []


@pytest.mark.parametrize("version", list(Kernel))
@pytest.mark.parametrize(("esr", "accepted"), [(0x1FF_FFFF, True), (1 << 25, False), (1 << 63, False), (0, True)])
def test_any_bit_above_24_is_refused(esr, accepted, version):
    host = kvm(version)

    assert set_events(host, vcpu(masked=True), esr=esr) == (0 if accepted else -EINVAL)
    assert [(event.serror_esr, event.errno) for event in host.ask.of(VcpuEventsRefused)] == (
        [] if accepted else [(esr, 22)]
    )


@pytest.mark.parametrize("version", list(Kernel))
@pytest.mark.parametrize("esr", [0, 0x411, 1 << 40])
def test_without_a_syndrome_the_esr_is_not_looked_at(esr, version):
    host, state = kvm(version), vcpu(masked=True)

    assert set_events(host, state, has_esr=0, esr=esr) == 0
    assert state.vsesr == NO_ESR


@pytest.mark.parametrize("version", list(Kernel))
def test_padding_that_is_not_0_is_refused_before_anything_happens(version):
    host = kvm(version)

    assert set_events(host, vcpu(), abort=1, padding=1) == -EINVAL
    assert host.ask.asked == []


@pytest.mark.parametrize("has_esr", [0, 1])
def test_a_pending_serror_cannot_be_cancelled(has_esr):
    host, state = kvm(), vcpu(masked=True)
    set_events(host, state, esr=0x411)

    assert set_events(host, state, pending=0, has_esr=has_esr) == 0
    assert host.get_vcpu_events(state) == (1, 1, 0x411)


def test_nothing_asked_is_nothing_done():
    host = kvm()

    assert set_events(host, vcpu(), pending=0, esr=1 << 40) == 0
    assert host.ask.events == host.ask.asked == []


@plain_kernels
def test_older_kernels_pend_the_serror_and_enter_at_the_abort_and_do_nothing_when_they_refuse(version):
    good, bad = kvm(version), kvm(version)

    assert set_events(good, vcpu(), esr=0x1811, abort=1) == 0
    assert set_events(bad, vcpu(), esr=1 << 25, abort=1) == -EINVAL

    assert good.ask.asked == ["abort"]  # its entry masks SErrors; the handler unmasks
    assert [type(event).__name__ for event in good.ask.events] == ["VirtualSErrorPended"]
    assert bad.ask.asked == []


def test_6_19_commits_the_abort_first_so_that_einval_can_follow_it():
    good, bad = kvm(Kernel.V6_19), kvm(Kernel.V6_19)

    assert set_events(good, vcpu(), esr=0x1811, abort=1) == 0
    assert set_events(bad, vcpu(), esr=1 << 25, abort=1) == -EINVAL

    assert good.ask.asked == bad.ask.asked == ["abort"]
    assert [len(host.ask.of(VirtualSErrorPended)) for host in (good, bad)] == [1, 0]  # under the abort's mask


def test_a_set_that_repeats_what_get_returned_restores_the_vcpu():
    source, target = kvm(), kvm()
    before, after = vcpu(masked=True), vcpu(masked=True)
    set_events(source, before, esr=0x811)

    pending, has_esr, esr = source.get_vcpu_events(before)
    set_events(target, after, pending=pending, has_esr=has_esr, esr=esr)

    assert (after.vse, after.vsesr) == (before.vse, before.vsesr)


def test_a_barrier_defers_a_masked_one_as_published():
    published = VECTORS["vesb_defer"]
    host, state = kvm(), vcpu(el=1, masked=True)
    host.inject_serror(state, int(published["value"]["vsesr"], 16))

    carried = host.barrier(state)

    (deferred,) = host.ask.of(VirtualSErrorDeferred)
    assert (carried, hex(deferred.vdisr)) == (1, published["meaning"]["vdisr_el2"])
    assert state.vse == published["meaning"]["hcr_VSE"]


def test_a_barrier_without_anything_pending_leaves_vdisr_alone():
    host, state = kvm(), vcpu(masked=True)
    state.vdisr = 0x8000_0411

    assert host.barrier(state) == 0
    assert (state.vdisr, host.ask.events) == (0x8000_0411, [])


def test_a_reset_vcpu_has_nothing_pending():
    host, state = kvm(), vcpu(el=1, masked=True)
    host.inject_serror(state, 0x411)

    assert state.reset() == 1
    assert (state.vse, state.masked, state.el, state.vsesr, state.carried) == (False, False, 0, 0, 0)
