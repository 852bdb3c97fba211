"""What was read: recordings, their hosts, the errors of each, and what the recorded kernel did about them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from fleet.recordings.forms import Form

NO_LINE: Final = 0  # lines count from 1


class ErrorKind(StrEnum):
    """What an error was recorded as."""

    BLOCK = "status block"  # what firmware presented to the kernel
    RECORD = "CPER record"  # from a store of records; presented as a status block
    SERROR = "SError"  # taken by the kernel
    SEA = "synchronous external abort"  # likewise
    EDAC = "EDAC"  # told by a memory controller's driver alone


class OutcomeKind(StrEnum):
    """What happened after an error."""

    OFFLINED = "page offlined"
    SOFT_OFFLINED = "page soft offlined"
    SIGNAL = "task signalled"
    RECOVERING = "PCIe recovery"
    PANIC = "panic"
    OOPS = "oops"  # what ran was killed
    BAD_ADDRESS = "address is no memory"
    LOST = "record lost"
    SWALLOWED = "syndrome swallowed"
    RESET = "host reset"


class Outcome(NamedTuple):
    """One thing that happened."""

    kind: OutcomeKind
    subject: int  # page frame number or PCIe device; 0 where there is none
    result: str  # in words
    says: str  # the whole, for people
    line: int = NO_LINE  # where it is recorded


class TextLine(NamedTuple):
    """A line of a recording."""

    number: int
    text: str


@dataclass(slots=True)
class RecordedError:
    """One error that was recorded."""

    kind: ErrorKind
    host: "RecordedHost"
    first: int  # line, or byte in a binary file
    last: int
    in_bytes: bool = False  # first and last are bytes
    lines: list[TextLine] = field(default_factory=list)  # as the kernel printed it
    block: bytes = b""
    source_id: int = 0
    sequence: int = 1  # the n of its prefix
    severity: int = -1  # of the block; -1 where there is none
    esr: int = 0
    far: int = 0  # of an abort
    pe: int = 0
    el: int = 0
    time_ns: int | None = None  # since the host's first line
    at_ns: int = 0  # virtual, when it is put through
    addresses: tuple[int, ...] = ()  # physical, that it names
    devices: tuple[int, ...] = ()  # PCIe devices that it names
    cut: bool = False  # lines are missing
    forms: set[Form] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)  # where else the same error is told
    outcomes: list[Outcome] = field(default_factory=list)
    skipped: str = ""  # why it is not put through

    @property
    def where(self) -> str:
        """Its place in the recording, for people."""
        unit = "byte" if self.in_bytes else "line"
        return f"{unit} {self.first}" if self.first == self.last else f"{unit}s {self.first}-{self.last}"


@dataclass(slots=True)
class RecordedHost:
    """One host of one recording."""

    recording: str  # file name without folders
    recorded_name: str  # empty: the recording names none
    name: str = ""  # of the simulated host
    errors: list[RecordedError] = field(default_factory=list)
    loose: list[Outcome] = field(default_factory=list)  # outcomes without a record before them
    version: str = ""  # of its kernel, where a line names it
    kernel: str = ""  # the modelled version that stands for it
    kernel_why: str = ""
    panic_on_oops: bool = False  # as one of its panics says
    last_line: int = NO_LINE
    line_count: int = 0
    understood: int = 0
    not_understood: int = 0


@dataclass(slots=True)
class Recording:
    """One file."""

    name: str  # without folders
    kind: str  # text, status blocks or CPER records
    size: int  # bytes
    line_count: int = 0
    understood: int = 0
    not_understood: list[TextLine] = field(default_factory=list)
    not_understood_count: int = 0
    other: list[tuple[int, int]] = field(default_factory=list)  # ranges of lines about something else
    hosts: list[RecordedHost] = field(default_factory=list)

    @property
    def errors(self) -> list[RecordedError]:
        """Every error, in the order of the file."""
        return sorted((error for host in self.hosts for error in host.errors), key=lambda error: error.first)

    @property
    def other_count(self) -> int:
        """How many lines are about something else."""
        return sum(last - first + 1 for first, last in self.other)
