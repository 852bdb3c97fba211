"""A guest's kernel: outcomes of SErrors and aborts, and records that it must ask for."""

import pytest

from nodes.apei.source import ErrorSource, SourceKind
from nodes.events import (
    CallFailed,
    GuestSeaTaken,
    KernelPanicked,
    PageOfflined,
    RecordRead,
    Signal,
    SignalCode,
    SignalSent,
    SyndromeSwallowed,
    TaskKilled,
    VirtualSErrorTaken,
)
from nodes.guest.kernel import CALL_NS, GuestKernel
from nodes.hypervisor.vmm import memory_block
from nodes.ledger import Account
from nodes.linux.kernel import KernelConfig
from nodes.linux.memory_failure import FAILURE_NS
from nodes.linux.pages import APPLICATION_VA, PageKind, guest_map
from nodes.linux.versions import BEHAVIOUR
from nodes.policy import Kernel
from nodes.spec.hest import NotificationType
from nodes.spec.mm import MmReturn
from nodes.spec.severity import Aet
from nodes.spec.syndrome import serror_esr, serror_iss
from tests.blocks import FATAL
from tests.blocks import memory_block as section
from tests.doubles import Recorder, accounts, give

GUEST = 2
MAP = guest_map(4)
ADDRESS = MAP.range_of(PageKind.APPLICATION)[0] + 0x5000
SEA = SourceKind(0, NotificationType.SEA)
GPIO = SourceKind(1, NotificationType.GPIO)
levels = pytest.mark.parametrize("el", [0, 1])
every_kernel = pytest.mark.parametrize("version", list(Kernel))


class GuestMachine(Recorder):
    """What a guest's kernel asks of the machine that its VMM made."""

    def __init__(self, version, *, panic_on_oops):
        super().__init__()
        self.guest_config = KernelConfig(BEHAVIOUR[version], MAP, 2, panic_on_oops)
        self.later = []
        self.lost_tasks = self.falls = 0
        self.unmasked_after = []  # facts that had left when the handler unmasked

    def guest_failure_work_later(self, guest, delay_ns):
        self.later.append(delay_ns)

    def guest_call_later(self, guest, delay_ns):
        self.later.append(delay_ns)

    def guest_unmasks(self, guest):
        self.unmasked_after.append([type(event) for event in self.events])

    def guest_lost_task(self, guest):
        self.lost_tasks += 1

    def guest_down(self, guest):
        self.falls += 1


def guest(version=Kernel.V6_12, *, panic_on_oops=False):
    return GuestKernel(GuestMachine(version, panic_on_oops=panic_on_oops), GUEST)


def behind(kernel, kind=SEA, block=None):
    return give(kernel.running(), ErrorSource(kind), memory_block(ADDRESS) if block is None else block)


@levels
@pytest.mark.parametrize("aet", Aet)
def test_a_virtual_serror_is_survived_or_panics_at_either_level(aet, el):
    kernel = guest()
    kernel.ask.ledger.inject()

    kernel.serror(serror_esr(serror_iss(aet)), el, 1)

    survives = aet in (Aet.CE, Aet.UEO)
    assert [type(event) for event in kernel.ask.events] == [
        VirtualSErrorTaken,
        SyndromeSwallowed if survives else KernelPanicked,
    ]
    assert (kernel.down, kernel.ask.falls) == ((False, 0) if survives else (True, 1))
    assert accounts(kernel.ask.ledger) == {"SWALLOWED" if survives else "REPORTED": 1}


@levels
def test_a_guest_that_has_panicked_takes_no_further_serror(el):
    kernel = guest()
    kernel.down = True
    kernel.ask.ledger.inject()

    kernel.serror(0xBE00_0411, el, 1)

    assert (kernel.ask.events, kernel.ask.falls) == ([], 0)
    assert accounts(kernel.ask.ledger) == {"LOST_GUEST_GONE": 1}


@every_kernel
def test_an_application_that_met_the_error_is_killed_with_code_and_address(version):
    kernel = guest(version)

    goes_on = kernel.vmm_abort(0, [behind(kernel)])

    (signal,) = kernel.ask.of(SignalSent)
    assert goes_on
    assert (signal.signal, signal.code, signal.address_lsb) == (Signal.SIGBUS, SignalCode.BUS_MCEERR_AR, 12)
    assert signal.address == APPLICATION_VA + 0x5000
    assert [event.pfn for event in kernel.ask.of(PageOfflined)] == [ADDRESS >> 12]


