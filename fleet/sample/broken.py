"""Status blocks and CPER records that contradict themselves, one way each.

Every row says what is wrong and makes it; the decoder refuses each of them. Where a section is wrong, the same
body breaks a block and a record. Linux accepts some of these blocks: it does not look into every section.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from fleet.sample.containers import block_of, entry_of, kinds_of, record_with, section_of
from fleet.sample.sections import SECTIONS, BodyKind
from fleet.scenario.draws import Stream
from nodes.spec.arm_ras_section import ENTRY_COUNT_MAX, AuxiliaryHeader
from nodes.spec.arm_ras_section import HEADER_SIZE as RAS_HEADER_SIZE
from nodes.spec.arm_section import CONTEXT_HEAD_SIZE, ERROR_INFO_SIZE, HEADER_SIZE
from nodes.spec.cper import DESCRIPTOR_SIZE, record_of
from nodes.spec.memory_sections import MEMORY_SIZE_OLD
from nodes.spec.sections import BY_GUID
from nodes.spec.status_block import ENTRY_SIZE_OLD, HEAD_SIZE, StatusBlock, entry_head_size

_U16_MAX: Final = 0xFFFF
_U32_MAX: Final = 0xFFFF_FFFF
_BY_NAME: Final = {kind.name: kind for kind in SECTIONS}
_ARM: Final = _BY_NAME["ARM processor"]
_RAS: Final = _BY_NAME["Arm RAS"]
_ENTRY_LENGTH_AT: Final = 24  # error_data_length in a data entry, bytes
_RAS_ENTRY_COUNT_AT: Final = 8
_RAS_ARRAY_OFFSET_AT: Final = 12
_RAS_AUXILIARY_OFFSET_AT: Final = 14
_DESCRIPTOR_AT: Final = 128  # the first one, bytes


class Break(NamedTuple):
    """One way to be wrong."""

    what: str
    make: Callable[[Stream], bytes]


class SectionBreak(NamedTuple):
    """One way for a section to be wrong; ``kind`` gives it its type."""

    what: str
    kind: BodyKind
    make: Callable[[Stream], bytes]


def put(source: bytes, offset: int, code: str, value: int) -> bytes:
    """``source`` with one number (a format character of the struct module) written at ``offset`` (bytes)."""
    changed = bytearray(source)
    struct.pack_into("<" + code, changed, offset, value)
    return bytes(changed)


def _short(kind: BodyKind) -> Callable[[Stream], bytes]:
    size_min = {"memory": MEMORY_SIZE_OLD, "firmware reference": 16, "ARM processor": HEADER_SIZE}
    return lambda stream: (body := kind.draw(stream))[: stream.between(1, size_min.get(kind.name, len(body)) - 1)]


def _arm(offset: int, code: str, value: Callable[[Stream, bytes], int]) -> Callable[[Stream], bytes]:
    """An ARM section with one number replaced."""

    def make(stream: Stream) -> bytes:
        body = _ARM.draw(stream)
        return put(body, offset, code, value(stream, body))

    return make


def _context_size(stream: Stream) -> bytes:
    body = _ARM.draw(stream)
    body = put(body, 4, "H", 1) + bytes(CONTEXT_HEAD_SIZE)
    body = put(put(body, 6, "H", 1), 8, "I", len(body))
    at = HEADER_SIZE + ERROR_INFO_SIZE
    return put(body, at + 4, "I", stream.one_of((len(body), _U32_MAX, _U32_MAX - CONTEXT_HEAD_SIZE + 1)))


def _ras(offset: int, code: str, value: Callable[[Stream, bytes], int]) -> Callable[[Stream], bytes]:
    """An Arm RAS section with one number replaced."""

    def make(stream: Stream) -> bytes:
        body = _RAS.draw(stream)
        return put(body, offset, code, value(stream, body))

    return make


def _auxiliary_size(stream: Stream) -> bytes:
    body = put(_RAS.draw(stream)[:RAS_HEADER_SIZE], _RAS_ENTRY_COUNT_AT, "I", 0)
    body = put(
        put(body, _RAS_ARRAY_OFFSET_AT, "H", RAS_HEADER_SIZE), _RAS_AUXILIARY_OFFSET_AT, "H", RAS_HEADER_SIZE
    )
    size = stream.one_of((0, AuxiliaryHeader.codec.size - 1, AuxiliaryHeader.codec.size + 1, _U32_MAX))
    return body + AuxiliaryHeader(1, 0, 0, size, 0, 0, 0).encode()


SECTION_BREAKS: Final = (
    *(
        SectionBreak(f"{kind.name} section too short", kind, _short(kind))
        for kind in SECTIONS
        if kind.section_type in BY_GUID
    ),
    SectionBreak(
        "ARM section longer than its container", _ARM, _arm(8, "I", lambda s, b: len(b) + s.between(1, 99))
    ),
    SectionBreak("ARM section length of 4 GiB", _ARM, _arm(8, "I", lambda *_: _U32_MAX)),
    SectionBreak("ARM section shorter than its header", _ARM, _arm(8, "I", lambda s, _: s.below(HEADER_SIZE))),
    SectionBreak(
        "ARM section ends in its error information", _ARM, _arm(8, "I", lambda s, _: HEADER_SIZE + s.below(32))
    ),
    SectionBreak("ARM section without error information", _ARM, _arm(4, "H", lambda *_: 0)),
    SectionBreak("ARM section with 65535 errors", _ARM, _arm(4, "H", lambda *_: _U16_MAX)),
    SectionBreak("ARM section with 65535 contexts", _ARM, _arm(6, "H", lambda *_: _U16_MAX)),
    SectionBreak("context longer than its section", _ARM, _context_size),
    SectionBreak(
        "error information of another length",
        _ARM,
        _arm(HEADER_SIZE + 1, "B", lambda s, _: s.one_of((0, ERROR_INFO_SIZE - 1, ERROR_INFO_SIZE + 1, 255))),
    ),
    SectionBreak(
        "Arm RAS section with too many records",
        _RAS,
        _ras(_RAS_ENTRY_COUNT_AT, "I", lambda s, _: s.one_of((ENTRY_COUNT_MAX + 1, _U32_MAX))),
    ),
    SectionBreak("Arm RAS records end outside", _RAS, _ras(_RAS_ENTRY_COUNT_AT, "I", lambda *_: ENTRY_COUNT_MAX)),
    SectionBreak("Arm RAS records in the header", _RAS, _ras(_RAS_ARRAY_OFFSET_AT, "H", lambda s, _: s.below(80))),
    SectionBreak(
        "auxiliary data in the header", _RAS, _ras(_RAS_AUXILIARY_OFFSET_AT, "H", lambda s, _: s.between(1, 79))
    ),
    SectionBreak(
        "auxiliary data outside", _RAS, _ras(_RAS_AUXILIARY_OFFSET_AT, "H", lambda s, b: len(b) - s.below(16))
    ),
    SectionBreak("auxiliary data of a wrong size", _RAS, _auxiliary_size),
)


def _block(stream: Stream) -> StatusBlock:
    """A block without raw data, so that it ends with its last entry; the entry has a body."""
    kinds = (*kinds_of(stream, 0), _BY_NAME["memory 2"])
    return msgspec.structs.replace(block_of(stream, kinds), raw=b"", raw_data_offset=0)


def _last_entry_at(block: StatusBlock) -> int:
    sizes = [entry_head_size(entry.revision) + len(entry.body) for entry in block.entries]
    return HEAD_SIZE + sum(sizes[:-1])


def _with_last_length(change: Callable[[Stream, int], int]) -> Callable[[Stream], bytes]:
    def make(stream: Stream) -> bytes:
        block = _block(stream)
        length = change(stream, len(block.entries[-1].body))
        return put(block.encode(), _last_entry_at(block) + _ENTRY_LENGTH_AT, "I", length)

    return make


def _with_head(offset: int, value: Callable[[Stream, bytes], int]) -> Callable[[Stream], bytes]:
    def make(stream: Stream) -> bytes:
        block = _block(stream).encode()
        return put(block, offset, "I", value(stream, block))

    return make


def _with_raw(
    offset: Callable[[Stream, int], int], length: Callable[[Stream, int], int]
) -> Callable[[Stream], bytes]:
    def make(stream: Stream) -> bytes:
        block = _block(stream).encode()
        block = put(block, 4, "I", offset(stream, len(block)))
        return put(block, 8, "I", length(stream, len(block)))

    return make


def _cut_block(stream: Stream) -> bytes:
    block = _block(stream).encode()
    return block[: stream.between(HEAD_SIZE, len(block) - 1)]


def _block_with(broken: SectionBreak) -> Break:
    def make(stream: Stream) -> bytes:
        entry = msgspec.structs.replace(entry_of(stream, broken.kind), body=broken.make(stream))
        return StatusBlock(1, 0, (entry,)).encode()

    return Break(broken.what, make)


BLOCK_BREAKS: Final = (
    Break("ends in its head", lambda stream: _block(stream).encode()[: stream.below(HEAD_SIZE)]),
    Break("ends in its entries", _cut_block),
    Break("data length holds no entry", _with_head(12, lambda s, _: s.between(1, ENTRY_SIZE_OLD - 1))),
    Break("data length beyond the block", _with_head(12, lambda s, b: len(b) - HEAD_SIZE + s.between(1, 99))),
    Break("data length of 4 GiB", _with_head(12, lambda s, _: _U32_MAX - s.below(64))),
    Break("data length ends in an entry", _with_head(12, lambda s, b: len(b) - HEAD_SIZE - s.between(1, 63))),
    Break("entry longer than the block", _with_last_length(lambda s, length: length + s.between(1, 99))),
    Break("entry shorter than the block", _with_last_length(lambda s, length: length - s.between(1, 63))),
    Break("entry length wraps 32 bits", _with_last_length(lambda s, _: _U32_MAX - s.below(72))),
    Break("raw data inside the entries", _with_raw(lambda s, size: s.below(size), lambda s, _: s.between(1, 64))),
    Break("raw data outside the block", _with_raw(lambda _, size: size, lambda s, _: s.between(1, 64))),
    Break("raw data wraps 32 bits", _with_raw(lambda s, _: _U32_MAX - s.below(16), lambda s, _: 16 + s.below(64))),
    *map(_block_with, SECTION_BREAKS),
)


def _record(stream: Stream) -> bytes:
    return record_with(stream, kinds_of(stream, 0)).encode()


def _with_record(offset: int, code: str, value: Callable[[Stream, bytes], int]) -> Callable[[Stream], bytes]:
    def make(stream: Stream) -> bytes:
        record = _record(stream)
        return put(record, offset, code, value(stream, record))

    return make


def _record_around(broken: SectionBreak) -> Break:
    def make(stream: Stream) -> bytes:
        header = record_with(stream, kinds_of(stream, 0)).header
        body = broken.make(stream) or bytes(1)
        return record_of(header, (msgspec.structs.replace(section_of(stream, broken.kind), body=body),)).encode()

    return Break(broken.what, make)


def _cut_record(stream: Stream) -> bytes:
    record = _record(stream)
    return record[: stream.below(len(record))]


def _over_each_other(stream: Stream) -> bytes:
    """Two sections of one size; the second begins inside the first."""
    record = record_with(stream, kinds_of(stream, 0))
    section = section_of(stream, _RAS)
    twice = record_of(record.header, (section, section)).encode()
    start = _DESCRIPTOR_AT + 2 * DESCRIPTOR_SIZE + stream.below(len(section.body))
    return put(twice, _DESCRIPTOR_AT + DESCRIPTOR_SIZE, "I", start)


RECORD_BREAKS: Final = (
    Break("ends early", _cut_record),
    Break("wrong signature", _with_record(0, "I", lambda s, _: s.below(0x4350_4552))),
    Break("wrong signature end", _with_record(6, "I", lambda s, _: s.below(_U32_MAX))),
    Break("65535 sections", _with_record(10, "H", lambda *_: _U16_MAX)),
    Break("record length ends in the heads", _with_record(20, "I", lambda s, _: s.below(200))),
    Break("record length beyond the record", _with_record(20, "I", lambda s, b: len(b) + s.between(1, 99))),
    Break("record length of 4 GiB", _with_record(20, "I", lambda *_: _U32_MAX)),
    Break("section inside the heads", _with_record(_DESCRIPTOR_AT, "I", lambda s, _: s.below(200))),
    Break("section outside the record", _with_record(_DESCRIPTOR_AT, "I", lambda s, b: len(b) + s.below(99))),
    Break("section offset of 4 GiB", _with_record(_DESCRIPTOR_AT, "I", lambda *_: _U32_MAX)),
    Break("section longer than the record", _with_record(_DESCRIPTOR_AT + 4, "I", lambda _, b: len(b))),
    Break("section length of 4 GiB", _with_record(_DESCRIPTOR_AT + 4, "I", lambda s, _: _U32_MAX - s.below(256))),
    Break("sections over each other", _over_each_other),
    Break("section of length 0", _with_record(_DESCRIPTOR_AT + 4, "I", lambda *_: 0)),
    *map(_record_around, SECTION_BREAKS),
)
