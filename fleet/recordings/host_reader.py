"""Reads the lines of one host: records whose lines interleave, and what the kernel said beside them."""

from typing import Final, NamedTuple

from fleet.recordings import OPEN_RECORDS_MAX
from fleet.recordings.clock import Clock
from fleet.recordings.edac import EdacLine, edac_line
from fleet.recordings.kernel_lines import DUMP_ROWS, Tells, known_line
from fleet.recordings.lines import Line
from fleet.recordings.model import ErrorKind, Outcome, OutcomeKind, RecordedError, RecordedHost, TextLine
from fleet.recordings.records import NO_SOURCE, RecordLines
from fleet.recordings.taken import TakenErrors
from nodes.linux.dmesg import CORRECTED
from nodes.linux.memory_failure import ActionResult

_FIRMWARE_WARNS: Final = "[Firmware Warn]: "
_SOURCE: Final = "Hardware error from APEI Generic Hardware Error Source: "
_BEGINS: Final = ("event severity: ", CORRECTED)  # of a record without the line of its source
_SOFT_RESULTS: Final = {"invalidated": ActionResult.RECOVERED, "failed": ActionResult.FAILED}
_TAKEN: Final = frozenset((Tells.SERROR, Tells.ABORT, Tells.ABORT_ENDS))
BOOT_RECORD: Final = "of the boot before (BERT): firmware presents it to no running kernel"


class OpenRecord(NamedTuple):
    """A record whose lines may still come."""

    error: RecordedError
    lines: RecordLines


class HostReader:
    """The state of one host while a recording is read."""

    def __init__(self, host: RecordedHost) -> None:
        self.host = host
        self.clock = Clock()
        self.edac: list[EdacLine] = []
        self.outcomes: list[Outcome] = []
        self._open: dict[int | None, OpenRecord] = {}
        self._last: OpenRecord | None = None
        self._taken = TakenErrors(host)
        self._dumping = False
        self._after_boot = False  # records of the boot before follow

    def take(self, line: Line) -> bool:
        """Take the next line; False when it is not understood."""
        time_ns = self.clock.at(line)
        self.host.line_count += 1
        self.host.last_line = line.number
        return self._take(line, time_ns)

    def _take(self, line: Line, time_ns: int | None) -> bool:
        if line.hardware:
            return self._record_line(line, time_ns)
        if line.text.startswith(_FIRMWARE_WARNS) and self._blame(line):
            return True
        known = known_line(line.text)
        if known is None and self._dumping:
            known = known_line(line.text, DUMP_ROWS)
            self._dumping = known is not None
        if known is None:
            return False
        tells, found = known
        parts = {name: part for name, part in found.groupdict().items() if part is not None}
        return self._told(tells, parts, line, time_ns)

    def _record_line(self, line: Line, time_ns: int | None) -> bool:
        found = self._open.get(line.sequence)
        if found is None or self._begins(line, found):
            record = RecordLines()
            if not record.take(line.text):
                return False
            self._begin(line, time_ns, record)
            return True
        found.error.lines.append(TextLine(line.number, line.text))
        found.error.last = line.number
        self._last = found
        return found.lines.take(line.text)

    @staticmethod
    def _begins(line: Line, found: OpenRecord) -> bool:
        """Whether a line begins another record with the number of one that is open."""
        if line.text.startswith(_SOURCE):
            return True
        return line.sequence is None and found.lines.begun and line.text.startswith(_BEGINS)

    def _begin(self, line: Line, time_ns: int | None, record: RecordLines) -> None:
        error = RecordedError(ErrorKind.BLOCK, self.host, line.number, line.number, time_ns=time_ns)
        error.sequence = 1 if line.sequence is None else line.sequence
        error.lines.append(TextLine(line.number, line.text))
        if self._after_boot and line.sequence is None:
            error.skipped = BOOT_RECORD
        self.host.errors.append(error)
        self.finish(line.sequence)
        self._last = self._open[line.sequence] = OpenRecord(error, record)
        if len(self._open) > OPEN_RECORDS_MAX:
            self.finish(next(iter(self._open)))

    def _blame(self, line: Line) -> bool:
        if self._last is None or not self._last.lines.blame(line.text.removeprefix(_FIRMWARE_WARNS).rstrip(" ")):
            return False
        self._last.error.lines.append(TextLine(line.number, line.text))
        self._last.error.last = line.number
        return True

    def finish(self, sequence: int | None) -> None:
        """No further line of a record comes: its block is made."""
        found = self._open.pop(sequence, None)
        if found is None:
            return
        error, record = found
        error.block = record.block() or b""
        error.cut = record.cut or record.source_id == NO_SOURCE
        error.source_id = max(record.source_id, 0)
        error.forms = record.forms
        error.notes += record.notes()
        if error.cut:
            error.notes.append("cut off: lines are missing at its beginning or its end")
        if not error.block and not error.skipped:
            error.skipped = "too little of it is there, or a section is too large for any block"

    def finish_all(self) -> None:
        """The recording ends."""
        for sequence in list(self._open):
            self.finish(sequence)

    def _told(self, tells: Tells, parts: dict[str, str], line: Line, time_ns: int | None) -> bool:
        """What a line tells goes where it belongs."""
        if tells in _TAKEN:
            if not self._taken.take(tells, parts, TextLine(line.number, line.text), time_ns):
                return False
        elif tells is Tells.EDAC:
            self.edac.append(edac_line(parts, line.number, time_ns))
        elif tells is Tells.VERSION:
            self.host.version = self.host.version or f"{parts['major']}.{parts['minor']}{parts['rest']}"
        elif tells is Tells.BOOT_RECORD:
            self._after_boot = True
        elif tells is not Tells.REMARK:
            outcome = outcome_of(tells, parts, line.number)
            if not (tells is Tells.PANIC and self._taken.panics(outcome)):
                self.outcomes.append(outcome)
        if tells in {Tells.PANIC, *_TAKEN}:
            self._dumping = True
        if self._dumping:
            self._taken.dumped(parts, line.number)
        return True


