"""One record from the lines that Linux prints of a status block, and the block made anew.

The block that is made prints the same lines. What Linux does not print is lost and takes these values: block
status (computed from the severities), raw data (none), revision of an entry (0x0300), its flags (0: so neither
"threshold exceeded" nor "reset"), a severity above 3 (4), time flags but "precise". Sections: see their readers.

Sources: nodes.linux.dmesg; Linux drivers/firmware/efi/cper.c cper_estatus_print(), drivers/acpi/apei/ghes.c
__ghes_print_estatus().
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from fleet.recordings.arm_lines import ArmLines
from fleet.recordings.forms import Form
from fleet.recordings.other_lines import CxlLines, FirmwareLines, SilentLines, UnknownLines
from fleet.recordings.sections import BITS_BEYOND, MemoryLines, PcieLines, ProcessorLines, SectionLines
from nodes.linux.dmesg import CORRECTED, SECTIONS, SEVERITIES, TOO_SMALL
from nodes.policy import Kernel
from nodes.spec.arm_section import ARM_GUID
from nodes.spec.guid import NIL, guid
from nodes.spec.memory_sections import MEMORY_GUID
from nodes.spec.platform_sections import FIRMWARE_GUID, PCIE_GUID, PROCESSOR_GUID
from nodes.spec.sections import section_name
from nodes.spec.severity import Severity, ghes_severity
from nodes.spec.status_block import ENTRY_COUNT_SHIFT, BlockStatus, DataEntry, EntryValid, StatusBlock
from nodes.spec.timestamp import PRECISE

SOURCE_ID_MAX: Final = 0xFFFF
ENTRIES_MAX: Final = 0x3FF  # of one block: ten bits count them
NO_SOURCE: Final = -1
UNKNOWN_SEVERITY: Final = 4
_GUID: Final = r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_TEXT_SIZE: Final = 20  # bytes of a FRU text
_BCD_MAX: Final = 165  # two digits of 15 each
_FRU_TEXT: Final = re.compile(r"fru_text:(?: (.*))?")
_ESCAPED: Final = re.compile(r"\\x(0[1-9a-f]|1[0-9a-f]|7f|[89a-f][0-9a-f]|5c)")  # as dmesg and journal show bytes

_CXL_PROTOCOL_GUID: Final = guid("80b9efb4-52b5-4de3-a777-68784b771048")
_READERS: Final[dict[bytes, Callable[[], SectionLines]]] = {
    PROCESSOR_GUID: ProcessorLines,
    MEMORY_GUID: MemoryLines,
    ARM_GUID: ArmLines,
    PCIE_GUID: PcieLines,
    FIRMWARE_GUID: FirmwareLines,
    _CXL_PROTOCOL_GUID: CxlLines,
}
_BY_NAME: Final = {printed.name: section_type for section_type, printed in SECTIONS[Kernel.V6_12].items()}


class EntryLines:
    """One data entry that is being read."""

    def __init__(self, timestamp: bytes | None) -> None:
        self.severity: int | None = None
        self.timestamp = timestamp
        self.fru_id: bytes | None = None
        self.fru_text: bytes | None = None
        self.section_type = b""
        self.section: SectionLines | None = None
        self.too_small = False

    def begin(self, section_type: bytes, section: SectionLines) -> bool:
        """Its section begins; False when it has one."""
        if self.section is not None:
            return False
        self.section_type, self.section = section_type, section
        return True

    @property
    def cut(self) -> bool:
        """Whether lines are missing at its end."""
        return self.section is None or (not self.too_small and self.section.cut)

    def made(self) -> DataEntry | None:
        """The data entry; None without a section, or when the section cannot be made."""
        body = b"" if self.too_small else None if self.section is None else self.section.body()
        if body is None:
            return None
        valid = EntryValid(0)
        valid |= EntryValid.FRU_ID if self.fru_id is not None else EntryValid(0)
        valid |= EntryValid.FRU_TEXT if self.fru_text is not None else EntryValid(0)
        valid |= EntryValid.TIMESTAMP if self.timestamp is not None else EntryValid(0)
        return DataEntry(
            section_type=self.section_type,
            error_severity=UNKNOWN_SEVERITY if self.severity is None else self.severity,
            body=body,
            validation_bits=int(valid),
            fru_id=self.fru_id or NIL,
            fru_text=(self.fru_text or b"").ljust(_TEXT_SIZE, b"\0"),
            timestamp=self.timestamp or bytes(8),
        )


class _Row(NamedTuple):
    """One line of a record outside its sections."""

    pattern: re.Pattern[str]
    take: Callable[["RecordLines", re.Match[str]], bool]


class RecordLines:
    """One record that is being read, line after line."""

    def __init__(self) -> None:
        self.source_id = NO_SOURCE
        self.severity: int | None = None
        self.entries: list[EntryLines] = []
        self._timestamp: bytes | None = None  # of the next entry

    def take(self, text: str) -> bool:
        """Take the next line (without its prefix); False when it is none of this record."""
        section = self.entries[-1].section if self.entries else None
        if section is not None and section.take(text):
            return True
        named = _FRU_TEXT.fullmatch(text.lstrip(" "))
        if named is not None:
            return self._set_fru_text(named[1] or "")
        line = text.strip(" ")
        for row in _ROWS:
            found = row.pattern.fullmatch(line)
            if found is not None:
                return row.take(self, found)
        return not self.entries and self._begin_inside(text)

    def _begin_inside(self, text: str) -> bool:
        """A log that begins in the middle of a section: the line tells of which type."""
        for section_type, reader in _READERS.items():
            section = reader()
            if section.take(text):
                return self._entry().begin(section_type, section)
        return False

    def blame(self, text: str) -> bool:
        """Take a line that blames the firmware, which Linux prints without the record's prefix."""
        section = self.entries[-1].section if self.entries else None
        if text == TOO_SMALL and section is not None:
            self.entries[-1].too_small = True
            return True
        if text == BITS_BEYOND and isinstance(section, MemoryLines):
            section.bits_beyond = True
            return True
        return False

    def begin_source(self, found: re.Match[str]) -> bool:
        """The line that names the error source; it comes first."""
        if int(found[1]) > SOURCE_ID_MAX or self.begun:
            return False
        self.source_id = int(found[1])
        return True

    @property
    def begun(self) -> bool:
        """Whether any line but that of the source has come."""
        return self.severity is not None or bool(self.entries)

    def set_severity(self, found: re.Match[str]) -> bool:
        """The severity of the whole block."""
        if self.severity is not None:
            return False
        self.severity = severity_of(found[1])
        return True

    def set_time(self, found: re.Match[str]) -> bool:
        """The moment of the next entry."""
        self._timestamp = _timestamp(found)
        return self._timestamp is not None

    def begin_entry(self, found: re.Match[str]) -> bool:
        """The next entry. The first ones may be missing where a log begins in the middle of a record."""
        if len(self.entries) >= ENTRIES_MAX or int(found[1]) < len(self.entries):
            return False
        self.entries.append(EntryLines(self._timestamp))
        self._timestamp = None
        self.entries[-1].severity = severity_of(found[2])
        return True

    def set_fru_id(self, found: re.Match[str]) -> bool:
        """The id of the part."""
        if not self._in_head():
            return False
        self.entries[-1].fru_id = guid(found[1])
        return True

    def _set_fru_text(self, text: str) -> bool:
        """The name of the part, trailing blanks included; bytes that are no characters may be escaped."""
        if not self._in_head():
            return False
        self.entries[-1].fru_text = _octets(text)[:_TEXT_SIZE]
        return True

    def _in_head(self) -> bool:
        return bool(self.entries) and self.entries[-1].section is None

    def begin_section(self, found: re.Match[str]) -> bool:
        """A section of a type that has a name."""
        section_type = _BY_NAME.get(found[1])
        if section_type is None:
            return False
        return self._entry().begin(section_type, _READERS.get(section_type, SilentLines)())

    def begin_unknown(self, found: re.Match[str]) -> bool:
        """A section of a type that the kernel does not know."""
        return self._entry().begin(guid(found[1]), UnknownLines())

    def _entry(self) -> EntryLines:
        """The entry that is being read; where a log begins in the middle of one, its head is missing."""
        if not self.entries:
            self.entries.append(EntryLines(None))
        return self.entries[-1]

    @property
    def forms(self) -> set[Form]:
        """The older forms that were met."""
        return {form for entry in self.entries if entry.section is not None for form in entry.section.forms}

    @property
    def cut(self) -> bool:
        """Whether lines are missing, at its beginning or at its end."""
        return self.severity is None or not self.entries or any(entry.cut for entry in self.entries)

    def block(self) -> bytes | None:
        """The status block; None when nothing tells its severity, or a section is too large for any block."""
        made = [entry.made() for entry in self.entries if entry.section is not None]
        entries = tuple(entry for entry in made if entry is not None)
        if len(entries) < len(made):
            return None
        known = [entry.severity for entry in self.entries if entry.severity is not None]
        if self.severity is None and not known:
            return None
        severity = max(known, key=ghes_severity) if self.severity is None else self.severity
        return block_of(entries, severity).encode()

    def notes(self) -> list[str]:
        """What is to be known of the block beside its lines."""
        named = [
            f'DIMM "{entry.section.named_dimm}" is named by SMBIOS, its handle is not printed'
            for entry in self.entries
            if isinstance(entry.section, MemoryLines) and entry.section.named_dimm
        ]
        short = [
            f"{len(dump.octets)} of {dump.size} bytes of a section are there; zeros stand for the others"
            for entry in self.entries
            if isinstance(entry.section, UnknownLines) and (dump := entry.section.dump) and not dump.complete
        ]
        return [*named, *short, *sorted(form.value for form in self.forms)]


