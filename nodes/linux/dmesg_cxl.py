"""What Linux 6.12 prints of a CXL protocol error section.

The DVSEC and the error log follow the section's fixed part by the lengths written there, which nobody holds
against the entry. Sources: Linux 6.12.117 drivers/firmware/efi/cper_cxl.c, include/cxl/event.h; UEFI 2.10
appendix N.2.13.
"""

from enum import IntEnum
from typing import Final

from nodes.linux.dmesg_sections import named
from nodes.linux.estatus import Entry
from nodes.linux.printk import Log, Memory, Span
from nodes.spec.layout import Layout, Octets2, Octets4, Octets7, Octets8, Octets60, layout, u8, u16, u32, u64
from nodes.spec.platform_sections import PCIE_SLOT_SHIFT

CXL_PROTOCOL_SIZE: Final = 116  # bytes
_INDENT: Final = 3  # its text lines begin with a space of their own
_DUMP_INDENT: Final = 2
_HEADER_LOG_SIZE: Final = 64  # bytes


class AgentType(IntEnum):
    """Which kind of CXL component found the error."""

    RESTRICTED_DEVICE = 0
    RESTRICTED_HOST_DOWNSTREAM_PORT = 1
    DEVICE = 2
    LOGICAL_DEVICE = 3
    MANAGED_LOGICAL_DEVICE = 4
    ROOT_PORT = 5
    DOWNSTREAM_SWITCH_PORT = 6
    UPSTREAM_SWITCH_PORT = 7


AGENTS: Final = (
    "Restricted CXL Device",
    "Restricted CXL Host Downstream Port",
    "CXL Device",
    "CXL Logical Device",
    "CXL Fabric Manager managed Logical Device",
    "CXL Root Port",
    "CXL Downstream Switch Port",
    "CXL Upstream Switch Port",
)
_WITH_PCI_ADDRESS: Final = frozenset(AgentType) - {AgentType.RESTRICTED_HOST_DOWNSTREAM_PORT}
_WITH_SERIAL: Final = frozenset(
    (
        AgentType.RESTRICTED_DEVICE,
        AgentType.DEVICE,
        AgentType.LOGICAL_DEVICE,
        AgentType.MANAGED_LOGICAL_DEVICE,
    )
)


@layout(size=CXL_PROTOCOL_SIZE)
class CxlProtocolSection(Layout, frozen=True, gc=False):
    """Fixed part of the section."""

    validation_bits: u64
    agent_type: u8  # AgentType
    reserved: Octets7
    agent_address: Octets8  # PciAddress, or the RCRB base address of a host downstream port
    vendor_id: u16
    device_id: u16
    subsystem_vendor_id: u16
    subsystem_id: u16
    class_code: Octets2  # little-endian
    slot: u16  # number in bits 15:3
    device_reserved: Octets4
    serial_low: u32
    serial_high: u32
    capability: Octets60
    dvsec_length: u16  # bytes
    error_log_length: u16  # bytes
    reserved_112: Octets4


@layout(size=8)
class PciAddress(Layout, frozen=True, gc=False):
    """Where a component sits."""

    function: u8
    device: u8
    bus: u8
    segment: u16
    reserved: u8
    reserved_6: u16


@layout(size=24)
class CxlRasCapability(Layout, frozen=True, gc=False):
    """Start of the error log; the header log of 64 bytes follows."""

    uncorrectable_status: u32
    uncorrectable_mask: u32
    uncorrectable_severity: u32
    correctable_status: u32
    correctable_mask: u32
    control: u32


def print_cxl_protocol(log: Log, memory: Memory, entry: Entry) -> None:
    """cxl_cper_print_prot_err()."""
    section = CxlProtocolSection.decode(memory.read(entry.body_offset, CXL_PROTOCOL_SIZE))
    valid = section.validation_bits
    if valid & 1 << 0:
        log.say(_INDENT, f"agent_type: {section.agent_type}, {named(AGENTS, section.agent_type)}")
    if valid & 1 << 1:
        _say_address(log, section)
    if valid & 1 << 2 and section.agent_type in _WITH_PCI_ADDRESS:
        _say_device(log, section)
    if valid & 1 << 3 and section.agent_type in _WITH_SERIAL:
        log.say(_INDENT, f"lower_dw: 0x{section.serial_low:08x}, upper_dw: 0x{section.serial_high:08x}")
    if valid & 1 << 4 and section.agent_type in _WITH_PCI_ADDRESS:
        log.dump(_DUMP_INDENT, Span(section.capability, faults=False))
    end = entry.body_offset + CXL_PROTOCOL_SIZE
    if valid & 1 << 5:
        log.say(_INDENT, f"DVSEC length: 0x{section.dvsec_length:04x}")
        log.say(_INDENT, "CXL DVSEC:")
        log.dump(_DUMP_INDENT, memory.span(end, section.dvsec_length))
    if valid & 1 << 6:
        log.say(_INDENT, f"Error log length: 0x{section.error_log_length:04x}")
        _say_error_log(log, memory, end + section.dvsec_length)


def _say_address(log: Log, section: CxlProtocolSection) -> None:
    if section.agent_type in _WITH_PCI_ADDRESS:
        at = PciAddress.decode(section.agent_address)
        log.say(_INDENT, f"agent_address: {at.segment:04x}:{at.bus:02x}:{at.device:02x}.{at.function:x}")
    elif section.agent_type == AgentType.RESTRICTED_HOST_DOWNSTREAM_PORT:
        base = int.from_bytes(section.agent_address, "little")
        log.say(_INDENT, f"rcrb_base_address: 0x{base:016x}")


def _say_device(log: Log, section: CxlProtocolSection) -> None:
    log.say(_INDENT, f"slot: {section.slot >> PCIE_SLOT_SHIFT}")
    log.say(_INDENT, f"vendor_id: 0x{section.vendor_id:04x}, device_id: 0x{section.device_id:04x}")
    vendor, device = section.subsystem_vendor_id, section.subsystem_id
    log.say(_INDENT, f"sub_vendor_id: 0x{vendor:04x}, sub_device_id: 0x{device:04x}")
    log.say(_INDENT, f"class_code: {section.class_code[::-1].hex()}")


def _say_error_log(log: Log, memory: Memory, at: int) -> None:
    size = CxlRasCapability.codec.size
    ras = CxlRasCapability.decode(memory.read(at, size))
    log.say(_INDENT, "CXL Error Log:")
    log.say(_INDENT, f"cxl_ras_uncor_status: 0x{ras.uncorrectable_status:08x}")
    log.say(_INDENT, f"cxl_ras_uncor_mask: 0x{ras.uncorrectable_mask:08x}")
    log.say(_INDENT, f"cxl_ras_uncor_severity: 0x{ras.uncorrectable_severity:08x}")
    log.say(_INDENT, f"cxl_ras_cor_status: 0x{ras.correctable_status:08x}")
    log.say(_INDENT, f"cxl_ras_cor_mask: 0x{ras.correctable_mask:08x}")
    log.say(_INDENT, f"cap_control: 0x{ras.control:08x}")
    log.say(_INDENT, "Header Log Registers:")
    log.dump(_DUMP_INDENT, memory.span(at + size, _HEADER_LOG_SIZE))