@pytest.mark.parametrize(("el", "esr"), [(0, 0x9200_0410), (1, 0x9600_0410)])
def test_the_abort_that_the_vmm_wrote_says_that_far_is_not_valid(el, esr):
    kernel = guest()

    kernel.vmm_abort(el, [])

    assert [(event.esr, event.from_el) for event in kernel.ask.of(GuestSeaTaken)] == [(esr, el)]


@pytest.mark.parametrize("panic_on_oops", [False, True])
def test_from_the_kernel_itself_nobody_claims_it_and_the_record_stays_unread(panic_on_oops):
    kernel = guest(panic_on_oops=panic_on_oops)
    source = behind(kernel)

    goes_on = kernel.vmm_abort(1, [source])

    assert goes_on != panic_on_oops
    assert (source.read_ack, kernel.ask.of(RecordRead)) == (0, [])
    assert len(kernel.ask.of(KernelPanicked if panic_on_oops else TaskKilled)) == 1


@levels
def test_the_handler_of_an_abort_unmasks_serrors_before_it_does_anything(el):
    kernel = guest()

    kernel.vmm_abort(el, [])

    assert kernel.ask.unmasked_after == [[GuestSeaTaken]]


def test_without_a_record_the_application_gets_an_object_error():
    kernel = guest()

    kernel.vmm_abort(0, [])

    assert [(event.code, event.address) for event in kernel.ask.of(SignalSent)] == [(SignalCode.BUS_OBJERR, 0)]
    assert kernel.ask.lost_tasks == 1


def test_a_kernel_that_does_not_look_leaves_the_record_and_kills_the_application():
    kernel = guest()
    kernel.acknowledges = False
    source = behind(kernel)

    kernel.vmm_abort(0, [source])

    assert source.read_ack == 0
    assert [event.code for event in kernel.ask.of(SignalSent)] == [SignalCode.BUS_OBJERR]


def test_an_abort_of_user_space_lets_the_kernel_find_the_record_of_an_earlier_one():
    kernel = guest()
    source = behind(kernel)
    kernel.vmm_abort(1, [source])
    kernel.ask.ledger.inject()

    kernel.plain_abort(0, [source])

    assert source.read_ack == 1
    assert [event.code for event in kernel.ask.of(SignalSent)] == [SignalCode.BUS_MCEERR_AR]
    assert [event.esr for event in kernel.ask.of(GuestSeaTaken)] == [0x9600_0410, 0x9200_0010]


@levels
def test_a_guest_that_has_panicked_takes_no_abort_of_user_space(el):
    kernel = guest()
    kernel.down = True
    kernel.ask.ledger.inject()

    kernel.plain_abort(el, [])

    assert kernel.ask.events == []
    assert accounts(kernel.ask.ledger) == {"LOST_GUEST_GONE": 1}


def test_a_fatal_record_panics_the_guest_and_the_abort_goes_nowhere():
    kernel = guest()

    assert not kernel.vmm_abort(0, [behind(kernel, block=section(ADDRESS, FATAL))])
    assert kernel.ask.of(SignalSent) == []


def test_a_later_touch_of_a_lost_page_is_a_signal_at_the_very_byte():
    kernel = guest()
    assert not kernel.touched(ADDRESS)
    kernel.vmm_abort(0, [behind(kernel)])

    assert kernel.touched(ADDRESS + 0x123)
    assert kernel.ask.of(SignalSent)[1].address == APPLICATION_VA + 0x5123
    assert not kernel.touched(ADDRESS + 4096)


@pytest.mark.parametrize("acknowledges", [True, False])
def test_an_interrupt_makes_the_kernel_look_at_its_source_if_it_looks_at_all(acknowledges):
    kernel = guest()
    kernel.acknowledges = acknowledges
    source = behind(kernel, GPIO)

    kernel.notified(source)

    assert source.read_ack == int(acknowledges)
    assert kernel.ask.later == ([FAILURE_NS] if acknowledges else [])


def test_a_reboot_forgets_pages_limits_and_queues_but_not_who_the_guest_is():
    kernel = guest()
    kernel.acknowledges = False
    kernel.notified(behind(kernel, GPIO))
    kernel.down = kernel.calling = True

    kernel.reset()

    assert (kernel.linux, kernel.down, kernel.calling, kernel.carried()) == (None, False, False, 0)
    assert (kernel.guest, kernel.acknowledges) == (GUEST, False)