def outcome_of(tells: Tells, parts: dict[str, str], number: int) -> Outcome:
    """What a line says happened."""
    pfn = int(parts.get("pfn", "0"), 16)
    if tells is Tells.OFFLINED:
        says = f"page {pfn:#x} offlined: {parts['page']}: {parts['result']}"
        return Outcome(OutcomeKind.OFFLINED, pfn, parts["result"], says, number)
    if tells is Tells.SOFT_OFFLINED:
        result = _SOFT_RESULTS[parts["result"]].name.capitalize()
        return Outcome(OutcomeKind.SOFT_OFFLINED, pfn, result, f"page {pfn:#x} soft offlined: {result}", number)
    if tells is Tells.SIGBUS:
        says = f"SIGBUS to {parts.get('task', 'the running task')}"
        return Outcome(OutcomeKind.SIGNAL, pfn, "SIGBUS", says, number)
    if tells is Tells.BAD_ADDRESS:
        address = int(parts["address"], 16)
        return Outcome(OutcomeKind.BAD_ADDRESS, address, "", f"address {address:#x} is no memory", number)
    if tells is Tells.RECOVERING:
        says = f"PCIe recovery of {parts['device']}"
        return Outcome(OutcomeKind.RECOVERING, device_of(parts["device"]), "", says, number)
    assert tells is Tells.PANIC, tells
    return Outcome(OutcomeKind.PANIC, 0, parts["reason"], f"panic: {parts['reason']}", number)


def device_of(text: str) -> int:
    """A PCIe device's number: segment << 16 | bus << 8 | device << 3 | function."""
    segment, bus, rest = text.split(":")
    device, _, function = rest.partition(".")
    return int(segment, 16) << 16 | int(bus, 16) << 8 | int(device, 16) << 3 | int(function, 16)
