"""Firmware references, CXL protocol errors, CXL events and sections of unknown types, from their lines.

What Linux does not print is lost: the type of a CXL component when nothing asks for it (a CXL device is then
assumed), everything of a CXL event.

Sources: nodes.linux.dmesg_sections, nodes.linux.dmesg_cxl; Linux drivers/firmware/efi/cper.c, cper_cxl.c.
"""

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fleet.recordings import BODY_SIZE_MAX
from fleet.recordings.dumps import Dump
from fleet.recordings.templates import Template, limits_of, stored, template
from nodes.linux.dmesg_cxl import (
    CXL_PROTOCOL_SIZE,
    AgentType,
    CxlProtocolSection,
    CxlRasCapability,
    PciAddress,
)
from nodes.linux.dmesg_sections import FIRMWARE_RECORDS
from nodes.spec.guid import NIL, guid
from nodes.spec.platform_sections import PCIE_SLOT_SHIFT, FirmwareReference, FirmwareReferenceOld

if TYPE_CHECKING:
    from fleet.recordings.forms import Form

_GUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_FIRMWARE_TYPE: Final = re.compile(r"Firmware Error Record Type: (.*)")
_FIRMWARE_NUMBERS: Final = (template("Revision: {revision}"), template("Record Identifier: {record_id:08x}"))
_FIRMWARE_GUID: Final = re.compile(rf"Record Identifier: ({_GUID})")
_FIRMWARE_SHORT: Final = template("error section length is too small: offset={offset}, length={length}")
_FIRMWARE_LIMITS: Final = {**limits_of(FirmwareReference.wire), "offset": 64, "length": 64}
_REVISION_WITH_GUID: Final = 2


class UnknownLines:
    """A section of a type that the kernel does not know: its length and its bytes."""

    def __init__(self) -> None:
        self.forms: set[Form] = set()
        self.dump: Dump | None = None

    def take(self, text: str) -> bool:
        """Take the next line."""
        if self.dump is not None:
            return self.dump.take(text)
        found = _UNKNOWN_LENGTH.match(text)
        if found is None:
            return False
        self.dump = Dump(found["length"])
        return True

    @property
    def cut(self) -> bool:
        """Whether bytes are missing."""
        return self.dump is None or not self.dump.complete

    def body(self) -> bytes | None:
        """The bytes; None when there are more than a block can hold."""
        if self.dump is None:
            return b""
        return None if (self.dump.size or 0) > BODY_SIZE_MAX else self.dump.filled()


_UNKNOWN_LENGTH: Final = template("section length: 0x{length:x}")


class SilentLines:
    """A section of which nothing but its name is printed."""

    def __init__(self) -> None:
        self.forms: set[Form] = set()

    def take(self, text: str) -> bool:  # noqa: ARG002 (no line is one of it)
        """No line is one of it."""
        return False

    @property
    def cut(self) -> bool:
        """Nothing can be missing."""
        return False

    def body(self) -> bytes:
        """Nothing is known of it."""
        return b""


