"""The status block that the MM partition builds, read back by the declared decoders."""

from itertools import product

import pytest

from nodes.el3.mm import MEMORY_SOURCE, PCIE_SOURCE, PROCESSOR_SOURCE, build_block, source_of
from nodes.el3.section_bodies import MIDR, MODULE_HANDLE, Captured
from nodes.el3.severity_policy import TABLE
from nodes.hardware.dram import DramAddress, DramGeometry
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.policy import SeverityPolicy
from nodes.spec.arm_section import ErrorInformation
from nodes.spec.err import ErrAddr, ErrStatus, Serr
from nodes.spec.memory_sections import ErrorStatus, MemorySection
from nodes.spec.platform_sections import AerCapability
from nodes.spec.sections import decode_section, section_name
from nodes.spec.severity import UET_OF, ErrorState, Severity
from nodes.spec.status_block import StatusBlock

GEOMETRY = DramGeometry(sockets=2)
TIME = bytes.fromhex("3204100122112620")  # 2026-11-22 10:04:32, precise
PLACE = DramAddress(socket=1, channel=5, rank=1, bank_group=6, bank=2, row=0x2_8765, column=328)
ADDRESS = GEOMETRY.address_of(PLACE)
SEA = 0x9600_0010
KINDS = {  # kind: name of its section, its source
    RasNodeKind.MEMORY: ("memory", MEMORY_SOURCE),
    RasNodeKind.CACHE: ("ARM processor", PROCESSOR_SOURCE),
    RasNodeKind.TLB: ("ARM processor", PROCESSOR_SOURCE),
    RasNodeKind.BUS: ("ARM processor", PROCESSOR_SOURCE),
    RasNodeKind.PCIE: ("PCIe", PCIE_SOURCE),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_state = pytest.mark.parametrize("state", ErrorState, ids=lambda state: state.name)
both_policies = pytest.mark.parametrize("policy", SeverityPolicy)
TYPE_BYTES = {RasNodeKind.CACHE: 2, RasNodeKind.TLB: 4, RasNodeKind.BUS: 8}  # the mask of UEFI 2.9A
processor_kinds = pytest.mark.parametrize("kind", TYPE_BYTES)


def captured(kind, state, instance=3, esr=0, far=0, hcr=0, **status):
    types = {ErrorState.CE: {"CE": 2}, ErrorState.DE: {"DE": 1}}.get(state, {})
    if state in UET_OF:
        types = {"UE": 1, "UET": UET_OF[state]}
    word = ErrStatus.of(**{"V": 1, "AV": 1} | types | status)
    addr = ErrAddr.of(NS=1, PADDR=ADDRESS)  # UNKNOWN where AV is 0
    return Captured(ras_node(kind, instance), int(word), int(addr), esr, far, hcr)


def entry_of(what, policy=SeverityPolicy.STRICT):
    block = StatusBlock.decode(build_block(what, GEOMETRY, policy, TIME))
    (entry,) = block.entries
    return block, entry


def section(what):
    entry = entry_of(what)[1]
    return decode_section(entry.section_type, entry.body).value


@every_kind
@every_state
@both_policies
@pytest.mark.parametrize("overflow", [0, 1])
def test_severity_and_flags_are_those_of_the_policy(kind, state, policy, overflow):
    severity, flags, on_overflow = TABLE[policy][state]

    block, entry = entry_of(captured(kind, state, OF=overflow), policy)

    assert block.error_severity == entry.error_severity == severity
    assert entry.flags == flags | (on_overflow if overflow else 0)


@every_kind
@every_state
def test_the_block_holds_one_whole_section_of_its_kind(kind, state):
    what = captured(kind, state)
    name, source = KINDS[kind]

    block, entry = entry_of(what)

    decoded = decode_section(entry.section_type, entry.body)
    assert (section_name(entry.section_type), decoded.rest, source_of(what.node)) == (name, b"", source)
    assert (entry.revision, entry.timestamp, entry.validation_bits & 4) == (0x0300, TIME, 4)
    assert block.block_status >> 4 == 1
    assert block.block_status & 0xF == (2 if block.error_severity == Severity.CORRECTED else 1)


@every_kind
def test_only_memory_names_its_replaceable_unit(kind):
    entry = entry_of(captured(kind, ErrorState.UER))[1]

    assert entry.fru_text.rstrip(b"\0") == (b"DIMM 3" if kind is RasNodeKind.MEMORY else b"")
    assert bool(entry.validation_bits & 2) is (kind is RasNodeKind.MEMORY)


# Memory


@every_state
def test_a_memory_section_tells_the_place_of_the_address_in_dram(state):
    memory = section(captured(RasNodeKind.MEMORY, state))

    assert memory.physical_address == ADDRESS
    assert memory.physical_address_mask == (1 << 64) - 64
    assert (memory.node, memory.card, memory.module, memory.rank_number) == (1, 5, 0, 1)
    assert (memory.bank >> 8, memory.bank & 0xFF, memory.column) == (6, 2, 328)
    assert memory.extended << 16 | memory.row == 0x2_8765
    assert memory.module_handle == MODULE_HANDLE + 3


def test_a_memory_section_says_bank_group_and_extended_row_in_place_of_bank_and_row():
    valid = section(captured(RasNodeKind.MEMORY, ErrorState.UER)).validation_bits

    assert valid >> 18 & 0b111 == 0b111
    assert not valid & (1 << MemorySection.valid_bits["row"] | 1 << MemorySection.valid_bits["bank"])


def test_a_memory_section_without_an_address_says_no_place():
    memory = section(captured(RasNodeKind.MEMORY, ErrorState.UER, AV=0))

    said = {name for name, bit in MemorySection.valid_bits.items() if memory.validation_bits >> bit & 1}
    assert said == {"error_status", "memory_error_type", "module_handle"}
    assert memory.physical_address == 0


@pytest.mark.parametrize(
    ("state", "error_type", "hit"),
    [
        ("CE", 2, "DATA"),
        ("DE", 3, "DATA"),
        ("UEO", 14, "DATA"),
        ("UER", 3, "DATA"),
        ("UEU", 3, "DATA"),
        ("UC", 8, "ADDRESS"),
    ],
)
def test_a_memory_section_names_what_kind_of_error_it_was(state, error_type, hit):
    memory = section(captured(RasNodeKind.MEMORY, ErrorState[state]))

    status = ErrorStatus(memory.error_status)
    assert (memory.memory_error_type, status.TYPE) == (error_type, 4)
    assert (int(hit == "DATA"), int(hit == "ADDRESS")) == (status.DATA, status.ADDRESS)


# Processor


@processor_kinds
@every_state
def test_error_information_says_what_the_state_means_for_the_pe(kind, state):
    (error,) = section(captured(kind, state)).errors

    told = ErrorInformation(error.error_info)
    assert error.type == TYPE_BYTES[kind]
    assert (state is ErrorState.CE) == told.CORRECTED
    assert (state in (ErrorState.UEU, ErrorState.UC)) == told.CONTEXT_CORRUPT
    assert (state is ErrorState.UER) == told.PRECISE_PC
    assert (state in (ErrorState.UER, ErrorState.UEO)) == told.RESTARTABLE_PC
    assert (0b11_1111_1111 if kind is RasNodeKind.BUS else 0b111_1111) == told.VALID


@processor_kinds
@pytest.mark.parametrize(("overflow", "multiple", "flags"), [(0, 0, 0b0011), (1, 1, 0b1001)])
def test_error_information_says_whether_there_were_more_errors(kind, overflow, multiple, flags):
    (error,) = section(captured(kind, ErrorState.UER, OF=overflow)).errors

    assert (error.multiple_error, error.flags) == (multiple, flags)


@processor_kinds
@pytest.mark.parametrize(("av", "far"), [*product([0, 1], [0, 0xFFFF_0000_1234])])
def test_only_addresses_that_are_known_are_valid(kind, av, far):
    (error,) = section(captured(kind, ErrorState.UER, esr=SEA, far=far, AV=av)).errors

    assert error.validation_bits == 0b0_0111 | bool(far) << 3 | av << 4
    assert error.virtual_fault_address == far
    assert error.physical_fault_address == (ADDRESS if av else 0)


@pytest.mark.parametrize(
    ("kind", "mpidr", "level"),
    [(RasNodeKind.CACHE, 0x8100_0300, 0), (RasNodeKind.TLB, 0x8100_0300, 0), (RasNodeKind.BUS, 0x8103_0000, 2)],
)
def test_the_header_names_the_pe_or_for_the_interconnect_the_socket(kind, mpidr, level):
    header = section(captured(kind, ErrorState.UER)).header

    assert (header.mpidr, header.affinity_level, header.midr) == (mpidr, level, MIDR)
    assert (header.validation_bits, header.running_state) == (0b0111, 1)


@processor_kinds
@pytest.mark.parametrize("esr", [0, SEA])
def test_registers_are_there_when_an_exception_was_taken(kind, esr):
    contexts = section(captured(kind, ErrorState.UER, esr=esr, far=0x1234, hcr=0x8_0000)).contexts

    assert [context.type for context in contexts] == ([4, 5, 6] if esr else [])
    if esr:
        named = contexts[1].named() | contexts[2].named()
        assert (named["MIDR_EL1"], named["FAR_EL2"], named["HCR_EL2"]) == (MIDR, 0x1234, 0x8_0000)


@pytest.mark.parametrize("serr", [Serr.INTERNAL_TIMEOUT, Serr.EXTERNAL_TIMEOUT, Serr.COMPLETER_ERROR])
def test_a_bus_error_says_whether_it_timed_out(serr):
    (error,) = section(captured(RasNodeKind.BUS, ErrorState.UC, SERR=serr)).errors

    assert (serr is not Serr.COMPLETER_ERROR) == ErrorInformation(error.error_info).TIMEOUT


# PCIe


@pytest.mark.parametrize(
    ("state", "uncorrectable", "correctable"),
    [
        ("CE", 0, 1 << 6 | 1 << 12),
        ("DE", 1 << 12, 0),
        ("UEO", 1 << 20, 0),
        ("UER", 1 << 14, 0),
        ("UEU", 1 << 5, 0),
        ("UC", 1 << 18, 0),
    ],
)
def test_a_pcie_section_has_the_aer_bits_of_the_error(state, uncorrectable, correctable):
    pcie = section(captured(RasNodeKind.PCIE, ErrorState[state]))

    aer = AerCapability.decode(pcie.aer)
    assert (aer.uncorrectable_status, aer.correctable_status) == (uncorrectable, correctable)
    assert (pcie.port_type, pcie.validation_bits) == (4, 0b1000_1111)
    assert bool(aer.uncorrectable_severity & uncorrectable) is (state in ("UEU", "UC"))  # fatal by default
