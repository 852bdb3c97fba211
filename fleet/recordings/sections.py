"""Section bodies from the lines that Linux prints of them: the printer's tables read backwards.

One reader for each section whose lines are a table: generic processor, memory, PCIe. A reader takes line after
line and makes a body of which Linux prints the same lines. What Linux does not print is lost: the brand string of
a processor, the card handle of a memory section, the capability structure and all but the status registers of a
PCIe section, and which of two validity bits asked for one line.

Sources: nodes.linux.dmesg_sections; Linux drivers/firmware/efi/cper.c.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from fleet.recordings.forms import Form
from fleet.recordings.templates import Template, limits_of, stored, template
from nodes.linux.dmesg_sections import AER, AER_CORRECTED, LOCATION, MEMORY, MEMORY_TYPE, PCIE, PROCESSOR, Line
from nodes.spec.memory_sections import (
    BEYOND_OLD,
    VALID_ROW_EXTENDED,
    Extended,
    MemorySection,
    MemorySectionOld,
)
from nodes.spec.platform_sections import PCIE_SLOT_SHIFT, AerCapability, PcieSection, ProcessorSection

_ROW_BITS: Final = 16  # of the row field; two more stand in the extended byte
_BANK_BITS: Final = 8  # of a bank's address in the bank field; its group lies above
BITS_BEYOND: Final = "valid bits set for fields beyond structure"


class SectionLines(Protocol):
    """What reads the lines of one section."""

    forms: set[Form]  # older forms that were met

    def take(self, text: str) -> bool:
        """Take the next line; False when it is none of this section."""

    def body(self) -> bytes | None:
        """The section's body; None when the lines contradict each other."""

    @property
    def cut(self) -> bool:
        """Whether lines are missing at its end."""


class Row(NamedTuple):
    """One line of a table: its pattern, and the validity bits that ask for it."""

    template: Template
    mask: int
    words: tuple[str, ...] = ()
    form: Form | None = None


def rows_of(lines: Iterable[Line]) -> tuple[Row, ...]:
    """The rows of a printer's table."""
    return tuple(Row(template(line.text), line.mask, line.words) for line in lines)


class TableLines:
    """The lines of a table, in any order, each once."""

    def __init__(self, rows: tuple[Row, ...], limits: Mapping[str, int]) -> None:
        self._rows = rows
        self._limits = dict(limits)
        self._met: set[re.Pattern[str]] = set()
        self._words: tuple[str, ...] = ()  # what may follow the last line
        self.values: dict[str, Any] = {}  # numbers
        self.valid = 0  # asks for every line that was met: of several bits the lowest
        self.forms: set[Form] = set()

    def take(self, text: str) -> bool:
        """Take the next line; False when it is none, came before, or holds a number that is too large."""
        for row in self._rows:
            found = row.template.match(text)
            if found is not None:
                return self._keep(row, found)
        return bool(self._words) and all(word in self._words for word in text.strip(" ").split(", "))

    def _keep(self, row: Row, found: dict[str, int]) -> bool:
        held = stored(found, self._limits)
        if held is None or row.template.pattern in self._met:
            return False
        self._met.add(row.template.pattern)
        self.values |= held
        self.valid |= row.mask & -row.mask
        self._words = row.words
        if row.form is not None:
            self.forms.add(row.form)
        return True

    @property
    def cut(self) -> bool:
        """Nothing tells whether a table's line is missing."""
        return False


class ProcessorLines(TableLines):
    """A generic processor section."""

    def __init__(self) -> None:
        super().__init__(rows_of(PROCESSOR), limits_of(ProcessorSection.wire))

    def body(self) -> bytes:
        """The section's body."""
        return ProcessorSection(validation_bits=self.valid, **self.values).encode()


_COMPUTED: Final = {
    "bank_group": 0xFF,
    "bank_address": 0xFF,
    "whole_row": 0x3_FFFF,
    "chip_id": 7,
}  # largest values
_MEMORY_ROWS: Final = (
    Row(template("error_status: 0x{error_status:016x}"), 1, form=Form.STATUS),
    *rows_of((*MEMORY, *MEMORY_TYPE)),
)
_PLACE: Final = re.compile(r"(\w+):( ?)(0x[0-9a-f]{1,16}|\d{1,10})(?: +|$)")
_FIELD: Final = re.compile(r"\{(\w+)")
VALID_ROW: Final = 1 << MemorySection.valid_bits["row"]
_VALID_MODULE_HANDLE: Final = 1 << MemorySection.valid_bits["module_handle"]


