"""Status blocks and CPER records as fields, with the sections in them.

The first section's entry stands at the top of a block's JSON too: most blocks have one section. A section that
its decoder refuses makes the whole block refused; the place named is that in the bytes given.

Sources: ACPI 6.5 18.3.2.7.1; UEFI 2.11 appendix N.2.1, N.2.2.
"""

from typing import Final

from fleet.decode.arm import arm_ras_view, arm_view
from fleet.decode.sections import firmware_view, memory2_view, memory_view, pcie_view, processor_view
from fleet.decode.view import NOT_VALID, Form, Json, Show, View, add_fields, flag_names, hex_of, word_of
from nodes.linux.estatus import check
from nodes.spec.arm_ras_section import ArmRasSection
from nodes.spec.arm_section import ArmSection, Dialect, ErrorInfo
from nodes.spec.cper import (
    NOTIFICATION_GUIDS,
    DescriptorValid,
    HeaderFlag,
    HeaderValid,
    Record,
    RecordHeader,
    SectionDescriptor,
)
from nodes.spec.guid import guid_text
from nodes.spec.layout import Layout, Malformed, text_of
from nodes.spec.memory_sections import VALID_PA, MemorySection, MemorySection2, MemorySectionOld
from nodes.spec.platform_sections import FirmwareReference, FirmwareReferenceOld, PcieSection, ProcessorSection
from nodes.spec.sections import Body, Section, decode_section, section_name
from nodes.spec.severity import Severity
from nodes.spec.status_block import (
    ENTRY_COUNT_MAX,
    ENTRY_COUNT_SHIFT,
    ENTRY_REVISION,
    HEAD_SIZE,
    BlockStatus,
    DataEntry,
    DataEntryHead,
    EntryValid,
    SectionFlag,
    StatusBlock,
    StatusBlockHead,
    block_length,
    entry_head_size,
)
from nodes.spec.timestamp import timestamp_of

PAGE_SHIFT: Final = 12  # of a 4 KiB page frame number
_VALIDITY_NAMES: Final = {"physical_address": "PA", "memory_error_type": "type"}  # short, in a block's prefix

BLOCK: Final = (
    Show("block_status", flags=BlockStatus),
    Show("raw_data_offset", "raw_offset"),
    Show("raw_data_length", "raw_len"),
    Show("data_length"),
    Show("error_severity", "severity", words=Severity),
)
HEADER: Final = (
    Show("revision", form=Form.HEX),
    Show("section_count"),
    Show("severity", words=Severity),
    Show("validation_bits", "validation", Form.HEX, flags=HeaderValid),
    Show("record_length"),
    Show("platform_id", form=Form.GUID),
    Show("partition_id", form=Form.GUID),
    Show("creator_id", form=Form.GUID),
    Show("record_id"),
    Show("flags", flags=HeaderFlag),
    Show("persistence_information", form=Form.HEX),
)
DESCRIPTOR: Final = (
    Show("section_offset", "offset"),
    Show("section_length", "length"),
    Show("revision", form=Form.HEX),
    Show("validation_bits", "validation", flags=DescriptorValid),
    Show("flags", form=Form.HEX, flags=SectionFlag),
    Show("fru_id", form=Form.GUID),
    Show("severity", words=Severity),
    Show("fru_text", form=Form.TEXT),
)
_SUMMARY: Final = ("offset", "length", "flags", "type", "fru_id", "severity")  # of a record's first section


def body_view(body: Body, dialect: Dialect) -> View:
    """The decoded body of a section."""
    match body:
        case ArmSection():
            return arm_view(body, dialect)
        case ArmRasSection():
            return arm_ras_view(body)
        case MemorySection() | MemorySectionOld():
            return memory_view(body)
        case MemorySection2():
            return memory2_view(body)
        case ProcessorSection():
            return processor_view(body)
        case PcieSection():
            return pcie_view(body)
        case FirmwareReference() | FirmwareReferenceOld():
            return firmware_view(body)
        case Layout():
            raise AssertionError(f"no view for {type(body).__name__}")


def _add_time(view: View, stored: bytes, *, valid: bool) -> None:
    """The moment; null for digits that are not decimal, which nobody refuses in a container."""
    mark = "" if valid else NOT_VALID
    try:
        moment = timestamp_of(stored)
    except Malformed:
        view.add("timestamp", None, word="not decimal")
        view.add("precise", None)
    else:
        view.add("timestamp", moment.iso(), word=mark)
        view.add("precise", moment.precise, word=mark)
    view.fields["timestamp_bytes"] = stored.hex()


def _add_section(view: View, section: Section, dialect: Dialect) -> None:
    decoded: Json = None
    if section.value is not None:
        part = body_view(section.value, dialect)
        view.parts.append(part)
        decoded = part.fields
    view.fields["section"] = decoded
    if section.rest:
        view.add("rest" if section.value is not None else "body", section.rest.hex())


