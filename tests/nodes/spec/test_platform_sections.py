"""Processor, PCIe and firmware sections."""

import pytest

from nodes.spec.guid import guid_text
from nodes.spec.platform_sections import (
    AerCapability,
    FirmwareReference,
    FirmwareReferenceOld,
    PcieSection,
    ProcessorSection,
)


def test_the_fields_of_a_processor_section_lie_where_the_document_has_them():
    stored = bytes(range(192))

    section = ProcessorSection.decode(stored)

    assert (section.processor_type, section.level) == (8, 13)
    assert section.brand == stored[24:152]
    assert section.instruction_pointer == int.from_bytes(stored[184:192], "little")


def test_the_fields_of_a_pcie_section_lie_where_the_document_has_them():
    section = PcieSection.decode(bytes(range(208)))

    assert (section.function, section.device, section.segment, section.bus) == (31, 32, 0x2221, 35)
    assert (section.slot, section.serial_low, section.bridge_control) == (0x2625, 0x2B2A2928, 0x3332)
    assert section.aer[0] == 112


@pytest.mark.parametrize(
    ("valid", "address"), [(0, None), (0x200, None), (0x100, 0x2221201F), (0x300, 0x171615142221201F)]
)
def test_an_rcrb_address_stands_in_place_of_the_device(valid, address):
    section = PcieSection.decode(valid.to_bytes(8, "little") + bytes(range(8, 208)))

    assert section.rcrb_address == address


def test_the_aer_capability_fits_the_section():
    assert AerCapability.decode(bytes(range(96))).header_log_0 == 0x1F1E1D1C


def test_a_short_firmware_reference_is_the_start_of_a_long_one():
    long = FirmwareReference(2, 2, record_id=7, record_guid=bytes(range(16)))

    assert FirmwareReferenceOld.decode(long.encode()).encode() == long.encode()[:16]
    assert guid_text(long.record_guid) == "03020100-0504-0706-0809-0a0b0c0d0e0f"
