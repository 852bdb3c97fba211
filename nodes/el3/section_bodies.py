"""Section bodies from error records: memory section 1, ARM processor section, PCIe section.

What does not depend on the record is packed or tabled when the module loads.

Sources: UEFI 2.11 appendix N.2.4.4, N.2.5, N.2.7; Arm Neoverse RD StandaloneMM drivers (which fields a platform
fills).
"""

from functools import lru_cache
from typing import Final, NamedTuple

from nodes.hardware.dram import LINE_MASK, DramGeometry
from nodes.hardware.ras_nodes import INSTANCE_MASK, KIND_SHIFT, RasNodeKind
from nodes.spec.arm_section import (
    ERROR_INFO_SIZE,
    HEADER_SIZE,
    ArmHeader,
    ArmValid,
    ContextType,
    ErrorInfo,
    ErrorInfoFlag,
    ErrorInfoValid,
    ErrorKind,
    Operation,
    Transaction,
    context_of,
    information,
    place_in_context,
    type_byte,
)
from nodes.spec.err import AV, OF, ErrAddr, Serr, error_state
from nodes.spec.memory_sections import (
    VALID_BANK_ADDRESS,
    VALID_BANK_GROUP,
    VALID_ROW_EXTENDED,
    ErrorStatus,
    ErrorType,
    MemoryErrorType,
    MemorySection,
)
from nodes.spec.platform_sections import (
    AerCapability,
    AerCorrectable,
    AerUncorrectable,
    PcieSection,
    PortType,
)
from nodes.spec.severity import ErrorState

MIDR: Final = 0x410F_D4F0  # Arm Neoverse V2 r0p0, the simulated hosts' PE
MPIDR_BASE: Final = 0x8100_0000  # bit 31 reads as one; multithreading: affinity level 1 is the PE, 2 the socket
MODULE_HANDLE: Final = 0x1100  # SMBIOS type 17 handle of DIMM 0
_PADDR: Final = ErrAddr.PADDR.mask


class Captured(NamedTuple):
    """What EL3 read before it cleared the record."""

    node: int  # RAS node
    status: int  # ERR<n>STATUS
    addr: int  # ERR<n>ADDR
    esr: int = 0  # ESR_EL3 of the exception; 0: EL3 was interrupted
    far: int = 0
    hcr: int = 0  # HCR_EL2 of the interrupted world


# Memory

_BITS: Final = MemorySection.valid_bits
_VALID_ANYWHERE: Final = sum(1 << _BITS[name] for name in ("error_status", "memory_error_type", "module_handle"))
_VALID: Final = (
    _VALID_ANYWHERE
    | sum(
        1 << _BITS[name]
        for name in (
            "physical_address",
            "physical_address_mask",
            "node",
            "card",
            "module",
            "column",
            "rank_number",
        )
    )
    | VALID_BANK_GROUP
    | VALID_BANK_ADDRESS
    | VALID_ROW_EXTENDED
)
_LINE: Final = LINE_MASK & 0xFFFF_FFFF_FFFF_FFFF
_STORAGE: Final = int(ErrorStatus.of(TYPE=ErrorType.MEMORY_STORAGE, DATA=1))
_ADDRESSING: Final = int(ErrorStatus.of(TYPE=ErrorType.MEMORY_STORAGE, ADDRESS=1))
_MEMORY_TYPE: Final = {
    ErrorState.NONE: MemoryErrorType.UNKNOWN,
    ErrorState.CE: MemoryErrorType.SINGLE_BIT_ECC,
    ErrorState.DE: MemoryErrorType.MULTI_BIT_ECC,
    ErrorState.UEO: MemoryErrorType.SCRUB_UNCORRECTED,
    ErrorState.UER: MemoryErrorType.MULTI_BIT_ECC,
    ErrorState.UEU: MemoryErrorType.MULTI_BIT_ECC,
    ErrorState.UC: MemoryErrorType.PARITY,
}