def _entry_view(entry: DataEntry, number: int, section: Section, dialect: Dialect) -> View:
    view = View(f"section {number}: {section_name(entry.section_type)}")
    view.add("section_type", guid_text(entry.section_type), word=section_name(entry.section_type))
    view.fields["section_name"] = section_name(entry.section_type)
    view.add("entry_severity", entry.error_severity, word=word_of(Severity, entry.error_severity))
    view.add("revision", hex_of(entry.revision))
    view.add("validation", entry.validation_bits, word=" ".join(flag_names(EntryValid, entry.validation_bits)))
    view.add("flags", entry.flags, word=" ".join(flag_names(SectionFlag, entry.flags)))
    view.add("error_data_length", len(entry.body))
    for name, value, bit in (
        ("fru_id", guid_text(entry.fru_id), EntryValid.FRU_ID),
        ("fru_text", text_of(entry.fru_text), EntryValid.FRU_TEXT),
    ):
        view.add(name, value, word="" if entry.validation_bits & bit else NOT_VALID)
    if entry_head_size(entry.revision) == DataEntryHead.codec.size:
        _add_time(view, entry.timestamp, valid=bool(entry.validation_bits & EntryValid.TIMESTAMP))
    _add_section(view, section, dialect)
    return view


def first_address(source: bytes) -> int | None:
    """The first physical address that a status block names; None where it names none or is malformed."""
    try:
        entries = StatusBlock.decode(source).entries
        bodies = [decode_section(entry.section_type, entry.body).value for entry in entries]
    except Malformed:
        return None
    return next((address for body in bodies if (address := physical_address(body)) is not None), None)


def physical_address(body: Body | None) -> int | None:
    """The physical address that a section names, where its validation bits cover one."""
    if isinstance(body, MemorySection | MemorySectionOld | MemorySection2):
        return body.physical_address if body.validation_bits & VALID_PA else None
    if isinstance(body, ArmSection):
        bit = 1 << ErrorInfo.valid_bits["physical_fault_address"]
        return next((e.physical_fault_address for e in body.errors if e.validation_bits & bit), None)
    return None


def block_view(source: bytes, dialect: Dialect) -> View:
    """A status block; Malformed where it or a section in it is refused."""
    block = StatusBlock.decode(source)
    view = View(f"status block of {block_length(source)} bytes")
    add_fields(view, StatusBlockHead.decode(source), BLOCK)
    view.add("entry_count", block.block_status >> ENTRY_COUNT_SHIFT & ENTRY_COUNT_MAX, says="as written")
    view.add("len", block_length(source))
    at = HEAD_SIZE
    address = None
    for number, entry in enumerate(block.entries):
        at += entry_head_size(entry.revision)
        section = decode_section(entry.section_type, entry.body, offset=at)
        at += len(entry.body)
        view.parts.append(_entry_view(entry, number, section, dialect))
        address = physical_address(section.value) if address is None else address
    if address is not None:
        view.add("physical_address", hex_of(address))
        view.add("pfn", hex_of(address >> PAGE_SHIFT), says="page frame of 4 KiB")
    if block.raw:
        view.add("raw", block.raw.hex())
    sections: list[Json] = [part.fields for part in view.parts]
    view.fields = {**(view.parts[0].fields if view.parts else {}), **view.fields, "sections": sections}
    view.tell("linux", check(source) or "accepted")
    return view


def prefix_view(source: bytes) -> View:
    """The start of a status block with one memory section, as far as it was dumped."""
    head = StatusBlockHead.decode(source)
    entry = DataEntryHead.decode(source, HEAD_SIZE)
    view = View(f"first {len(source)} bytes of a status block")
    add_fields(view, head, BLOCK)
    view.add("section_type", guid_text(entry.section_type), word=section_name(entry.section_type))
    view.add("entry_severity", entry.error_severity, word=word_of(Severity, entry.error_severity))
    view.add("revision", hex_of(entry.revision))
    view.add("validation", entry.validation_bits)
    view.add("flags", entry.flags)
    view.add("error_data_length", entry.error_data_length)
    body_at = HEAD_SIZE + entry_head_size(ENTRY_REVISION)
    low = int.from_bytes(source[body_at : body_at + 4], "little")
    names = [name for name, bit in MemorySection.valid_bits.items() if low >> bit & 1]
    shorts = " + ".join(_VALIDITY_NAMES.get(name, name) for name in names)
    view.add("mem_validation_low32", f"{hex_of(low)} ({shorts})")
    view.add("total_len", HEAD_SIZE + head.data_length)
    view.add("dumped_bytes", len(source))
    return view


def _descriptor_view(record: Record, number: int, dialect: Dialect) -> View:
    descriptor: SectionDescriptor = record.descriptors[number]
    name = section_name(descriptor.section_type)
    view = View(f"section {number}: {name}")
    view.add("type", guid_text(descriptor.section_type), word=name)
    view.fields["section_name"] = name
    add_fields(view, descriptor, DESCRIPTOR)
    section = decode_section(descriptor.section_type, record.body(number), offset=descriptor.section_offset)
    _add_section(view, section, dialect)
    return view


def record_view(source: bytes, dialect: Dialect) -> View:
    """A CPER record; Malformed where it or a section in it is refused."""
    record = Record.decode(source)
    header: RecordHeader = record.header
    view = View(f"CPER record of {header.record_length} bytes")
    add_fields(view, header, HEADER)
    _add_time(view, header.timestamp, valid=bool(header.validation_bits & HeaderValid.TIMESTAMP))
    notification = {guid: name for name, guid in NOTIFICATION_GUIDS.items()}.get(
        header.notification_type, "unknown"
    )
    view.add("notification_type", guid_text(header.notification_type), word=notification)
    view.fields["notification_name"] = notification
    view.parts += [_descriptor_view(record, number, dialect) for number in range(header.section_count)]
    first = view.parts[0].fields if view.parts else None
    view.fields["section"] = {name: first[name] for name in _SUMMARY} if first is not None else None
    view.fields["sections"] = [part.fields for part in view.parts]
    return view
