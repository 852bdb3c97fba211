"""Generic processor section, PCIe section with its AER capability, firmware error record reference.

Sources: UEFI 2.11 appendix N.2.4.1, N.2.7, N.2.10; Linux include/linux/cper.h, include/linux/aer.h; PCI Express
Base Specification 7.8.4 (AER capability structure).
"""

from enum import IntEnum, IntFlag
from typing import ClassVar, Final

from nodes.spec.guid import NIL, guid
from nodes.spec.layout import (
    Guid,
    Layout,
    Octets2,
    Octets3,
    Octets4,
    Octets6,
    Octets60,
    Octets96,
    Text128,
    layout,
    u8,
    u16,
    u32,
    u64,
)

PROCESSOR_GUID: Final = guid("9876ccad-47b4-4bdb-b65e-16f193c4f3db")
PCIE_GUID: Final = guid("d995e954-bbc1-430f-ad91-b44dcb3c6f35")
FIRMWARE_GUID: Final = guid("81212a96-09ed-4996-9471-8d729c8e69ed")
FIRMWARE_SIZE_MIN: Final = 16  # bytes; Linux takes no shorter one


class ProcessorType(IntEnum):
    """Generic processor section: family."""

    X86 = 0
    IPF = 1
    ARM = 2


class ProcessorIsa(IntEnum):
    """Generic processor section: instruction set."""

    IA32 = 0
    IA64 = 1
    X64 = 2
    A32_T32 = 3
    A64 = 4


class ProcessorError(IntFlag):
    """Generic processor section: type of the error; 0 is unknown."""

    CACHE = 1
    TLB = 2
    BUS = 4
    MICRO_ARCHITECTURAL = 8


class ProcessorOperation(IntEnum):
    """Generic processor section: what was going on."""

    UNKNOWN = 0
    DATA_READ = 1
    DATA_WRITE = 2
    INSTRUCTION_EXECUTION = 3


class ProcessorFlag(IntFlag):
    """Generic processor section: flags."""

    RESTARTABLE = 1
    PRECISE_IP = 2
    OVERFLOW = 4
    CORRECTED = 8


@layout(size=192)
class ProcessorSection(Layout, frozen=True, gc=False):
    """Generic processor section; on Arm, version is MIDR_EL1 and id is MPIDR_EL1."""

    validation_bits: u64
    processor_type: u8 = 0  # ProcessorType
    isa: u8 = 0  # ProcessorIsa
    error_type: u8 = 0  # ProcessorError
    operation: u8 = 0  # ProcessorOperation
    flags: u8 = 0  # ProcessorFlag
    level: u8 = 0
    reserved: Octets2 = bytes(2)
    version: u64 = 0
    brand: Text128 = bytes(128)
    processor_id: u64 = 0
    target_address: u64 = 0
    requestor_id: u64 = 0
    responder_id: u64 = 0
    instruction_pointer: u64 = 0

    valid_bits: ClassVar[dict[str, int]] = {
        "processor_type": 0,
        "isa": 1,
        "error_type": 2,
        "operation": 3,
        "flags": 4,
        "level": 5,
        "version": 6,
        "brand": 7,
        "processor_id": 8,
        "target_address": 9,
        "requestor_id": 10,
        "responder_id": 11,
        "instruction_pointer": 12,
    }


class PortType(IntEnum):
    """PCIe section: type of the device or port."""

    ENDPOINT = 0
    LEGACY_ENDPOINT = 1
    ROOT_PORT = 4
    UPSTREAM_SWITCH_PORT = 5
    DOWNSTREAM_SWITCH_PORT = 6
    PCIE_TO_PCI_BRIDGE = 7
    PCI_TO_PCIE_BRIDGE = 8
    RC_INTEGRATED_ENDPOINT = 9
    RC_EVENT_COLLECTOR = 10


PCIE_VALID_DEVICE_ID: Final = 1 << 3
PCIE_VALID_AER: Final = 1 << 7
PCIE_VALID_RCRB: Final = 1 << 8  # then bit 3 must be 0; bytes 31 to 34 hold the low half of the RCRB address
PCIE_VALID_RCRB_HIGH: Final = 1 << 9
PCIE_SLOT_SHIFT: Final = 3