def test_on_demand_the_record_is_asked_for_from_task_work():
    kernel = guest()

    assert kernel.abort_on_demand(0, masked=False, answered=True) is None
    assert (kernel.calling, kernel.ask.later, kernel.ask.of(SignalSent)) == (True, [CALL_NS], [])


@pytest.mark.parametrize(("el", "masked"), [(0, True), (1, False), (1, True)])
def test_on_demand_the_call_is_denied_where_it_may_not_be_made(el, masked):
    kernel = guest()

    assert kernel.abort_on_demand(el, masked=masked, answered=True) is Account.LOST_CALL_DENIED
    assert [event.code for event in kernel.ask.of(CallFailed)] == [-3]
    assert kernel.ask.of(TaskKilled if el else SignalSent)


def test_on_demand_a_nested_call_never_comes_back_in_time():
    kernel = guest()
    kernel.abort_on_demand(0, masked=False, answered=True)

    assert kernel.abort_on_demand(0, masked=False, answered=True) is Account.LOST_DEADLINE_EXPIRED
    assert [event.code for event in kernel.ask.of(CallFailed)] == [0]


def test_on_demand_a_kernel_that_does_not_look_never_asks_and_the_record_waits():
    kernel = guest()
    kernel.acknowledges = False

    assert kernel.abort_on_demand(0, masked=False, answered=True) is None
    assert (kernel.calling, kernel.ask.of(CallFailed)) == (False, [])
    assert [event.code for event in kernel.ask.of(SignalSent)] == [SignalCode.BUS_OBJERR]


def test_on_demand_one_call_brings_all_records():
    kernel = guest()
    kernel.abort_on_demand(0, masked=False, answered=True)
    for _ in range(2):
        kernel.ask.ledger.inject()

    kernel.call_returned(MmReturn.SUCCESS, tuple((0, memory_block(ADDRESS + 4096 * i)) for i in range(2)))

    assert not kernel.calling
    assert [event.code for event in kernel.ask.of(SignalSent)] == [SignalCode.BUS_MCEERR_AR] * 2
    assert accounts(kernel.ask.ledger) == {"REPORTED": 2}


@levels
def test_on_demand_a_guest_without_firmware_has_nothing_to_call(el):
    kernel = guest()

    lost = kernel.abort_on_demand(el, masked=False, answered=False)

    assert (lost, kernel.calling) == (Account.LOST_CALL_NOT_SUPPORTED, False)
    assert [event.code for event in kernel.ask.of(CallFailed)] == [-1]
    assert kernel.ask.of(TaskKilled if el else SignalSent)


@pytest.mark.parametrize(("code", "signals"), [(MmReturn.NO_MEMORY, 1), (MmReturn.INVALID_PARAMETER, 0)])
def test_on_demand_a_task_is_killed_only_by_an_answer_that_its_own_record_is_lost(code, signals):
    kernel = guest()
    kernel.abort_on_demand(0, masked=False, answered=True)

    kernel.call_returned(code, ())

    assert [event.code for event in kernel.ask.of(CallFailed)] == [code]
    assert [event.code for event in kernel.ask.of(SignalSent)] == [SignalCode.BUS_OBJERR] * signals


@pytest.mark.parametrize(
    ("looks", "answered", "calls", "lost"),
    [(1, 1, 1, None), (0, 1, 0, None), (1, 0, 0, Account.LOST_CALL_NOT_SUPPORTED)],
)
def test_on_demand_an_interrupt_lets_a_work_item_call(looks, answered, calls, lost):
    kernel = guest()
    kernel.acknowledges = bool(looks)

    assert kernel.notified_on_demand(answered=bool(answered)) is lost
    assert kernel.ask.later == [CALL_NS] * calls


def test_on_demand_what_comes_behind_a_fatal_record_is_lost_with_the_guest():
    kernel = guest()
    for _ in range(2):
        kernel.ask.ledger.inject()

    kernel.call_returned(MmReturn.SUCCESS, ((0, section(ADDRESS, FATAL)), (0, memory_block(ADDRESS))))

    assert kernel.down
    assert accounts(kernel.ask.ledger) == {"REPORTED": 1, "LOST_GUEST_GONE": 1}
