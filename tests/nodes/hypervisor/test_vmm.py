"""QEMU as its guest's firmware: the SIGBUS table, the records it writes, QMP, reset."""

import pytest

from nodes.apei.source import BLOCK_SIZE
from nodes.events import OsNotified, PoisonNoted, RecordLost, SignalCode, StatusBlockWritten, VmExited
from nodes.hypervisor.versions import QEMU
from nodes.hypervisor.vmm import BUFFER_SIZE, QMP_SOURCE, QUEUE_MAX, SEA_SOURCE, Vmm, memory_block
from nodes.ledger import Account
from nodes.policy import Qemu, RecordDelivery
from nodes.spec.hest import NotificationType
from nodes.spec.memory_sections import MemorySection
from nodes.spec.mm import HEADER_SIZE, MmReturn
from nodes.spec.status_block import StatusBlock
from tests.blocks import memory_block as qmp_block
from tests.doubles import Recorder, accounts
from tests.vectors import VECTORS

AR, AO = SignalCode.BUS_MCEERR_AR, SignalCode.BUS_MCEERR_AO
IPA = 0x4100_0000
EXIT = "Hardware memory error!: exit(1)"
every_qemu = pytest.mark.parametrize("qemu", list(Qemu))


class VmmMachine(Recorder):
    """What a VMM asks of KVM and of its guest."""

    def __init__(self, qemu, delivery):
        super().__init__()
        self.qemu = QEMU[qemu]
        self.record_delivery = delivery
        self.aborts = 0
        self.notified = []
        self.exited = False

    def guest_takes_vmm_abort(self, guest, *, recorded):
        self.aborts += 1
        self.recorded = recorded

    def notify_guest(self, guest, source):
        self.notified.append(source.kind.source_id)

    def vm_exited(self, guest):
        self.exited = True


def vmm(qemu=Qemu.V11_1, *, has_ghes=True, delivery=RecordDelivery.POINTERS):
    return Vmm(VmmMachine(qemu, delivery), 2, has_ghes=has_ghes)


def acknowledge(vm, source_id=SEA_SOURCE):
    source = vm.sources.source(source_id)
    vm.ask.ledger.move(source.take_carried(), Account.IN_FLIGHT, Account.REPORTED)
    source.clear()


SIGBUS = [  # has GHES, guest's RAM, code: noted, recorded, why it ended
    (True, True, AR, True, True, None),
    (True, True, AO, True, False, None),
    (True, False, AO, False, False, None),
    (True, False, AR, False, False, EXIT),
    (False, True, AR, False, False, EXIT),
    (False, False, AR, False, False, EXIT),
    (False, True, AO, False, False, None),
    (False, False, AO, False, False, None),
    (True, True, SignalCode.SI_KERNEL, False, False, "SIGBUS with another code: raised again"),
    (False, False, SignalCode.BUS_OBJERR, False, False, "SIGBUS with another code: raised again"),
]


@every_qemu
@pytest.mark.parametrize(("has_ghes", "ram", "code", "noted", "recorded", "ended"), SIGBUS)
def test_the_sigbus_handler_does_what_its_table_says(has_ghes, ram, code, noted, recorded, ended, qemu):
    vm = vmm(qemu, has_ghes=has_ghes)

    vm.sigbus(IPA if ram else None, code)

    assert [event.address for event in vm.ask.of(PoisonNoted)] == ([IPA] if noted else [])
    assert (len(vm.ask.of(StatusBlockWritten)), vm.ask.aborts) == ((1, 1) if recorded else (0, 0))
    assert [event.reason for event in vm.ask.of(VmExited)] == ([ended] if ended else [])
    assert vm.ask.exited == bool(ended)


def test_the_record_is_the_published_one():
    published = VECTORS["gesb_qemu_sea_full"]
    address = int(published["meaning"]["physical_address"], 16)

    block = memory_block(address)

    assert block.hex() == published["value"]
    assert block.hex().startswith(VECTORS["gesb_qemu_sea_prefix"]["value"])


