"""What is told twice becomes one error, and what a kernel did is put beside the error that it did it for.

Doubles: bytes that somebody injected and the record that a kernel then printed of them; a record and the line that
ghes_edac prints of the same section. Outcomes: a page by its frame, a device by its number, a panic by its words;
each goes to the last error before it that fits.

An entry's flags are not printed. Where a kernel soft offlined the page of a corrected error, "threshold exceeded"
was set, and is set here.
"""

from bisect import bisect_left
from collections import defaultdict
from typing import Final

import msgspec

from fleet.recordings.binary import Found, block_at, record_at, too_large
from fleet.recordings.edac import EdacLine, entry_of
from fleet.recordings.hex_text import Piece
from fleet.recordings.host_reader import HostReader
from fleet.recordings.model import ErrorKind, Outcome, OutcomeKind, RecordedError, RecordedHost, TextLine
from fleet.recordings.records import UNKNOWN_SEVERITY, block_of
from nodes.hardware.dram import PAGE_SHIFT
from nodes.linux.dmesg import dmesg
from nodes.policy import Kernel
from nodes.spec.arm_section import ArmSection, ErrorInfoValid
from nodes.spec.cper import SIGNATURE
from nodes.spec.layout import Malformed
from nodes.spec.memory_sections import VALID_PA, MemorySection, MemorySectionOld
from nodes.spec.platform_sections import PCIE_VALID_DEVICE_ID, PcieSection
from nodes.spec.sections import Body, decode_section
from nodes.spec.severity import GhesSeverity, Severity, ghes_severity
from nodes.spec.status_block import SectionFlag, StatusBlock, StatusBlockHead

_SERROR_PANIC: Final = "Asynchronous SError Interrupt"
_RECORD_PANIC: Final = "Fatal hardware error"
_DOUBLE_LINES_MAX: Final = 64  # between a record's first line and the driver's line of the same section
_THRESHOLD: Final = 'the entry\'s flags are not printed; that the page was soft offlined says "threshold exceeded"'


def settle(reader: HostReader, pieces: list[Piece]) -> list[TextLine]:
    """Finish one host of a text. Returns the lines of hex that are neither block nor record."""
    reader.finish_all()
    host = reader.host
    for error in host.errors:
        describe(error)
    refused = _add_pieces(host, pieces)
    _join_edac(host, reader.edac)
    host.errors.sort(key=lambda error: error.first)
    _place_outcomes(host, reader.outcomes)
    return refused


def describe(error: RecordedError) -> None:
    """What the block of an error names, and whether it can be put through."""
    if not error.block:
        return
    error.severity = StatusBlockHead.decode(error.block).error_severity
    if too_large(error.block):
        error.skipped = error.skipped or f"a block of {len(error.block)} bytes, more than any error source holds"
    addresses: list[int] = []
    devices: list[int] = []
    for entry in StatusBlock.decode(error.block).entries:
        try:
            value = decode_section(entry.section_type, entry.body).value
        except Malformed:
            continue
        addresses += addresses_of(value)
        if isinstance(value, PcieSection) and value.validation_bits & PCIE_VALID_DEVICE_ID:
            place = value.segment << 16 | value.bus << 8 | (value.device & 0x1F) << 3 | value.function & 7
            devices.append(place)
    error.addresses, error.devices = tuple(addresses), tuple(devices)


def addresses_of(value: Body | None) -> list[int]:
    """The physical addresses that a section names."""
    if isinstance(value, MemorySection | MemorySectionOld):
        return [value.physical_address] if value.validation_bits & VALID_PA else []
    if isinstance(value, ArmSection):
        valid = ErrorInfoValid.PHYSICAL_ADDRESS
        return [error.physical_fault_address for error in value.errors if error.validation_bits & valid]
    return []


def found_in(piece: Piece) -> Found | None:
    """The block or record in a piece of hex; None when it is neither."""
    read = record_at if piece.octets[:4] == SIGNATURE else block_at
    try:
        return read(piece.octets)
    except Malformed:
        return None


def printed_as(block: bytes) -> str:
    """The lines that a block is printed as: blocks of the same lines cannot be told apart in a log."""
    try:
        return "\n".join(dmesg(block, Kernel.V6_12))
    except Malformed:
        return ""


def _add_pieces(host: RecordedHost, pieces: list[Piece]) -> list[TextLine]:
    """Every piece of hex is an error, unless a kernel printed the same one: then that one gets its bytes."""
    refused: list[TextLine] = []
    printed: dict[str, list[RecordedError]] = defaultdict(list)
    if pieces:
        for error in reversed(host.errors):
            printed[printed_as(error.block) if error.block else ""].append(error)
    for piece in pieces:
        found = found_in(piece)
        if found is None:
            refused += piece.lines
            continue
        first, last = piece.lines[0].number, piece.lines[-1].number
        same = printed.get(printed_as(found.block))
        if same:
            error = same.pop()
            error.doubles.append(f"its bytes on lines {first}-{last}")
        else:
            error = RecordedError(found.kind, host, first, last)
            host.errors.append(error)
        error.block = found.block
        describe(error)
    return refused


