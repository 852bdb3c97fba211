"""Memory, generic processor, PCIe and firmware reference sections as fields.

The tables name every field as it stands in JSON. Fields that the validation bits do not cover are shown too:
``valid`` lists those that they cover.

Sources: UEFI 2.11 appendix N.2.4.1, N.2.5 to N.2.7, N.2.10.
"""

from collections.abc import Sequence
from typing import Final

from fleet.decode.view import Form, Json, Show, View, add_fields, hex_of, valid_names, word_of
from nodes.spec.layout import Layout
from nodes.spec.memory_sections import (
    ErrorStatus,
    ErrorType,
    Extended,
    MemoryErrorType,
    MemorySection,
    MemorySection2,
    MemorySectionOld,
)
from nodes.spec.platform_sections import (
    PCIE_SLOT_SHIFT,
    PCIE_VALID_AER,
    PCIE_VALID_DEVICE_ID,
    AerCapability,
    AerCorrectable,
    AerUncorrectable,
    FirmwareRecordType,
    FirmwareReference,
    FirmwareReferenceOld,
    PcieSection,
    PortType,
    ProcessorError,
    ProcessorFlag,
    ProcessorIsa,
    ProcessorOperation,
    ProcessorSection,
    ProcessorType,
)

_PLACE: Final = (
    Show("node"),
    Show("card"),
    Show("module"),
    Show("bank"),
    Show("device"),
    Show("row"),
    Show("column"),
)
_IDS: Final = (
    Show("requestor_id", "requestorID"),
    Show("responder_id", "responderID"),
    Show("target_id", "targetID"),
)
_TYPE: Final = Show("memory_error_type", "error_type", words=MemoryErrorType, says="what happened to the memory")
_STATUS: Final = Show("error_status", form=Form.HEX, register=ErrorStatus, says="error status word")
_ADDRESS: Final = Show("physical_address", "physicalAddress", Form.HEX)

MEMORY_OLD: Final = (
    _STATUS,
    _ADDRESS,
    Show("physical_address_mask", "physicalAddressMask"),
    *_PLACE,
    Show("bit_position", "bitPosition"),
    *_IDS,
    _TYPE,
)
MEMORY: Final = (
    *MEMORY_OLD,
    Show("extended", form=Form.HEX, register=Extended, says="chip id and high row bits"),
    Show("rank_number", "rank"),
    Show("card_handle", "cardSmbiosHandle", says="SMBIOS type 16"),
    Show("module_handle", "moduleSmbiosHandle", says="SMBIOS type 17"),
)
MEMORY2: Final = (
    _STATUS,
    _ADDRESS,
    Show("physical_address_mask", "physicalAddressMask", Form.HEX),
    *_PLACE,
    Show("rank"),
    Show("bit_position", "bitPosition"),
    Show("chip_id"),
    _TYPE,
    Show("status", says="bit 0: 0 corrected, 1 uncorrected"),
    *_IDS,
    Show("card_handle"),
    Show("module_handle"),
)
PROCESSOR: Final = (
    Show("processor_type", words=ProcessorType),
    Show("isa", words=ProcessorIsa),
    Show("error_type", flags=ProcessorError),
    Show("operation", words=ProcessorOperation),
    Show("flags", flags=ProcessorFlag),
    Show("level"),
    Show("version", form=Form.HEX, says="MIDR_EL1 on Arm"),
    Show("brand", form=Form.TEXT),
    Show("processor_id", form=Form.HEX, says="MPIDR_EL1 on Arm"),
    Show("target_address", form=Form.HEX),
    Show("requestor_id", form=Form.HEX),
    Show("responder_id", form=Form.HEX),
    Show("instruction_pointer", form=Form.HEX),
)
PCIE: Final = (
    Show("port_type", words=PortType),
    Show("version_major", says="BCD"),
    Show("version_minor", says="BCD", covered_by="version_major"),
    Show("command", form=Form.HEX),
    Show("status", form=Form.HEX, covered_by="command"),
    Show("vendor_id", form=Form.HEX, covered_by="device_id"),
    Show("device_id", form=Form.HEX),
    Show("segment", covered_by="device_id"),
    Show("bus", covered_by="device_id"),
    Show("device", covered_by="device_id"),
    Show("function", covered_by="device_id"),
    Show("secondary_bus", covered_by="device_id"),
    Show("slot", form=Form.HEX, says="number in bits 15:3", covered_by="device_id"),
    Show("serial_low", form=Form.HEX),
    Show("serial_high", form=Form.HEX, covered_by="serial_low"),
    Show("bridge_secondary_status", form=Form.HEX, covered_by="bridge_control"),
    Show("bridge_control", form=Form.HEX),
    Show("capability", form=Form.OCTETS),
)
AER: Final = (
    Show("uncorrectable_status", form=Form.HEX, flags=AerUncorrectable),
    Show("uncorrectable_mask", form=Form.HEX, flags=AerUncorrectable),
    Show("uncorrectable_severity", form=Form.HEX, flags=AerUncorrectable),
    Show("correctable_status", form=Form.HEX, flags=AerCorrectable),
    Show("correctable_mask", form=Form.HEX, flags=AerCorrectable),
    Show("capability_control", form=Form.HEX),
    Show("header_log_0", form=Form.HEX),
    Show("header_log_1", form=Form.HEX),
    Show("header_log_2", form=Form.HEX),
    Show("header_log_3", form=Form.HEX),
    Show("root_command", form=Form.HEX),
    Show("root_status", form=Form.HEX),
    Show("correctable_source", form=Form.HEX),
    Show("uncorrectable_source", form=Form.HEX),
)
FIRMWARE_OLD: Final = (
    Show("record_type", "type", words=FirmwareRecordType),
    Show("revision"),
    Show("record_id", says="must be 0 from revision 1 on"),
)
FIRMWARE: Final = (*FIRMWARE_OLD, Show("record_guid", "guid", Form.GUID, says="used for SOC type 2 only"))
# Validity bits that stand for a part of a field.
_PARTS: Final = {18: "row_extended", 19: "bank_group", 20: "bank_address", 21: "chip_id"}
_PARTS_PCIE: Final = {8: "rcrb_address", 9: "rcrb_address_high"}
_PARTS2: Final = {20: "bank_group", 21: "bank_address"}