def memory_body(captured: Captured, geometry: DramGeometry) -> bytes:
    """Memory section 1 with the place in DRAM; without an address only what the RAS node itself tells."""
    state = error_state(captured.status)
    dimm = MODULE_HANDLE + (captured.node & INSTANCE_MASK)
    status = _ADDRESSING if state is ErrorState.UC else _STORAGE
    if not captured.status & AV:
        return MemorySection(
            _VALID_ANYWHERE, error_status=status, memory_error_type=_MEMORY_TYPE[state], module_handle=dimm
        ).encode()
    address = captured.addr & _PADDR
    socket, channel, rank, bank_group, bank, row, column = geometry.place_of(address)
    return MemorySection.codec.pack(
        _VALID,
        status,
        address,
        _LINE,
        socket,  # node
        channel,  # card
        0,  # module: one DIMM a channel
        bank_group << 8 | bank,
        0,  # device
        row & 0xFFFF,
        column,
        0,  # bit position
        0,  # requestor
        0,  # responder
        0,  # target
        _MEMORY_TYPE[state],
        row >> 16,  # extended: row bits 17:16
        rank,
        0,  # card handle
        dimm,
    )


# Processor

_KIND: Final[dict[int, ErrorKind]] = {
    RasNodeKind.CACHE: ErrorKind.CACHE,
    RasNodeKind.TLB: ErrorKind.TLB,
    RasNodeKind.BUS: ErrorKind.BUS,
}
_LEVEL: Final = {RasNodeKind.CACHE: 2, RasNodeKind.TLB: 2, RasNodeKind.BUS: 1}
_HEADER_VALID: Final = int(ArmValid.MPIDR | ArmValid.AFFINITY_LEVEL | ArmValid.RUNNING_STATE)
_ERROR_VALID: Final = int(ErrorInfoValid.MULTIPLE_ERROR | ErrorInfoValid.FLAGS | ErrorInfoValid.ERROR_INFO)
_WITH_PHYSICAL: Final = int(ErrorInfoValid.PHYSICAL_ADDRESS)
_WITH_VIRTUAL: Final = int(ErrorInfoValid.VIRTUAL_ADDRESS)
_FIRST_AND_LAST: Final = int(ErrorInfoFlag.FIRST | ErrorInfoFlag.LAST)
_OVERFLOWED: Final = int(ErrorInfoFlag.FIRST | ErrorInfoFlag.OVERFLOW)


def _information(kind: RasNodeKind, state: ErrorState, *, timeout: bool) -> int:
    fields = {
        "TRANSACTION": Transaction.DATA,
        "OPERATION": Operation.DATA_READ,
        "LEVEL": _LEVEL[kind],
        "CONTEXT_CORRUPT": int(state in (ErrorState.UEU, ErrorState.UC)),
        "CORRECTED": int(state is ErrorState.CE),
        "PRECISE_PC": int(state is ErrorState.UER),
        "RESTARTABLE_PC": int(state in (ErrorState.UER, ErrorState.UEO)),
    }
    if kind is RasNodeKind.BUS:
        fields |= {"PARTICIPATION": 0, "TIMEOUT": int(timeout), "ADDRESS_SPACE": 0}
    return information(**fields)


_INFORMATION: Final[dict[tuple[int, ErrorState, bool], int]] = {
    (kind, state, timeout): _information(kind, state, timeout=timeout)
    for kind in map(RasNodeKind, _KIND)
    for state in ErrorState
    for timeout in (False, True)
}
_TIMEOUTS: Final = frozenset((Serr.INTERNAL_TIMEOUT, Serr.EXTERNAL_TIMEOUT))
_CONTEXTS_KEPT: Final = 1024  # PEs whose part of the contexts is kept; that of another one is made again
_EL2: Final = context_of(ContextType.AARCH64_EL2, {}).encode()
_FAR_EL2, _HCR_EL2 = (place_in_context(ContextType.AARCH64_EL2, name) for name in ("FAR_EL2", "HCR_EL2"))


def mpidr(pe: int) -> int:
    """MPIDR_EL1 of a PE."""
    return MPIDR_BASE | pe << 8


def _contexts(captured: Captured, mpidr_value: int) -> bytes:
    """General registers and those of EL1 and EL2, as EL3 saved them. What no floor models is 0."""
    el2 = bytearray(_EL2)
    el2[_FAR_EL2] = captured.far.to_bytes(8, "little")
    el2[_HCR_EL2] = captured.hcr.to_bytes(8, "little")
    return _lower_contexts(mpidr_value) + el2