_ROWS: Final = (
    _Row(
        re.compile(r"Hardware error from APEI Generic Hardware Error Source: (\d{1,5})"), RecordLines.begin_source
    ),
    _Row(re.compile(re.escape(CORRECTED)), lambda *_: True),
    _Row(re.compile(r"event severity: (\w+)"), RecordLines.set_severity),
    _Row(
        re.compile(r"(precise|imprecise) tstamp: (\d{4,6})-(\d{2,3})-(\d{2,3}) (\d{2,3}):(\d{2,3}):(\d{2,3})"),
        RecordLines.set_time,
    ),
    _Row(re.compile(r"Error (\d{1,4}), type: (\w+)"), RecordLines.begin_entry),
    _Row(re.compile(rf"fru_id: {_GUID}"), RecordLines.set_fru_id),
    _Row(re.compile(r"section_type: (.*)"), RecordLines.begin_section),
    _Row(re.compile(rf"section type: unknown, {_GUID}"), RecordLines.begin_unknown),
)


def severity_of(word: str) -> int:
    """The number of a severity's word."""
    return SEVERITIES.index(word) if word in SEVERITIES else UNKNOWN_SEVERITY


def block_of(entries: tuple[DataEntry, ...], severity: int) -> StatusBlock:
    """A status block of these entries, its status computed."""
    severities = [entry.error_severity for entry in entries] or [severity]
    corrected = sum(found == Severity.CORRECTED for found in severities)
    uncorrected = len(severities) - corrected
    status = BlockStatus(0)
    status |= BlockStatus.UNCORRECTED if uncorrected else BlockStatus(0)
    status |= BlockStatus.CORRECTED if corrected else BlockStatus(0)
    status |= BlockStatus.MULTIPLE_UNCORRECTED if uncorrected > 1 else BlockStatus(0)
    status |= BlockStatus.MULTIPLE_CORRECTED if corrected > 1 else BlockStatus(0)
    return StatusBlock(int(status) | len(entries) << ENTRY_COUNT_SHIFT, severity, entries)


def section_names(block: StatusBlock) -> str:
    """The sections of a block, for people."""
    return ", ".join(section_name(entry.section_type) for entry in block.entries) or "no section"


def _octets(text: str) -> bytes:
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return plain.encode("latin-1", errors="replace")


def _two_digits(value: int) -> int:
    """The byte that Linux reads as this number: digits up to 15 where it is above 99."""
    high = min(value // 10, 15)
    return high << 4 | value - high * 10


def _timestamp(found: re.Match[str]) -> bytes | None:
    """The eight bytes of a moment; None when a number is more than two digits of 15."""
    whole = found[2]
    for at in range(2, len(whole) - 1):
        century, year = whole[:at], whole[at:]
        if len(century) <= 3 and len(year) <= 3 and max(int(century), int(year)) <= _BCD_MAX:
            break
    else:
        return None
    numbers = [int(found[index]) for index in range(3, 8)]
    if max(numbers) > _BCD_MAX:
        return None
    month, day, hour, minute, second = (_two_digits(number) for number in numbers)
    flags = PRECISE if found[1] == "precise" else 0
    return bytes((second, minute, hour, flags, day, month, _two_digits(int(year)), _two_digits(int(century))))
