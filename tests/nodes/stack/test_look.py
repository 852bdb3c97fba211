"""What a host shows of itself."""

from nodes.events import commands as c
from nodes.policy import Aest, Handling
from tests.hosts import host


def test_isr_shows_an_serror_that_is_masked_and_a_guest_its_virtual_one():
    machine = host(handling=Handling.KERNEL_FIRST, aest=Aest.NONE)
    machine.do(c.SetPe, 0, 2, 1)
    machine.do(c.SetGuest, 0, 1, 1)
    before = machine.state()

    machine.do(c.PendSError, 0xBE00_0811, -1, 2)
    machine.do(c.SetVcpuEvents, 0, 1, 1, 0x811)
    after = machine.state()

    shown = [(state["pes"]["0"]["ISR_EL1"], state["guests"]["0"]["vcpu"]["ISR_EL1"]) for state in (before, after)]
    assert shown == [("0x0", "0x0"), ("0x100", "0x100")]