@lru_cache(_CONTEXTS_KEPT)
def _lower_contexts(mpidr_value: int) -> bytes:
    el1 = context_of(ContextType.AARCH64_EL1, {"MIDR_EL1": MIDR, "MPIDR_EL1": mpidr_value})
    return context_of(ContextType.AARCH64_GPR, {}).encode() + el1.encode()


def processor_body(captured: Captured, _geometry: DramGeometry) -> bytes:
    """ARM processor section; with register contexts when an exception was taken."""
    kind, status = captured.node >> KIND_SHIFT, captured.status
    overflow = status & OF
    valid = _ERROR_VALID
    if status & AV:
        valid |= _WITH_PHYSICAL
    if captured.far:
        valid |= _WITH_VIRTUAL
    instance = captured.node & INSTANCE_MASK
    affinity = MPIDR_BASE | instance << 16 if kind == RasNodeKind.BUS else mpidr(instance)
    contexts = _contexts(captured, affinity) if captured.esr else b""
    header = ArmHeader.codec.pack(
        _HEADER_VALID,
        1,
        3 if contexts else 0,
        HEADER_SIZE + ERROR_INFO_SIZE + len(contexts),
        2 if kind == RasNodeKind.BUS else 0,
        bytes(3),
        affinity,
        MIDR,
        1,  # running
        0,
    )
    error = ErrorInfo.codec.pack(
        0,
        ERROR_INFO_SIZE,
        valid,
        type_byte(_KIND[kind]),
        1 if overflow else 0,
        _OVERFLOWED if overflow else _FIRST_AND_LAST,
        _INFORMATION[kind, error_state(status), (status & 0xFF) in _TIMEOUTS],
        captured.far,
        captured.addr & _PADDR if status & AV else 0,
    )
    return header + error + contexts


# PCIe

_AER: Final = {
    ErrorState.NONE: AerCapability(),
    ErrorState.CE: AerCapability(correctable_status=AerCorrectable.BAD_TLP | AerCorrectable.REPLAY_TIMEOUT),
    ErrorState.DE: AerCapability(uncorrectable_status=AerUncorrectable.POISONED_TLP),
    ErrorState.UEO: AerCapability(uncorrectable_status=AerUncorrectable.UNSUPPORTED_REQUEST),
    ErrorState.UER: AerCapability(uncorrectable_status=AerUncorrectable.COMPLETION_TIMEOUT),
    ErrorState.UEU: AerCapability(uncorrectable_status=AerUncorrectable.SURPRISE_DOWN),
    ErrorState.UC: AerCapability(uncorrectable_status=AerUncorrectable.MALFORMED_TLP),
}
_AER_SEVERITY: Final = 0x0046_2030  # PCI Express: default of the uncorrectable error severity register
_PCIE_BITS: Final = PcieSection.valid_bits


def _pcie(aer: AerCapability) -> bytes:
    capability = AerCapability(
        header=0x0002_0001,  # capability id 1, version 2
        uncorrectable_status=aer.uncorrectable_status,
        uncorrectable_severity=_AER_SEVERITY,
        correctable_status=aer.correctable_status,
    )
    return PcieSection(
        validation_bits=sum(
            1 << _PCIE_BITS[name] for name in ("port_type", "version_major", "command", "device_id", "aer")
        ),
        port_type=PortType.ROOT_PORT,
        version_major=0x05,
        command=0x0507,  # SERR#, interrupts by message, bus master, memory, I/O
        status=0x0010,  # capability list
        vendor_id=0x13B5,  # Arm
        device_id=0x0100,
        class_code=b"\x00\x04\x06",  # PCI bridge
        bus=0,
        secondary_bus=1,
        aer=capability.encode().ljust(96, b"\0"),
    ).encode()


_PCIE_BODIES: Final = {state: _pcie(aer) for state, aer in _AER.items()}


def pcie_body(captured: Captured, _geometry: DramGeometry) -> bytes:
    """PCIe section of the root port with its AER registers."""
    return _PCIE_BODIES[error_state(captured.status)]