def _join_edac(host: RecordedHost, lines: list[EdacLine]) -> None:
    """A driver's line goes to the nearest record with its address; one without a record is an error itself."""
    by_address: dict[int, list[RecordedError]] = defaultdict(list)
    for error in host.errors:
        for address in error.addresses:
            by_address[address].append(error)
    for line in lines:
        candidates = [] if line.address is None else by_address[line.address]
        at = bisect_left(candidates, line.number, key=lambda error: error.first)
        near = [error for error in candidates[max(0, at - 1) : at + 1] if _near(error, line)]
        if near:
            double = min(near, key=lambda error: abs(error.first - line.number))
            double.doubles.append(f"{ErrorKind.EDAC} on line {line.number}")
        else:
            host.errors.append(_edac_error(host, line))


def _near(error: RecordedError, line: EdacLine) -> bool:
    told = any(double.startswith(ErrorKind.EDAC) for double in error.doubles)
    return not told and abs(error.first - line.number) <= _DOUBLE_LINES_MAX


def _edac_error(host: RecordedHost, line: EdacLine) -> RecordedError:
    error = RecordedError(ErrorKind.EDAC, host, line.number, line.number, time_ns=line.time_ns)
    error.block = block_of((entry_of(line),), int(line.severity)).encode()
    error.notes.append("told by EDAC alone: the block is made from its line, for error source 0")
    if line.errors != 1:
        error.notes.append(f"the line stands for {line.errors} errors; one block is presented for them")
    describe(error)
    return error


def _place_outcomes(host: RecordedHost, outcomes: list[Outcome]) -> None:
    """Each outcome goes to the last error before it that fits; one that fits none stays with the host."""
    by_subject: dict[tuple[str, int], RecordedError] = {}
    errors = iter(host.errors)
    error = next(errors, None)
    for outcome in outcomes:
        while error is not None and error.first <= outcome.line:
            by_subject.update(dict.fromkeys(_subjects(error), error))
            error = next(errors, None)
        fitting = by_subject.get(_subject(outcome))
        if fitting is None:
            host.loose.append(outcome)
        elif not (outcome.kind is OutcomeKind.PANIC and fitting.kind is ErrorKind.SERROR):
            fitting.outcomes.append(outcome)
            if outcome.kind is OutcomeKind.SOFT_OFFLINED:
                _mark_threshold(fitting)


def _subjects(error: RecordedError) -> list[tuple[str, int]]:
    """What outcomes of an error can name."""
    subjects = [("page", address >> PAGE_SHIFT) for address in error.addresses]
    subjects += [("address", address) for address in error.addresses]
    subjects += [("device", device) for device in error.devices]
    if error.kind is ErrorKind.SERROR:
        subjects.append(("panic", 1))
    elif ghes_severity(error.severity if error.severity >= 0 else UNKNOWN_SEVERITY) is GhesSeverity.PANIC:
        subjects.append(("panic", 0))
    return subjects


def _subject(outcome: Outcome) -> tuple[str, int]:
    match outcome.kind:
        case OutcomeKind.PANIC if outcome.result.startswith(_SERROR_PANIC):
            return "panic", 1
        case OutcomeKind.PANIC if _RECORD_PANIC in outcome.result:
            return "panic", 0
        case OutcomeKind.RECOVERING:
            return "device", outcome.subject
        case OutcomeKind.BAD_ADDRESS:
            return "address", outcome.subject
        case OutcomeKind.OFFLINED | OutcomeKind.SOFT_OFFLINED | OutcomeKind.SIGNAL:
            return "page", outcome.subject
        case _:
            return "nothing", 0


def _mark_threshold(error: RecordedError) -> None:
    """The flag that makes Linux soft offline a page, in the corrected entries of a block made from text."""
    if error.kind is not ErrorKind.BLOCK or not error.lines or _THRESHOLD in error.notes:
        return
    block = StatusBlock.decode(error.block)
    entries = tuple(
        msgspec.structs.replace(entry, flags=entry.flags | SectionFlag.ERROR_THRESHOLD_EXCEEDED)
        if entry.error_severity == Severity.CORRECTED
        else entry
        for entry in block.entries
    )
    error.block = msgspec.structs.replace(block, entries=entries).encode()
    error.notes.append(_THRESHOLD)