class Place(NamedTuple):
    """One part of a memory error's location."""

    field: str
    mask: int


def _places() -> dict[str, Place]:
    """The parts by the word before the colon, from the printer's table."""
    places = {}
    for line in LOCATION:
        found = _FIELD.search(line.text)
        assert found is not None, f"{line.text} has a field"
        places[line.text.split(":")[0]] = Place(found[1], line.mask)
    return places


PLACES: Final = _places()


class MemoryLines(TableLines):
    """A memory section. Its location stands in one line, of the parts that are valid."""

    def __init__(self) -> None:
        super().__init__(_MEMORY_ROWS, {**limits_of(MemorySection.wire), **_COMPUTED})
        self.bits_beyond = False  # printed instead of the fields
        self.named_dimm = ""  # as SMBIOS has it; the handle behind the name is not printed
        self._cut = False

    def take(self, text: str) -> bool:
        """Take the next line."""
        line = text.strip(" ")
        if line.startswith("DIMM location: ") and "not present" not in line:
            self.named_dimm = line.removeprefix("DIMM location: ")
            self.valid |= _VALID_MODULE_HANDLE
            return True
        return super().take(text) or self._location(line)

    def _location(self, line: str) -> bool:
        """Take the location; one that was cut off is taken as far as it goes."""
        at, found, valid, spaced = 0, {}, 0, False
        while (part := _PLACE.match(line, at)) and part[1] in PLACES:
            place = PLACES[part[1]]
            found[place.field] = int(part[3], 16 if part[3].startswith("0x") else 10)
            valid |= place.mask & -place.mask
            spaced = spaced or bool(part[2])
            at = part.end()
        held = stored(found, self._limits)
        rest = line[at:].rstrip(": ")
        if not found or not held or held.keys() & self.values.keys():
            return False
        if rest and not any(name.startswith(rest) for name in PLACES):
            return False
        self._cut = bool(rest)
        self.values |= held
        self.valid |= valid
        if spaced:
            self.forms.add(Form.LOCATION)
        return True

    @property
    def cut(self) -> bool:
        """Whether the location breaks off."""
        return self._cut

    def body(self) -> bytes:
        """The section's body, of 80 bytes unless Linux said that it is shorter."""
        if self.bits_beyond:
            return MemorySectionOld(validation_bits=BEYOND_OLD & -BEYOND_OLD).encode()
        values = {name: value for name, value in self.values.items() if name not in _COMPUTED}
        parts = {name: self.values.get(name, 0) for name in _COMPUTED}
        values.setdefault("bank", parts["bank_group"] << _BANK_BITS | parts["bank_address"])
        row = parts["whole_row"]
        valid = self.valid
        if row >> _ROW_BITS:
            valid = valid & ~VALID_ROW | VALID_ROW_EXTENDED
        values["row"] = row & (1 << _ROW_BITS) - 1
        values["extended"] = Extended.of(CHIP_ID=parts["chip_id"], ROW=row >> _ROW_BITS)
        return MemorySection(validation_bits=valid, **values).encode()


_AER_FIELDS: Final = frozenset(AerCapability.wire)
_PCIE_COMPUTED: Final = {
    "port_type_signed": 0xFFFF_FFFF,
    "slot_number": 0xFFFF >> PCIE_SLOT_SHIFT,
    "class_code_number": 0xFF_FFFF,
}
_PCIE_ROWS: Final = rows_of((*PCIE, *AER_CORRECTED, *AER))


class PcieLines(TableLines):
    """A PCIe section with its AER registers."""

    def __init__(self) -> None:
        super().__init__(
            _PCIE_ROWS, {**limits_of(AerCapability.wire), **limits_of(PcieSection.wire), **_PCIE_COMPUTED}
        )

    def body(self) -> bytes:
        """The section's body."""
        values: dict[str, Any] = {}
        aer: dict[str, int] = {}
        for name, value in self.values.items():
            if name not in _PCIE_COMPUTED:
                (aer if name in _AER_FIELDS else values)[name] = value
        if "uncorrectable_status" in aer and "correctable_status" not in aer:
            self.forms.add(Form.AER)
        size = int(PcieSection.wire["aer"][:-1])
        return PcieSection(
            validation_bits=self.valid,
            port_type=self.values.get("port_type_signed", 0),
            slot=self.values.get("slot_number", 0) << PCIE_SLOT_SHIFT,
            class_code=self.values.get("class_code_number", 0).to_bytes(3, "little"),
            aer=AerCapability(**aer).encode().ljust(size, b"\0"),
            **values,
        ).encode()
