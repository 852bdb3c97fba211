"""Reads a recording: text line by line, binary piece by piece.

Every line of a text is understood, not understood, or about something else; none is passed over in silence.
Raises Malformed, which names the file, for content that is no recording or passes a bound.
"""

from io import BytesIO
from pathlib import PurePath
from typing import IO, Final

from fleet.recordings import ERRORS_MAX, FILE_SIZE_MAX, HOSTS_MAX, LINE_SIZE_MAX, LISTED_MAX, TEXT_SIZE_MAX
from fleet.recordings.binary import is_binary, read_binary
from fleet.recordings.hex_text import HexText
from fleet.recordings.host_reader import HostReader
from fleet.recordings.kernel_lines import ABOUT_ERRORS
from fleet.recordings.lines import Line, line_of
from fleet.recordings.model import RecordedError, RecordedHost, Recording, TextLine
from fleet.recordings.settle import describe, settle
from nodes.spec.layout import Malformed

_SHOWN_MAX: Final = 300  # characters of a line that is kept because it is not understood
TEXT: Final = "text"
BINARY: Final = "binary"
STANDARD_INPUT: Final = "standard-input"


def load(path: str, file: IO[bytes]) -> Recording:
    """The recording in an open file; it is named without its folders, unless something is wrong with it."""
    name = STANDARD_INPUT if path == "-" else PurePath(path).name
    content = file.read(FILE_SIZE_MAX + 1)
    if len(content) > FILE_SIZE_MAX:
        raise Malformed(path, FILE_SIZE_MAX, f"more than {FILE_SIZE_MAX} bytes: split the file")
    try:
        return read(name, content)
    except Malformed as fault:
        raise Malformed(name if path == "-" else path, fault.offset, fault.reason) from None


def read(name: str, content: bytes) -> Recording:
    """The recording in some content."""
    return _binary(name, content) if is_binary(content) else _TextReader(name, content).read()


def _binary(name: str, content: bytes) -> Recording:
    recording = Recording(name, BINARY, len(content))
    host = RecordedHost(name, "")
    for found in read_binary(name, content):
        error = RecordedError(found.kind, host, found.first, found.last, in_bytes=True, block=found.block)
        describe(error)
        host.errors.append(error)
    recording.hosts.append(host)
    return recording


class _TextReader:
    """Reads one text."""

    def __init__(self, name: str, content: bytes) -> None:
        self.recording = Recording(name, TEXT, len(content))
        self._content = content
        self._hosts: dict[str, HostReader] = {}
        self._hex = HexText()
        self._errors = 0

    def read(self) -> Recording:
        """The recording, settled."""
        recording = self.recording
        for number, raw in enumerate(BytesIO(self._content), 1):
            recording.line_count = number
            self._take(number, raw)
        self._hex.finish()
        bearer = self._bearer()
        for reader in self._hosts.values():
            for line in settle(reader, self._hex.pieces if reader is bearer else []):
                recording.understood -= 1
                reader.host.understood -= 1
                self._refuse(line)
                self._count(reader, understood=False)
        recording.hosts = [reader.host for reader in self._hosts.values()]
        recording.not_understood.sort()
        if not recording.understood:
            raise Malformed(
                recording.name,
                0,
                f"no line of {recording.line_count} is understood; expected lines of a kernel's log with hardware "
                "errors, or status blocks or CPER records, binary or in hex",
            )
        return recording

    def _take(self, number: int, raw: bytes) -> None:
        if len(raw) > LINE_SIZE_MAX:
            self._refuse(TextLine(number, f"{len(raw)} bytes, more than a line has"))
            return
        text = raw.decode("utf-8", errors="surrogateescape").strip("\r\n\0")
        if number == 1:
            text = text.removeprefix("\ufeff")  # what some editors put before a text
        if not text.strip():
            self._pass(number)
            return
        understood, about_errors, host = False, False, None
        for line in line_of(number, text):
            host = self._host_of(line)
            understood = self._understood(host, line) or understood
            about_errors = about_errors or line.hardware or ABOUT_ERRORS.search(line.text) is not None
        if understood:
            self.recording.understood += 1
            self._count(host, understood=True)
        elif about_errors:
            self._refuse(TextLine(number, text))
            self._count(host, understood=False)
        else:
            self._pass(number)

    @staticmethod
    def _count(reader: HostReader | None, *, understood: bool) -> None:
        if reader is not None:
            reader.host.understood += understood
            reader.host.not_understood += not understood

    def _host_of(self, line: Line) -> HostReader | None:
        """The reader of a line's host; None for a line of another program."""
        if line.foreign:
            return None
        reader = self._hosts.get(line.host)
        if reader is None:
            if len(self._hosts) >= HOSTS_MAX:
                raise Malformed(self.recording.name, line.number, f"more than {HOSTS_MAX} hosts: split the file")
            reader = self._hosts[line.host] = HostReader(RecordedHost(self.recording.name, line.host))
        return reader

    def _understood(self, reader: HostReader | None, line: Line) -> bool:
        if reader is None:
            return False
        if len(line.text) <= TEXT_SIZE_MAX and self._told(reader, line):
            return True
        return not line.hardware and self._hex.take(line.number, line.text)

    def _told(self, reader: HostReader, line: Line) -> bool:
        before = len(reader.host.errors)
        understood = reader.take(line)
        self._errors += len(reader.host.errors) - before
        if self._errors > ERRORS_MAX:
            raise Malformed(self.recording.name, line.number, f"more than {ERRORS_MAX} errors: split the file")
        return understood

    def _bearer(self) -> HostReader | None:
        """The host that hex belongs to: the only one with errors, else the one without a name."""
        with_errors = [reader for reader in self._hosts.values() if reader.host.errors]
        if len(with_errors) == 1:
            return with_errors[0]
        return self._hosts.get("", next(iter(self._hosts.values()), None))

    def _refuse(self, line: TextLine) -> None:
        recording = self.recording
        recording.not_understood_count += 1
        if len(recording.not_understood) < LISTED_MAX:
            recording.not_understood.append(TextLine(line.number, line.text[:_SHOWN_MAX]))

    def _pass(self, number: int) -> None:
        other = self.recording.other
        if other and other[-1][1] == number - 1:
            other[-1] = (other[-1][0], number)
        else:
            other.append((number, number))
