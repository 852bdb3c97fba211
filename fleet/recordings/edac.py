"""Errors that a memory controller's driver tells of: mostly the double of a record that firmware presented.

The driver for firmware-first machines (ghes_edac) prints a line for each memory section that the kernel read. A
line that no record stands beside is an error by itself: its record was not printed, or another driver read the
controller. The page is taken as one of 4 KiB.

Sources: Linux drivers/edac/edac_mc.c edac_mc_printk() and edac_ce_error(), drivers/edac/ghes_edac.c.
"""

import re
from typing import Final, NamedTuple

from fleet.recordings.sections import MemoryLines
from nodes.hardware.dram import PAGE_SHIFT
from nodes.linux.dmesg_sections import MEMORY_ERRORS
from nodes.spec.memory_sections import MEMORY_GUID, VALID_PA, VALID_TYPE, MemorySection
from nodes.spec.severity import Severity
from nodes.spec.status_block import DataEntry

_PAGE: Final = re.compile(r"\bpage:0x([0-9a-f]{1,13})\b")
_OFFSET: Final = re.compile(r"\boffset:0x([0-9a-f]{1,8})\b")
_PART: Final = r"\b(?:node|card|module|rank|bank\w*|device|row|column|bit_position|chip_id): ?\d+ ?"
_LOCATION: Final = re.compile(rf"(?:{_PART})+")
_U64: Final = (1 << 64) - 1


class EdacLine(NamedTuple):
    """One line of a memory controller's driver."""

    number: int
    time_ns: int | None
    errors: int  # that it stands for
    severity: Severity
    what: str
    address: int | None
    where: str


def edac_line(parts: dict[str, str], number: int, time_ns: int | None) -> EdacLine:
    """The line from its parts (nodes.recordings.kernel_lines)."""
    page, offset = _PAGE.search(parts["where"]), _OFFSET.search(parts["where"])
    address = None
    if page is not None and offset is not None:
        address = (int(page[1], 16) << PAGE_SHIFT | int(offset[1], 16)) & _U64
    what, _, _ = parts["what"].partition(" on ")
    return EdacLine(
        number=number,
        time_ns=time_ns,
        errors=int(parts.get("count", "1")),
        severity=Severity.CORRECTED if parts["kind"] == "CE" else Severity.RECOVERABLE,
        what=what,
        address=address,
        where=parts["where"],
    )


def entry_of(line: EdacLine) -> DataEntry:
    """A memory section that says what the line says."""
    place = MemoryLines()
    found = _LOCATION.search(line.where)
    if found is not None:
        place.take(found[0])
    section = MemorySection.decode(place.body())
    valid, kind = section.validation_bits, MEMORY_ERRORS.index(line.what) if line.what in MEMORY_ERRORS else 0
    valid |= VALID_TYPE if kind else 0
    valid |= VALID_PA if line.address is not None else 0
    values = {name: getattr(section, name) for name in MemorySection.wire}
    values |= {"validation_bits": valid, "physical_address": line.address or 0, "memory_error_type": kind}
    return DataEntry(MEMORY_GUID, int(line.severity), MemorySection(**values).encode())
