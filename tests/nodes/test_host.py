"""One host by itself, as somebody who scripts uses it."""

import re

import pytest

from nodes.events import NO_GUEST, NotificationRefused, PageOfflined, StatusBlockWritten
from nodes.events import commands as c
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.host import FAULT_NAMES, Host, HostShape, Switches
from nodes.linux.pages import PageKind
from nodes.policy import Kernel
from nodes.spec.status_block import StatusBlock
from nodes.spec.timestamp import timestamp_of
from tests.hosts import names, of


def test_a_script_injects_steps_and_looks():
    host = Host("r1-h1")

    address = host.inject("memory-ce")
    steps = 0
    while host.step():
        steps += 1

    assert steps > 0
    assert {event.host for event in host.events} == {"r1-h1"}
    assert host.ledger()["ended"]["corrected"] == 1
    assert host.platform.guest_of(address) == NO_GUEST


def test_a_host_that_nothing_happened_to_has_nothing():
    host = Host()

    assert (host.events, host.now, host.step(), list(host.records())) == ([], 0, False, [])
    assert host.accounted()
    assert host.ledger()["injected"] == host.ledger()["guests"]["injected"] == 0


@pytest.mark.parametrize("guest", [NO_GUEST, 0, 3])
@pytest.mark.parametrize("name", FAULT_NAMES)
def test_every_fault_ends_accounted(name, guest):
    host = Host()

    host.inject(name, guest=guest)
    assert host.accounted()
    host.run()

    assert host.accounted()
    assert host.ledger()["open"]["in_flight"] == 0


def test_a_page_of_a_task_belongs_to_whom_it_should():
    host = Host()

    pages = [host.task_page(), host.task_page(0), host.task_page(3)]

    assert [host.platform.guest_of(page) for page in pages] == [-1, 0, 3]
    assert host.platform.guest_map.page_of(host.platform.ipa_of(pages[1])).kind is PageKind.APPLICATION


def test_the_records_are_there_to_be_looked_at():
    host = Host(switches=Switches(handling="kernel_first", aest="none"))
    host.inject("memory-ueo")
    node = ras_node(RasNodeKind.MEMORY, 0)

    ((found, registers),) = host.records()

    assert found == node
    assert registers["STATUS"] == host.record(node).status != 0
    assert set(registers) == {"FR", "CTLR", "STATUS", "ADDR", "MISC0", "PFGF", "PFGCTL", "PFGCDN"}


def test_a_guest_is_there_to_be_looked_at():
    host = Host()

    guest = host.guest(2)

    assert (guest.vcpu.guest, guest.vmm.guest, guest.kernel.guest) == (2, 2, 2)
    assert guest.vmm.has_ghes


def test_switches_may_stand_as_their_texts():
    host = Host(switches=Switches(kernel="6.1", handling="kernel_first"))

    assert host.platform.switches.kernel is Kernel.V6_1
    assert not host.platform.firmware_first


def test_time_passes_only_when_told():
    host = Host()
    host.inject("memory-ce")
    assert host.now == 0

    host.run_until(30_000)
    assert (host.now, of(host, StatusBlockWritten)) == (30_000, [])
    host.run_until(20_000)

    assert host.now == 30_000


def test_timers_that_are_due_fire_before_a_later_command():
    host = Host()
    host.inject("memory-ce")

    host.do(c.SetGuest, 0, at_ns=1_000_000_000)

    assert names(host)[-1] == "RecordLogged"
    assert host.now == 1_000_000_000


def test_run_stops_at_its_bound():
    host = Host()
    host.inject("memory-ce")

    host.run(timers_max=1)

    assert host.step()


def test_records_carry_the_time_of_day_from_the_start_of_the_scenario():
    host = Host()
    host.inject("memory-ce", guest=0)
    host.run()

    (entry,) = StatusBlock.decode(of(host, StatusBlockWritten)[0].block).entries
    moment = timestamp_of(entry.timestamp)
    assert (moment.year, moment.month, moment.day) == (2026, 1, 1)


def test_a_host_may_have_another_shape():
    host = Host(shape=HostShape(guests=1, memory_gib=8, guest_memory_gib=2, channels=2))

    host.inject("memory-uer", guest=0)
    host.run()

    assert len(of(host, PageOfflined)) == 2
    assert not host.machine.guests.alive(1)


def test_two_hosts_that_are_told_the_same_do_the_same():
    def run():
        host = Host("twin")
        for fault in ("memory-uer", "cache-ueo", "memory-de"):
            host.inject(fault, guest=1)
        host.run()
        return host.events

    assert run() == run()


NO_SUCH = {  # what a script asks for, and what it is told
    'fault = "memory-urr": there is no such fault; did you mean "memory-uer"?': lambda h: h.inject("memory-urr"),
    'fault = "?": there is no such fault; FAULT_NAMES has them all': lambda h: h.inject("?"),
    "pe = 16: expected 0 to 15": lambda h: h.inject("cache-ce", pe=16),
    "pe = -1: expected 0 to 15": lambda h: h.do(c.SetPe, -1),
    "el = 3: expected 0 to 2": lambda h: h.inject("cache-ce", el=3),
    "guest = 4: expected -1 to 3": lambda h: h.inject("memory-ce", guest=4),
    "guest = -2: expected -1 to 3": lambda h: h.inject("memory-ce", guest=-2, address=0x8000_0000),
    "guest = 9: expected 0 to 3": lambda h: h.guest(9),
    "address = -0x40: expected 0 to 2**56 - 1": lambda h: h.inject("memory-ce", address=-64),
    "address = 0x100000000000000: expected 0 to 2**56 - 1": lambda h: h.do(c.ReadMemory, 1 << 56),
    "ras_node = 0x500: expected kind << 8 | instance": lambda h: h.do(c.WriteErrorRegister, 5 << 8, 6, 0),
    "ras_node = 0x8: expected kind << 8 | instance": lambda h: h.record(8),
    "ras_node = -0x1: expected kind << 8 | instance": lambda h: h.record(-1),
    "ras_node = 'memory 0': expected a number": lambda h: h.do(c.WriteErrorRegister, "memory 0", 6, 0),
    "register = 8: expected 0 to 7": lambda h: h.do(c.WriteErrorRegister, 0, 8, 0),
    "fault = 30: expected 0 to 29": lambda h: h.do(c.InjectFault, 30, 0),
    "at_ns = 5: expected 7 or later": lambda h: h.do(c.SetGuest, 0, at_ns=5),
}


@pytest.mark.parametrize("told", NO_SUCH)
def test_what_no_host_has_is_refused_with_what_was_expected_and_nothing_happens(told):
    host = Host()
    host.run_until(7)

    with pytest.raises(ValueError, match=re.escape(told)):
        NO_SUCH[told](host)

    assert (host.events, host.now, host.accounted()) == ([], 7, True)


def test_the_last_ras_node_of_each_kind_is_one():
    host = Host(shape=HostShape(sockets=2, channels=4, pes=3))

    for kind, last in zip(RasNodeKind, (7, 2, 2, 1, 0), strict=True):
        assert host.record(ras_node(kind, last)).status == 0
        with pytest.raises(ValueError, match="ras_node"):
            host.record(ras_node(kind, last + 1))


def test_why_a_notification_was_refused_can_be_seen():
    host = Host("h")
    host.do(c.SetPe, 0, 0, 0, 1)

    host.inject("memory-ce")
    host.run()

    assert any(isinstance(event, NotificationRefused) for event in host.events)
    assert host.state()["pes"]["0"]["sdei_masked"] is True
