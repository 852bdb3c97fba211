"""What unmodified programs did in November 2026, reproduced through a host.

The observations: Debian's Linux 6.1.192 as a KVM guest into which SErrors were injected with KVM_SET_VCPU_EVENTS;
Linux 6.1.192 and 6.12.95 (arm64) reading status blocks behind polled GHESv2 sources; the chain from a block of the
host's firmware to a SIGBUS in a guest's application (6.1.192, QEMU 7.2.22); HEST of QEMU 7.2.22, 10.0.2, 11.1.

Elsewhere: what the kernels print for a block, tests/nodes/linux/test_dmesg.py; many more blocks,
tests/nodes/linux/test_kernel.py; rasdaemon is no part of a host.
"""

import pytest

from nodes.apei.qemu_tables import HardwareErrors, qemu_hest
from nodes.events import (
    GuestSeaTaken,
    KernelPanicked,
    Level,
    OsNotified,
    PageOfflined,
    PoisonNoted,
    Receiver,
    RecordLogged,
    RecordLost,
    RecordRead,
    Signal,
    SignalCode,
    SignalSent,
    StatusBlockWritten,
    SyndromeSwallowed,
    VcpuEventsRefused,
    VirtualSErrorTaken,
    VmExited,
)
from nodes.events import commands as c
from nodes.ledger import Account
from nodes.linux.dmesg import dmesg
from nodes.linux.memory_failure import ActionResult, PageType, result_line
from nodes.policy import Kernel, Qemu
from nodes.spec.arm_section import Dialect, ErrorKind, kinds_of
from nodes.spec.memory_sections import MEMORY2_GUID, MEMORY_GUID, MemorySection, MemorySection2
from nodes.spec.severity import Severity
from nodes.spec.status_block import DataEntry, StatusBlock
from tests.blocks import CORRECTED, FATAL, RECOVERABLE, block_of, memory_block
from tests.hosts import S, ended, fields, host, names, of, present

SURVIVES, PANICS = "survives", "panic"
SERRORS = {  # ISS injected: taken at EL0, taken at EL1; "not run" stands as None
    0x1811: (SURVIVES, SURVIVES),  # CE
    0x0811: (SURVIVES, SURVIVES),  # UEO
    0x1A11: (SURVIVES, None),  # CE, EA=1
    0x0011: (PANICS, PANICS),  # UC
    0x0411: (PANICS, None),  # UEU
    0x0C11: (PANICS, PANICS),  # UER
    0x1011: (PANICS, None),  # reserved AET
    0x1000000: (PANICS, None),  # IDS
    0x0000: (PANICS, None),  # uncategorized
    0x1812: (PANICS, None),  # DFSC is not 0x11
}
RAN = [(iss, el, outcome) for iss, row in SERRORS.items() for el, outcome in enumerate(row) if outcome]
READERS = [Kernel.V6_1, Kernel.V6_12]
readers = pytest.mark.parametrize("version", READERS)


def inject(machine, esr, has_esr=1):
    machine.do(c.SetVcpuEvents, 0, 1, has_esr, esr)


@pytest.mark.parametrize(("iss", "el", "outcome"), RAN, ids=[f"{iss:#x} at EL{el}" for iss, el, _ in RAN])
def test_a_guest_of_6_1_survives_or_panics_of_an_injected_serror(iss, el, outcome):
    machine = host(kernel=Kernel.V6_1, guest_kernel=Kernel.V6_1)
    machine.do(c.SetGuest, 0, el)

    inject(machine, iss)

    (taken,) = of(machine, VirtualSErrorTaken)
    assert (taken.esr, taken.from_el) == (0xBE00_0000 | iss, el)
    panics = fields(of(machine, KernelPanicked, by=Level.GUEST_KERNEL), "reason")
    assert panics == ([("Asynchronous SError Interrupt",)] if outcome == PANICS else [])
    assert len(of(machine, SyndromeSwallowed)) == (outcome == SURVIVES)


@pytest.mark.parametrize(("has_esr", "esr", "seen"), [(1, 0x1000000, 0xBF000000), (0, 0, 0xBF000000)])
def test_with_ids_the_guest_sees_0xbf(has_esr, esr, seen):
    machine = host(kernel=Kernel.V6_1, guest_kernel=Kernel.V6_1)

    inject(machine, esr, has_esr)

    assert fields(of(machine, VirtualSErrorTaken), "esr") == [(seen,)]


