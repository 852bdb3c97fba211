"""Injection by the architected registers, as a tester does it: PFGCDN, PFGCTL, then what the RAS node shows."""

import pytest

from nodes.events import commands as c
from nodes.hardware.fault import FAULTS
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RESTARTS_MAX, RecordRegister
from nodes.host import Host, Switches
from nodes.policy import Aest, Handling
from nodes.spec.err import ErrAddr, ErrCtlr, ErrPfgctl, ErrStatus
from nodes.spec.severity import STATE_OF_UET, ErrorState

R = RecordRegister
DIMM_0, CACHE_3 = ras_node(RasNodeKind.MEMORY, 0), ras_node(RasNodeKind.CACHE, 3)
TICKS = 500
KERNEL_FIRST = Switches(handling=Handling.KERNEL_FIRST, aest=Aest.NONE)  # nobody clears what is recorded


def set_up(node=DIMM_0, ticks=TICKS, switches=KERNEL_FIRST):
    """A host whose node has its countdown set up, and the way to write its registers."""
    host = Host(switches=switches)

    def write(register, value):
        host.do(c.WriteErrorRegister, node, register, value)

    write(R.PFGCDN, ticks)
    return host, write


def control(**fields):
    return int(ErrPfgctl.of(**{"CDNEN": 1} | fields))


def injected(host, name="ErrorRecorded"):
    return [event for event in host.events if type(event).__name__ == name]


def shown(node=DIMM_0, before=(), **fields):
    """STATUS after an injection with these bits of PFGCTL."""
    host, write = set_up(node)
    for register, value in before:
        write(register, value)
    write(R.PFGCTL, control(**fields))
    host.run()
    return ErrStatus(host.record(node).status)


@pytest.mark.parametrize("ticks", [1, TICKS, 0xFFFF_FFFF])
def test_the_error_comes_when_the_countdown_is_over(ticks):
    host, write = set_up(ticks=ticks)

    write(R.PFGCTL, control(UER=1))
    host.run()

    assert [event.time_ns for event in injected(host)] == [ticks]


@pytest.mark.parametrize("state", ["UC", "UEU", "UER", "UEO"])
def test_each_uncorrected_state_is_recorded_as_such(state):
    status = shown(**{state: 1})

    assert (status.V, status.UE, STATE_OF_UET[status.UET]) == (1, 1, ErrorState[state])


def test_a_deferred_error_is_recorded_as_such():
    status = shown(DE=1)

    assert (status.V, status.DE, status.UE) == (1, 1, 0)


@pytest.mark.parametrize(("written", "recorded"), [(1, 0b10), (2, 0b01), (3, 0b11)])
def test_the_kind_of_a_corrected_error_is_coded_differently_in_control_and_status(written, recorded):
    assert recorded == shown(CE=written).CE


CODES = {  # SERR that the RAS node supplies, PFGF.SYN being 0: CE, DE, UEO, UER, UEU, UC
    RasNodeKind.MEMORY: (0x0C, 0x0C, 0x0C, 0x0C, 0x0C, 0x0B),
    RasNodeKind.CACHE: (0x06, 0x06, 0x06, 0x06, 0x06, 0x07),
    RasNodeKind.TLB: (0x08, 0x08, 0x08, 0x08, 0x09, 0x09),
    RasNodeKind.BUS: (0x05, 0x17, 0x05, 0x12, 0x12, 0x14),
    RasNodeKind.PCIE: (0x19, 0x19, 0x19, 0x19, 0x19, 0x19),
}


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("state", ["CE", "DE", "UEO", "UER", "UEU", "UC"])
def test_the_ras_node_supplies_the_code_of_a_real_error_of_that_state(kind, state):
    status = shown(ras_node(kind, 0), **{state: 1})

    real = next(fault for fault in FAULTS if (fault.kind, fault.state.name) == (kind, state))
    assert (CODES[kind][ErrorState[state] - 1], 0) == (status.SERR, status.IERR)
    assert real.serr == status.SERR