def test_the_record_says_recoverable_and_the_page_and_nothing_else():
    block = StatusBlock.decode(memory_block(IPA))
    (entry,) = block.entries

    body = MemorySection.decode(entry.body)
    assert (block.block_status, block.error_severity, entry.error_severity, entry.revision) == (1, 0, 0, 0x300)
    assert body == MemorySection(validation_bits=0x4002, physical_address=IPA)


def test_the_record_is_written_before_the_guest_takes_the_abort():
    vm = vmm()

    vm.sigbus(IPA, AR)

    assert [type(event) for event in vm.ask.events] == [PoisonNoted, StatusBlockWritten, OsNotified]
    assert vm.ask.of(OsNotified)[0].notification == NotificationType.SEA
    assert vm.sources.source(SEA_SOURCE).read_ack == 0


ABORT = "failed to record the error: abort()"
UNREAD = "OSPM does not acknowledge previous error, so can not record CPER for current error anymore: exit(1)"
EXIT_TEXTS = {Qemu.V7_2: ABORT, Qemu.V10_0: ABORT, Qemu.V11_1: UNREAD}


@every_qemu
def test_a_second_action_required_before_the_guest_acknowledged_ends_the_vm(qemu):
    vm = vmm(qemu)
    vm.sigbus(IPA, AR)
    first = vm.sources.source(SEA_SOURCE).block

    vm.sigbus(IPA + 4096, AR)

    assert [event.reason for event in vm.ask.of(VmExited)] == [EXIT_TEXTS[qemu]]
    assert [event.reason for event in vm.ask.of(RecordLost)] == [Account.LOST_SLOT_NOT_ACKNOWLEDGED]
    assert (vm.ask.aborts, vm.sources.source(SEA_SOURCE).block) == (1, first)


@every_qemu
def test_after_the_acknowledgement_the_next_record_is_written(qemu):
    vm = vmm(qemu)
    vm.sigbus(IPA, AR)
    acknowledge(vm)

    vm.sigbus(IPA + 4096, AR)

    assert (vm.ask.aborts, vm.ask.exited) == (2, False)


def test_qmp_writes_to_the_second_source_and_tells_by_interrupt():
    vm = vmm()

    assert vm.inject(qmp_block(IPA))
    assert vm.ask.notified == [QMP_SOURCE]
    assert vm.ask.of(OsNotified)[0].notification == NotificationType.GPIO


@pytest.mark.parametrize("qemu", [Qemu.V7_2, Qemu.V10_0])
@pytest.mark.parametrize("has_ghes", [True, False])
def test_older_versions_have_neither_the_command_nor_the_source(has_ghes, qemu):
    vm = vmm(qemu, has_ghes=has_ghes)

    assert not vm.inject(qmp_block(IPA))
    assert accounts(vm.ask.ledger) == {"LOST_NO_SOURCE": 1}


def test_without_ghes_the_command_reports_success_and_does_nothing():
    vm = vmm(has_ghes=False)

    assert vm.inject(qmp_block(IPA))
    assert (vm.ask.notified, accounts(vm.ask.ledger)) == ([], {"LOST_NO_SOURCE": 1})


@pytest.mark.parametrize(
    ("second", "reason"),
    [(qmp_block(IPA), Account.LOST_SLOT_NOT_ACKNOWLEDGED), (bytes(BLOCK_SIZE + 1), Account.LOST_BLOCK_TOO_LARGE)],
)
def test_a_block_that_cannot_be_written_is_dropped_and_the_vm_goes_on(second, reason):
    vm = vmm()
    vm.inject(qmp_block(IPA))

    assert not vm.inject(second)
    assert [event.reason for event in vm.ask.of(RecordLost)] == [reason]
    assert not vm.ask.exited


def test_the_two_sources_do_not_wait_for_each_other():
    vm = vmm()
    vm.inject(qmp_block(IPA))

    vm.sigbus(IPA, AR)

    assert (vm.ask.aborts, vm.ask.exited, vm.carried()) == (1, False, 2)