@pytest.mark.parametrize(("esr", "refused"), [(0x1FFFFFF, False), (0x2000000, True), (1 << 32, True)])
def test_kvm_refuses_any_bit_above_24(esr, refused):
    machine = host(kernel=Kernel.V6_1, guest_kernel=Kernel.V6_1)

    inject(machine, esr)

    assert fields(of(machine, VcpuEventsRefused), "serror_esr", "errno") == ([(esr, 22)] if refused else [])
    assert len(of(machine, VirtualSErrorTaken)) == (not refused)


def reader(version, **switches):
    return host(kernel=version, notification="polled", **switches)


def free_page(machine):
    """An address that the host's own tasks use: acting on it concerns no guest."""
    return machine.task_page()


@readers
def test_a_block_whose_lengths_do_not_add_up_is_cleared_acknowledged_and_lost(version):
    machine = reader(version)
    block = memory_block(free_page(machine))

    present(machine, block[:44] + (81).to_bytes(4, "little") + block[48:])

    source = machine.machine.sources.source(0)
    assert (source.block, source.read_ack) == (b"", 1)
    assert fields(of(machine, RecordLost), "reason") == [(Account.LOST_BLOCK_MALFORMED,)]
    assert ended(machine) == {"lost block_malformed": 1}
    assert of(machine, RecordRead, PageOfflined) == []


@pytest.mark.parametrize("kind", ErrorKind)
def test_the_type_of_arm_error_information_is_a_bit_mask(kind):
    linux = (2, 4, 8, 0x10)[kind]

    assert kinds_of(linux) == kinds_of(linux, Dialect.MASK_2_9A) == (kind,)
    assert kinds_of((1, 2, 4, 8)[kind], Dialect.MASK_2_11) == (kind,)


@readers
def test_memory_error_section_2_is_an_unknown_section(version):
    machine = reader(version)
    body = MemorySection2(validation_bits=2, physical_address=free_page(machine)).encode()
    block = block_of(DataEntry(MEMORY2_GUID, RECOVERABLE, body))

    present(machine, block)

    assert of(machine, PageOfflined) == []
    assert len(of(machine, RecordLogged, printed=1)) == 1
    assert "  section type: unknown, 61ec04fc-48e6-d813-25c9-8daa44750b12" in dmesg(block, version)


@readers
@pytest.mark.parametrize("severity", [RECOVERABLE, CORRECTED])
def test_two_records_of_a_class_are_printed_in_5_s_and_all_are_processed(severity, version):
    machine = reader(version)

    for i in range(4):
        present(machine, memory_block(free_page(machine) + 4096 * i, severity))

    assert fields(of(machine, RecordLogged), "printed") == [(1,), (1,), (0,), (0,)]
    assert len(of(machine, PageOfflined)) == (4 if severity == RECOVERABLE else 0)
    assert len(of(machine, RecordRead)) == 4


@readers
def test_the_limit_is_one_for_each_class(version):
    machine = reader(version)

    for i in range(3):
        for severity in (RECOVERABLE, CORRECTED):
            present(machine, memory_block(free_page(machine) + 4096 * i, severity))

    by_class = {s: [e.printed for e in of(machine, RecordLogged, severity=s)] for s in (RECOVERABLE, CORRECTED)}
    assert by_class == {RECOVERABLE: [1, 1, 0], CORRECTED: [1, 1, 0]}


@readers
def test_fatal_severity_panics_the_kernel(version):
    machine = reader(version)

    present(machine, memory_block(free_page(machine), FATAL))

    (panicked,) = of(machine, KernelPanicked)
    assert (panicked.by, panicked.reason) == (Level.HYPERVISOR, "GHES: Fatal hardware error")


def whole_chain(machine):
    """A block of the host's firmware names a page of a guest; a task of the guest then touches it."""
    page = machine.task_page(0)
    present(machine, memory_block(page), guest=0)
    before = len(machine.events)
    machine.do(c.ReadMemory, page, 0)
    machine.run_until(machine.now + S)
    return page, before