@pytest.mark.parametrize("fields", [{}, {"UC": 1, "DE": 1}, {"UEO": 1, "UER": 1}, {"CE": 1, "DE": 1}])
def test_no_type_bit_or_several_inject_nothing(fields):
    assert shown(**fields) == 0


@pytest.mark.parametrize("flag", ["OF", "MV", "PN", "ER", "AV", "CI"])
@pytest.mark.parametrize("value", [0, 1])
def test_each_flag_of_the_status_is_what_the_tester_asked_for(flag, value):
    before = [(R.CTLR, int(ErrCtlr.of(ED=1, CI=1)))]  # else R_JSVFW has its say

    status = shown(before=before, UER=1, **{flag: value})

    assert getattr(status, flag) == value


def test_an_injection_without_ci_takes_the_flag_back():
    host, write = set_up()
    host.record(DIMM_0).status = int(ErrStatus.of(V=1, CE=2, CI=1))

    write(R.PFGCTL, control(UER=1))
    host.run()

    assert ErrStatus(host.record(DIMM_0).status).CI == 0


@pytest.mark.parametrize("flag", ["PN", "ER"])
def test_a_corrected_error_is_neither_poison_nor_answered(flag):
    assert getattr(shown(CE=1, **{flag: 1}), flag) == 0


def test_the_address_stands_as_the_tester_wrote_it():
    host, write = set_up()
    written = int(ErrAddr.of(NS=0, AI=1, PADDR=0x1_2345_6780))

    write(R.ADDR, written)
    write(R.PFGCTL, control(UER=1, AV=1))
    host.run()

    assert host.record(DIMM_0).read(R.ADDR) == written


def test_the_countdown_starts_only_when_its_enable_goes_from_0_to_1():
    host, write = set_up()
    for value in (control(UER=1), control(UER=1), 0, control(UER=1)):
        write(R.PFGCTL, value)
        host.run()

    assert len(injected(host)) == 2


def test_hardware_leaves_the_enable_as_it_was_written():
    host, write = set_up()

    write(R.PFGCTL, control(UER=1))
    host.run()

    assert host.record(DIMM_0).read(R.PFGCTL) == control(UER=1)


@pytest.mark.parametrize("before", [[(R.PFGCDN, 0)], [(R.CTLR, 0)]], ids=["countdown of 0", "disabled"])
def test_nothing_starts_without_ticks_or_on_a_disabled_ras_node(before):
    assert shown(before=before, UER=1) == 0


@pytest.mark.parametrize("meanwhile", [(R.PFGCTL, 0), (R.CTLR, 0)], ids=["stopped", "disabled"])
def test_nothing_comes_when_the_countdown_was_stopped_or_the_ras_node_disabled(meanwhile):
    host, write = set_up()
    write(R.PFGCTL, control(UER=1))
    host.run_until(TICKS - 1)

    write(*meanwhile)
    host.run()

    assert injected(host) == []


def test_a_countdown_that_starts_anew_counts_from_there():
    host, write = set_up()
    write(R.PFGCTL, control(UER=1))
    host.run_until(TICKS - 1)

    for value in (0, control(UER=1)):
        write(R.PFGCTL, value)
    host.run()

    assert [event.time_ns for event in injected(host)] == [TICKS - 1 + TICKS]


def test_with_restart_the_error_comes_again_until_the_tester_ends_it():
    host, write = set_up()
    write(R.PFGCTL, control(CE=1, R=1))
    host.run_until(10 * TICKS)

    write(R.PFGCTL, 0)
    host.run()

    assert [event.time_ns for event in injected(host)] == [n * TICKS for n in range(1, 11)]
    assert host.ledger()["injected"] == 10


def test_a_restarting_countdown_ends_at_its_bound():
    host, write = set_up(ticks=1)

    write(R.PFGCTL, control(CE=1, R=1))
    host.run()

    assert len(injected(host)) == 1 + RESTARTS_MAX