class FirmwareLines:
    """A reference to a firmware error record, and what was dumped behind it."""

    def __init__(self) -> None:
        self.forms: set[Form] = set()
        self._type: int | None = None
        self._numbers: dict[str, int] = {}
        self._guid = NIL
        self._dump = Dump()
        self._length = -1  # bytes of a body that is shorter than its revision asks for

    def take(self, text: str) -> bool:
        """Take the next line."""
        line = text.strip(" ")
        named = _FIRMWARE_TYPE.fullmatch(line)
        if named is not None and self._type is None:
            known = named[1] in FIRMWARE_RECORDS
            self._type = FIRMWARE_RECORDS.index(named[1]) if known else len(FIRMWARE_RECORDS)
            return True
        found_guid = _FIRMWARE_GUID.fullmatch(line)
        if found_guid is not None:
            self._guid = guid(found_guid[1])
            return True
        for known_line in _FIRMWARE_NUMBERS:
            found = known_line.match(line)
            if found is not None:
                return self._keep(found)
        short = _FIRMWARE_SHORT.match(line)
        if short is not None and stored(short, _FIRMWARE_LIMITS) is not None:
            self._length = short["length"]
            return True
        return self._dump.take(line)

    def _keep(self, found: dict[str, int]) -> bool:
        held = stored(found, _FIRMWARE_LIMITS)
        if held is None or held.keys() & self._numbers.keys():
            return False
        self._numbers |= held
        return True

    @property
    def cut(self) -> bool:
        """Whether its revision is missing."""
        return "revision" not in self._numbers

    def body(self) -> bytes:
        """The section's body."""
        revision = self._numbers.get("revision", 0)
        kind = self._type or 0
        record_id = self._numbers.get("record_id", 0)
        whole = FirmwareReference(kind, revision, record_id=record_id, record_guid=self._guid).encode()
        if self._length >= 0:
            return whole.ljust(self._length, b"\0")[: self._length]
        sizes = {0: FirmwareReferenceOld.codec.size, 1: _HEAD_OF_REVISION_1}
        body = whole[: sizes.get(revision, len(whole))] + self._dump.octets
        return bytes(body).ljust(FirmwareReferenceOld.codec.size, b"\0")


_HEAD_OF_REVISION_1: Final = 8  # bytes: no record id follows


class _CxlRow(NamedTuple):
    """One line of a CXL protocol error and the validity bit that asks for it."""

    template: Template
    valid: int = 0


_CXL: Final = (
    _CxlRow(template("agent_type: {agent_type}, {agent_type_name}"), 1 << 0),
    _CxlRow(template("agent_address: {segment:04x}:{bus:02x}:{device:02x}.{function:x}"), 1 << 1),
    _CxlRow(template("rcrb_base_address: 0x{rcrb_base:016x}"), 1 << 1),
    _CxlRow(template("slot: {slot_number}"), 1 << 2),
    _CxlRow(template("vendor_id: 0x{vendor_id:04x}, device_id: 0x{device_id:04x}"), 1 << 2),
    _CxlRow(template("sub_vendor_id: 0x{subsystem_vendor_id:04x}, sub_device_id: 0x{subsystem_id:04x}"), 1 << 2),
    _CxlRow(template("class_code: {class_code_number:04x}"), 1 << 2),
    _CxlRow(template("lower_dw: 0x{serial_low:08x}, upper_dw: 0x{serial_high:08x}"), 1 << 3),
    _CxlRow(template("DVSEC length: 0x{dvsec_length:04x}"), 1 << 5),
    _CxlRow(template("Error log length: 0x{error_log_length:04x}"), 1 << 6),
    _CxlRow(template("cxl_ras_uncor_status: 0x{uncorrectable_status:08x}")),
    _CxlRow(template("cxl_ras_uncor_mask: 0x{uncorrectable_mask:08x}")),
    _CxlRow(template("cxl_ras_uncor_severity: 0x{uncorrectable_severity:08x}")),
    _CxlRow(template("cxl_ras_cor_status: 0x{correctable_status:08x}")),
    _CxlRow(template("cxl_ras_cor_mask: 0x{correctable_mask:08x}")),
    _CxlRow(template("cap_control: 0x{control:08x}")),
)
_CXL_LIMITS: Final = {
    **limits_of(PciAddress.wire),
    **limits_of(CxlProtocolSection.wire),
    **limits_of(CxlRasCapability.wire),
    "rcrb_base": (1 << 64) - 1,
    "slot_number": 0xFFFF >> PCIE_SLOT_SHIFT,
    "class_code_number": 0xFFFF,
}
_CAPABILITY_SIZE: Final = 60  # bytes
_HEADER_LOG_SIZE: Final = 64  # bytes
_CAPABILITY_VALID: Final = 1 << 4
_CXL_TITLES: Final = ("CXL DVSEC:", "CXL Error Log:", "Header Log Registers:")
_OF_ADDRESS: Final = frozenset(PciAddress.wire)
_OF_ERROR_LOG: Final = frozenset(CxlRasCapability.wire)