@pytest.fixture
def chain():
    return host(kernel=Kernel.V6_1, guest_kernel=Kernel.V6_1, qemu=Qemu.V7_2, notification="polled")


def test_the_whole_chain_runs_from_firmware_to_application_in_order(chain):
    _, before = whole_chain(chain)

    assert names(chain)[:before] == [
        "StatusBlockWritten",
        "RecordRead",
        "RecordLogged",
        "SignalSent",
        "PageOfflined",
        "PoisonNoted",
    ]
    assert names(chain, before) == [
        "SignalSent",
        "PoisonNoted",
        "StatusBlockWritten",
        "OsNotified",
        "GuestSeaTaken",
        "RecordRead",
        "RecordLogged",
        "SignalSent",
        "PageOfflined",
    ]
    assert chain.accounted()


def test_the_host_unmaps_the_page_and_qemu_gets_action_required_once_the_guest_touches_it(chain):
    page, before = whole_chain(chain)

    (offlined,) = of(chain, PageOfflined, by=Level.HYPERVISOR)
    assert (offlined.pfn, ActionResult(offlined.result)) == (page >> 12, ActionResult.RECOVERED)
    to_vmm = of(chain, SignalSent, receiver=Receiver.VMM)
    assert fields(to_vmm, "signal", "code") == [
        (Signal.SIGBUS, SignalCode.BUS_MCEERR_AO),
        (Signal.SIGBUS, SignalCode.BUS_MCEERR_AR),
    ]
    assert to_vmm[1].sequence > before
    assert len(of(chain, PoisonNoted)) == 2


def test_qemu_writes_a_block_of_its_own_and_injects_an_abort(chain):
    page, _ = whole_chain(chain)

    (written,) = of(chain, StatusBlockWritten, written_by=Level.VMM)
    (entry,) = StatusBlock.decode(written.block).entries
    body = MemorySection.decode(entry.body)
    assert (written.source_id, entry.section_type, entry.error_severity) == (0, MEMORY_GUID, Severity.RECOVERABLE)
    assert (body.physical_address, body.memory_error_type) == (chain.platform.ipa_of(page), 0)
    assert fields(of(chain, GuestSeaTaken), "esr") == [(0x9200_0410,)]


def test_the_guest_reads_source_0_and_recovers_its_own_page(chain):
    page, _ = whole_chain(chain)

    assert fields(of(chain, RecordRead, read_by=Level.GUEST_KERNEL), "source_id", "severity") == [(0, 0)]
    (offlined,) = of(chain, PageOfflined, by=Level.GUEST_KERNEL)
    assert offlined.pfn == chain.platform.ipa_of(page) >> 12
    printed = result_line(offlined.pfn, PageType(offlined.page_type), ActionResult(offlined.result))
    assert printed == "Memory failure: 0xa0000: recovery action for dirty LRU page: Recovered"


def test_the_application_gets_sigbus_and_the_guest_lives_on(chain):
    whole_chain(chain)

    told = fields(of(chain, SignalSent, receiver=Receiver.APPLICATION), "sent_by", "signal", "code", "address_lsb")
    assert told == [(Level.GUEST_KERNEL, 7, 4, 12)]
    assert of(chain, KernelPanicked, VmExited) == []
    assert chain.machine.guests.alive(0)


@pytest.mark.parametrize(("qemu", "sources"), [(Qemu.V7_2, 1), (Qemu.V10_0, 1), (Qemu.V11_1, 2)])
def test_a_guest_finds_the_hest_that_its_qemu_builds(qemu, sources):
    machine = host(qemu=qemu)

    booted = machine.platform.firmware
    place = HardwareErrors(booted.addresses["etc/hardware_errors"], sources)
    assert booted.blobs["etc/acpi/tables"] == qemu_hest(place, sources)
    assert booted.blobs["etc/hardware_errors"] == place.blob()


@pytest.mark.parametrize("qemu", [Qemu.V7_2, Qemu.V10_0])
def test_one_source_tells_by_sea_alone(qemu):
    machine = host(qemu=qemu, notification="polled")
    whole_chain(machine)

    machine.do(c.InjectGuestError, 0, memory_block(machine.task_page(0)))

    assert {event.source_id for event in of(machine, OsNotified, notified_by=Level.VMM)} == {0}
    assert ended(machine, guests=True)["lost no_source"] == 1
