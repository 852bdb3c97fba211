"""Status blocks and CPER records around drawn sections.

The first section's kind follows the index, so that as many samples as there are kinds hold every kind; the rest
is drawn.
"""

from typing import Final

from fleet.decode.containers import HEADER
from fleet.sample.sections import SECTIONS, BodyKind
from fleet.sample.values import layout_of, number, subset, text, timestamp
from fleet.scenario.draws import Stream
from nodes.spec.cper import (
    NOTIFICATION_GUIDS,
    SIGNATURE,
    SIGNATURE_END,
    Record,
    RecordHeader,
    SectionOf,
    record_of,
)
from nodes.spec.sections import BY_GUID
from nodes.spec.severity import Severity, ghes_severity
from nodes.spec.status_block import (
    ENTRY_COUNT_SHIFT,
    ENTRY_REVISION,
    HEAD_SIZE,
    NO_TIME,
    BlockStatus,
    DataEntry,
    StatusBlock,
    entry_head_size,
)

SECTIONS_MAX: Final = 4  # of one block or record
RAW_SIZE_MAX: Final = 64  # bytes
SPARE_SIZE_MAX: Final = 64  # bytes behind the last section of a record
_DECODED: Final = tuple(kind for kind in SECTIONS if kind.section_type in BY_GUID)
_REVISIONS: Final = (ENTRY_REVISION, ENTRY_REVISION, 0x0301, 0x0201, 0x0100)  # of data entries
_RECORD_REVISIONS: Final = (0x0101, 0x0100, 0x0000)
_GUID_SIZE: Final = 16  # bytes


def worst(severities: tuple[int, ...]) -> int:
    """The severity that Linux takes for the worst."""
    return max(severities, key=ghes_severity)


def kinds_of(stream: Stream, index: int) -> tuple[BodyKind, ...]:
    """The kinds of a sample's sections."""
    count = stream.one_of((0, 0, 1, SECTIONS_MAX - 1))
    others = (stream.one_of(_DECODED if stream.chance(3, 4) else SECTIONS) for _ in range(count))
    return (SECTIONS[index % len(SECTIONS)], *others)


def section_type_of(stream: Stream, kind: BodyKind) -> bytes:
    """The GUID of a section; drawn where the kind has none."""
    return kind.section_type or stream.octets(_GUID_SIZE)


def entry_of(stream: Stream, kind: BodyKind) -> DataEntry:
    """One data entry of a status block."""
    revision = stream.one_of(_REVISIONS)
    return DataEntry(
        section_type=section_type_of(stream, kind),
        error_severity=int(stream.one_of(tuple(Severity))),
        body=kind.draw(stream),
        flags=number(stream, 8),
        validation_bits=subset(stream, range(3)),
        revision=revision,
        fru_id=stream.octets(_GUID_SIZE),
        fru_text=text(stream, 20),
        timestamp=timestamp(stream) if entry_head_size(revision) > entry_head_size(0) else NO_TIME,
    )


def _block_status(stream: Stream, severities: tuple[int, ...]) -> int:
    corrected = sum(severity == Severity.CORRECTED for severity in severities)
    uncorrected = len(severities) - corrected
    status = BlockStatus.UNCORRECTED if uncorrected else BlockStatus(0)
    status |= BlockStatus.CORRECTED if corrected else BlockStatus(0)
    status |= BlockStatus.MULTIPLE_UNCORRECTED if uncorrected > 1 else BlockStatus(0)
    status |= BlockStatus.MULTIPLE_CORRECTED if corrected > 1 else BlockStatus(0)
    count = 0 if stream.chance(1, 4) else len(severities)  # QEMU writes 0
    return int(status) | count << ENTRY_COUNT_SHIFT


def block_of(stream: Stream, kinds: tuple[BodyKind, ...]) -> StatusBlock:
    """A status block with sections of these kinds."""
    entries = tuple(entry_of(stream, kind) for kind in kinds)
    severities = tuple(entry.error_severity for entry in entries)
    end = HEAD_SIZE + sum(entry_head_size(entry.revision) + len(entry.body) for entry in entries)
    raw = stream.octets(stream.between(1, RAW_SIZE_MAX)) if stream.chance(1, 4) else b""
    return StatusBlock(
        block_status=_block_status(stream, severities),
        error_severity=worst(severities),
        entries=entries,
        raw=raw,
        raw_data_offset=end + stream.one_of((0, 4, 12)) if raw or stream.chance(1, 4) else 0,
    )


def section_of(stream: Stream, kind: BodyKind) -> SectionOf:
    """One section of a record; an empty body gets a byte, because a record refuses length 0."""
    return SectionOf(
        section_type=section_type_of(stream, kind),
        severity=int(stream.one_of(tuple(Severity))),
        body=kind.draw(stream) or bytes(1),
        flags=number(stream, 8),
        validation_bits=subset(stream, range(2)),
        fru_id=stream.octets(_GUID_SIZE),
        fru_text=text(stream, 20),
        revision=stream.one_of((0x0100, 0x0300, number(stream, 16))),
    )


def record_with(stream: Stream, kinds: tuple[BodyKind, ...]) -> Record:
    """A CPER record with sections of these kinds, perhaps with spare space behind them."""
    sections = tuple(section_of(stream, kind) for kind in kinds)
    header = layout_of(
        stream,
        RecordHeader,
        HEADER,
        signature=SIGNATURE,
        signature_end=SIGNATURE_END,
        revision=stream.one_of(_RECORD_REVISIONS),
        severity=worst(tuple(section.severity for section in sections)),
        validation_bits=subset(stream, range(3)),
        timestamp=timestamp(stream),
        notification_type=stream.one_of((*NOTIFICATION_GUIDS.values(), stream.octets(_GUID_SIZE))),
    )
    record = record_of(header, sections)
    spare = bytes(stream.between(1, SPARE_SIZE_MAX)) if stream.chance(1, 4) else b""
    return Record.decode(_longer(record.encode(), len(spare)) + spare)


def _longer(record: bytes, spare_size: int) -> bytes:
    length = (len(record) + spare_size).to_bytes(4, "little")
    return record[:20] + length + record[24:]