class CxlLines:
    """A CXL protocol error. Three dumps can follow: capability (without a title), DVSEC, header log."""

    def __init__(self) -> None:
        self.forms: set[Form] = set()
        self._values: dict[str, int] = {}
        self._valid = 0
        self._capability = Dump(_CAPABILITY_SIZE)
        self._dvsec: Dump | None = None
        self._header_log: Dump | None = None

    def take(self, text: str) -> bool:
        """Take the next line."""
        line = text.strip(" ")
        if line in _CXL_TITLES:
            return self._title(line)
        for row in _CXL:
            found = row.template.match(line)
            if found is not None:
                return self._keep(found, row.valid)
        return self._dumped(line)

    def _title(self, line: str) -> bool:
        if line == "CXL DVSEC:":
            self._dvsec = Dump(self._values.get("dvsec_length", 0))
        elif line == "Header Log Registers:":
            self._header_log = Dump(_HEADER_LOG_SIZE)
        return True

    def _keep(self, found: dict[str, int], valid: int) -> bool:
        held = stored(found, _CXL_LIMITS)
        if held is None or held.keys() & self._values.keys():
            return False
        self._values |= held
        self._valid |= valid
        return True

    def _dumped(self, line: str) -> bool:
        if self._header_log is not None:
            return self._header_log.take(line)
        if self._dvsec is not None:
            return self._dvsec.take(line)
        taken = self._capability.take(line)
        self._valid |= _CAPABILITY_VALID if taken else 0
        return taken

    @property
    def cut(self) -> bool:
        """Whether a dump is missing or incomplete."""
        values = self._values
        if "error_log_length" in values and (self._header_log is None or not self._header_log.complete):
            return True
        if "dvsec_length" in values and (self._dvsec is None or not self._dvsec.complete):
            return True
        return bool(self._capability.octets) and not self._capability.complete

    def _agent(self) -> int:
        """The component's type; where it is not printed, one of which these lines are printed."""
        if "rcrb_base" in self._values:
            return self._values.get("agent_type", AgentType.RESTRICTED_HOST_DOWNSTREAM_PORT)
        return self._values.get("agent_type", AgentType.DEVICE)

    def body(self) -> bytes:
        """The section's body, with the bytes of its dumps behind the fixed part."""
        values = self._values
        place = {name: value for name, value in values.items() if name in _OF_ADDRESS}
        address = PciAddress(**{**dict.fromkeys(PciAddress.wire, 0), **place}).encode()
        if "rcrb_base" in values:
            address = values["rcrb_base"].to_bytes(8, "little")
        fixed: dict[str, Any] = {
            name: bytes(int(code[:-1])) if code.endswith("s") else values.get(name, 0)
            for name, code in CxlProtocolSection.wire.items()
        }
        fixed |= {
            "validation_bits": self._valid,
            "agent_type": self._agent(),
            "agent_address": address,
            "class_code": values.get("class_code_number", 0).to_bytes(2, "little"),
            "slot": values.get("slot_number", 0) << PCIE_SLOT_SHIFT,
            "capability": self._capability.filled(),
        }
        section = CxlProtocolSection(**fixed).encode()
        assert len(section) == CXL_PROTOCOL_SIZE, "the fixed part"
        dvsec = b"" if self._dvsec is None else self._dvsec.filled()
        return section + dvsec + self._error_log()

    def _error_log(self) -> bytes:
        if self._header_log is None:
            return b""
        registers = {name: self._values.get(name, 0) for name in _OF_ERROR_LOG}
        return CxlRasCapability(**registers).encode() + self._header_log.filled()