def test_on_demand_records_queue_and_none_waits_for_an_acknowledgement():
    vm = vmm(delivery=RecordDelivery.ON_DEMAND)

    for i in range(3):
        vm.sigbus(IPA + 4096 * i, AR)

    assert vm.queue == tuple((SEA_SOURCE, memory_block(IPA + 4096 * i)) for i in range(3))
    assert (vm.ask.aborts, vm.ask.exited, vm.carried()) == (3, False, 3)


def test_on_demand_a_record_too_many_is_lost_and_the_next_call_says_so():
    vm = vmm(delivery=RecordDelivery.ON_DEMAND)
    vm.queue = ((SEA_SOURCE, b""),) * QUEUE_MAX

    vm.sigbus(IPA, AR)

    assert (len(vm.queue), vm.ask.aborts, vm.ask.recorded) == (QUEUE_MAX, 1, False)
    assert [event.reason for event in vm.ask.of(RecordLost)] == [Account.LOST_CALL_NO_MEMORY]
    assert [vm.answer()[0] for _ in range(2)] == [MmReturn.NO_MEMORY, MmReturn.SUCCESS]


@pytest.mark.parametrize(
    ("sizes", "answers"),
    [
        ((), [(0, 0)]),
        ((BUFFER_SIZE - HEADER_SIZE,), [(0, 1), (0, 0)]),
        ((BUFFER_SIZE - HEADER_SIZE + 1,), [(-2, 0), (0, 0)]),
        ((172, BUFFER_SIZE, 172), [(0, 1), (-2, 0), (0, 1), (0, 0)]),
        ((172,) * 30, [(0, 23), (0, 7), (0, 0)]),
    ],
)
def test_on_demand_a_call_brings_what_its_buffer_holds(sizes, answers):
    vm = vmm(delivery=RecordDelivery.ON_DEMAND)
    for size in sizes:
        vm.inject(bytes(size))

    told = [(int(code), len(brought)) for code, brought in (vm.answer() for _ in answers)]

    assert told == answers
    too_large = [event.reason for event in vm.ask.of(RecordLost)]
    assert too_large == [Account.LOST_BLOCK_TOO_LARGE for code, _ in answers if code]


@pytest.mark.parametrize(("has_ghes", "version", "answers"), [(1, 1 << 16, 1), (0, 1 << 16, 0), (1, 0xFFFF, 0)])
def test_on_demand_a_call_needs_firmware_and_a_version_that_it_works_with(has_ghes, version, answers):
    vm = vmm(has_ghes=bool(has_ghes), delivery=RecordDelivery.ON_DEMAND)
    vm.ask.qemu = vm.ask.qemu._replace(mm_version=version)

    assert vm.answers_calls == bool(answers)


def test_on_demand_an_error_of_a_guest_without_firmware_does_not_end_its_vm():
    vm = vmm(has_ghes=False, delivery=RecordDelivery.ON_DEMAND)

    vm.sigbus(IPA, AR)

    assert (vm.ask.aborts, vm.ask.recorded, vm.ask.exited) == (1, True, False)


def test_a_reset_acknowledges_again_and_forgets_what_stood_there():
    vm = vmm()
    vm.busy = True
    vm.sigbus(IPA, AR)
    vm.inject(qmp_block(IPA))

    assert vm.reset(keeps_blocks=False) == 2
    assert [vm.sources.source(i).read_ack for i in (SEA_SOURCE, QMP_SOURCE)] == [1, 1]
    assert (vm.busy, vm.carried()) == (False, 0)


def test_where_the_buffer_stays_the_block_stays_unread():
    vm = vmm()
    vm.sigbus(IPA, AR)

    assert vm.reset(keeps_blocks=True) == 0
    assert (vm.sources.source(SEA_SOURCE).read_ack, vm.carried()) == (0, 1)


@every_qemu
def test_a_version_has_as_many_sources_as_its_table(qemu):
    vm = vmm(qemu)

    assert len(vm.sources.kinds) == QEMU[qemu].source_count == (2 if qemu is Qemu.V11_1 else 1)