def test_a_reset_ends_an_injection():
    host, write = set_up()
    write(R.PFGCTL, control(UER=1))

    host.do(c.ResetHost, 0)
    host.run()

    assert injected(host) == []


def test_an_injected_error_that_is_answered_in_band_reaches_the_pe_that_owns_the_ras_node():
    host, write = set_up(CACHE_3, switches=Switches())

    write(R.PFGCTL, control(UER=1, ER=1))
    host.run()

    taken = injected(host, "SErrorTaken")
    assert [(event.pe, event.target_el, event.esr) for event in taken] == [(3, 3, 0xBE000C11)]
    assert host.accounted()


BY_HANDLING = pytest.mark.parametrize(  # level that takes the SError, and what the guest then gets
    ("handling", "target", "to_guest"), [("firmware_first", 3, []), ("kernel_first", 2, [0xBF00_0000])]
)


@BY_HANDLING
@pytest.mark.parametrize("el", [0, 1])
def test_it_is_taken_while_the_guest_runs_that_was_put_on_the_pe(el, handling, target, to_guest):
    host, write = set_up(CACHE_3, switches=Switches(handling=handling))
    host.do(c.SetPe, 3, el, 0, 0, 2)

    write(R.PFGCTL, control(UER=1, ER=1))
    host.run()

    taken = injected(host, "SErrorTaken")
    assert [(event.pe, event.guest, event.from_el, event.target_el) for event in taken] == [(3, 2, el, target)]
    virtual = injected(host, "VirtualSErrorTaken")
    assert [(event.guest, event.from_el, event.esr) for event in virtual] == [(2, el, esr) for esr in to_guest]
    assert host.accounted()


def test_the_guest_stays_on_its_pe_for_the_next_error():
    host, write = set_up(CACHE_3, switches=Switches())
    host.do(c.SetPe, 3, 1, 0, 0, 2)

    write(R.PFGCTL, control(UEO=1, ER=1, R=1))
    host.run_until(300_000)
    write(R.PFGCTL, 0)
    host.run()

    guests = [event.guest for event in injected(host, "SErrorTaken")]
    assert len(guests) > 1
    assert set(guests) == {2}


@pytest.mark.parametrize(
    "leaves", [(c.StopGuest, 2), (c.SetPe, 5, 0, 0, 0, 2), (c.SetPe, 3)], ids=["stopped", "moved", "host's code"]
)
def test_a_guest_that_left_its_pe_is_not_there_when_the_error_comes(leaves):
    host, write = set_up(CACHE_3, switches=KERNEL_FIRST)
    host.do(c.SetPe, 3, 0, 0, 0, 2)

    host.do(*leaves)
    write(R.PFGCTL, control(UEO=1, ER=1))
    host.run()

    assert [event.guest for event in injected(host, "SErrorTaken")] == [-1]


def test_a_guest_that_masks_serrors_on_its_pe_gets_its_virtual_one_later():
    host, write = set_up(CACHE_3, switches=KERNEL_FIRST)
    host.do(c.SetPe, 3, 1, 1, 0, 2)

    write(R.PFGCTL, control(UER=1, ER=1))
    host.run()

    assert [type(event).__name__ for event in host.events[-2:]] == ["SErrorTaken", "VirtualSErrorPended"]
    assert host.guest(2).vcpu.vse


@pytest.mark.parametrize(
    ("node", "fields"), [(DIMM_0, {"UER": 1, "ER": 1}), (CACHE_3, {"UER": 1}), (CACHE_3, {"DE": 1})]
)
def test_any_other_injected_error_interrupts(node, fields):
    host, write = set_up(node, switches=Switches())

    write(R.PFGCTL, control(**fields))
    host.run()

    assert injected(host, "SErrorTaken") == []
    assert len(injected(host, "StatusBlockWritten")) == 1
    assert host.accounted()