def _section_view(title: str, section: Layout, table: Sequence[Show], valid: int | None = None) -> View:
    view = View(title)
    if valid is not None:
        view.add("validation", hex_of(valid))
        view.fields["valid"] = valid_names(section, table, valid)
    add_fields(view, section, table, valid=valid)
    return view


def _add_valid_parts(view: View, parts: dict[int, str], valid: int) -> None:
    names = view.fields["valid"]
    assert isinstance(names, list)
    names += [name for bit, name in parts.items() if valid >> bit & 1]


def _add_error_type(view: View, error_status: int) -> None:
    kind = ErrorStatus(error_status).TYPE
    view.fields |= {"error_status_type": kind, "error_status_type_name": word_of(ErrorType, kind)}


def memory_view(section: MemorySection | MemorySectionOld) -> View:
    """Memory section 1, of 80 or of 73 bytes."""
    valid = section.validation_bits
    if isinstance(section, MemorySectionOld):
        view = _section_view("memory section (73 bytes)", section, MEMORY_OLD, valid)
    else:
        view = _section_view("memory section", section, MEMORY, valid)
        _add_valid_parts(view, _PARTS, valid)
        view.fields["chip_id"] = Extended(section.extended).CHIP_ID
    _add_error_type(view, section.error_status)
    return view


def memory2_view(section: MemorySection2) -> View:
    """Memory section 2."""
    view = _section_view("memory section 2", section, MEMORY2, section.validation_bits)
    _add_valid_parts(view, _PARTS2, section.validation_bits)
    _add_error_type(view, section.error_status)
    return view


def processor_view(section: ProcessorSection) -> View:
    """Generic processor section."""
    return _section_view("generic processor section", section, PROCESSOR, section.validation_bits)


def pcie_view(section: PcieSection) -> View:
    """PCIe section with its AER capability."""
    valid = section.validation_bits
    view = _section_view("PCIe section", section, PCIE, valid)
    _add_valid_parts(view, _PARTS_PCIE, valid)
    view.fields["class_code"] = hex_of(int.from_bytes(section.class_code, "little"))
    view.fields["slot_number"] = section.slot >> PCIE_SLOT_SHIFT
    if valid & PCIE_VALID_DEVICE_ID:
        place = f"{section.segment:04x}:{section.bus:02x}:{section.device:02x}.{section.function:x}"
        view.add("address", place, says="segment, bus, device, function")
    if section.rcrb_address is not None:
        view.add("rcrb_address", hex_of(section.rcrb_address), says="root complex register block")
    aer: Json = None
    if valid & PCIE_VALID_AER:
        part = _section_view("AER capability", AerCapability.decode(section.aer), AER)
        view.parts.append(part)
        aer = part.fields
    view.fields["aer"] = aer
    return view


def firmware_view(section: FirmwareReference | FirmwareReferenceOld) -> View:
    """Firmware error record reference, of 32 or of 16 bytes."""
    table = FIRMWARE if isinstance(section, FirmwareReference) else FIRMWARE_OLD
    return _section_view("firmware error record reference", section, table)