@layout(size=208)
class PcieSection(Layout, frozen=True, gc=False):
    """PCIe section."""

    validation_bits: u64
    port_type: u32 = 0  # PortType
    version_minor: u8 = 0  # BCD
    version_major: u8 = 0  # BCD
    version_reserved: Octets2 = bytes(2)
    command: u16 = 0
    status: u16 = 0
    reserved: Octets4 = bytes(4)  # RCRB address, high half, when bit 9 says so
    vendor_id: u16 = 0
    device_id: u16 = 0
    class_code: Octets3 = bytes(3)  # little-endian
    function: u8 = 0
    device: u8 = 0
    segment: u16 = 0
    bus: u8 = 0
    secondary_bus: u8 = 0
    slot: u16 = 0  # number in bits 15:3
    device_reserved: u8 = 0
    serial_low: u32 = 0
    serial_high: u32 = 0
    bridge_secondary_status: u16 = 0
    bridge_control: u16 = 0
    capability: Octets60 = bytes(60)
    aer: Octets96 = bytes(96)  # AerCapability, then vendor use

    @property
    def rcrb_address(self) -> int | None:
        """Address of the root complex register block, where the validation bits say that it stands here."""
        if not self.validation_bits & PCIE_VALID_RCRB:
            return None
        stored = self.encode()
        high = stored[20:24] if self.validation_bits & PCIE_VALID_RCRB_HIGH else b""
        return int.from_bytes(stored[31:35] + high, "little")

    valid_bits: ClassVar[dict[str, int]] = {
        "port_type": 0,
        "version_major": 1,
        "command": 2,
        "device_id": 3,
        "serial_low": 4,
        "bridge_control": 5,
        "capability": 6,
        "aer": 7,
    }


@layout(size=56)
class AerCapability(Layout, frozen=True, gc=False):
    """Advanced Error Reporting capability, as Linux's struct aer_capability_regs."""

    header: u32 = 0
    uncorrectable_status: u32 = 0
    uncorrectable_mask: u32 = 0
    uncorrectable_severity: u32 = 0
    correctable_status: u32 = 0
    correctable_mask: u32 = 0
    capability_control: u32 = 0
    header_log_0: u32 = 0
    header_log_1: u32 = 0
    header_log_2: u32 = 0
    header_log_3: u32 = 0
    root_command: u32 = 0
    root_status: u32 = 0
    correctable_source: u16 = 0
    uncorrectable_source: u16 = 0


class AerUncorrectable(IntFlag):
    """AER uncorrectable error status, the bits used here."""

    DATA_LINK_PROTOCOL = 1 << 4
    SURPRISE_DOWN = 1 << 5
    POISONED_TLP = 1 << 12
    COMPLETION_TIMEOUT = 1 << 14
    COMPLETER_ABORT = 1 << 15
    MALFORMED_TLP = 1 << 18
    UNSUPPORTED_REQUEST = 1 << 20


class AerCorrectable(IntFlag):
    """AER correctable error status, the bits used here."""

    RECEIVER = 1 << 0
    BAD_TLP = 1 << 6
    BAD_DLLP = 1 << 7
    REPLAY_TIMEOUT = 1 << 12


class FirmwareRecordType(IntEnum):
    """Firmware error record reference: type of the record."""

    IPF_SAL = 0
    SOC_TYPE1 = 1
    SOC_TYPE2 = 2


@layout(size=FIRMWARE_SIZE_MIN)
class FirmwareReferenceOld(Layout, frozen=True, gc=False):
    """Firmware error record reference as short as Linux takes it."""

    record_type: u8  # FirmwareRecordType
    revision: u8 = 0
    reserved: Octets6 = bytes(6)
    record_id: u64 = 0


@layout(size=32)
class FirmwareReference(Layout, frozen=True, gc=False):
    """Firmware error record reference; from revision 1 on the record id must be 0."""

    record_type: u8  # FirmwareRecordType
    revision: u8 = 0
    reserved: Octets6 = bytes(6)
    record_id: u64 = 0
    record_guid: Guid = NIL  # used for SOC_TYPE2 only
