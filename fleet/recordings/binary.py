"""Status blocks and CPER records as bytes, one or several back to back; zeros between and behind them are room.

A record from a store (ERST, pstore) becomes the block that firmware could have presented for it: its sections as
data entries of revision 0x0300, with the record's time, and the low byte of a section's flags.

Sources: ACPI 6.5 18.3.2.7.1; UEFI 2.11 appendix N.2; Linux drivers/acpi/apei/erst.c.
"""

import re
from typing import Final, NamedTuple

from fleet.recordings import BLOCK_SIZE_MAX, ERRORS_MAX
from fleet.recordings.model import ErrorKind
from fleet.recordings.records import block_of
from nodes.linux.estatus import check
from nodes.spec.cper import SIGNATURE, DescriptorValid, HeaderValid, Record
from nodes.spec.layout import Malformed
from nodes.spec.status_block import HEAD_SIZE, DataEntry, EntryValid, block_length

_NOT_ZERO: Final = re.compile(rb"[^\0]")
_OTHER_FORMATS: Final = {
    b"\x1f\x8b": "compressed with gzip: gunzip it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unzstd it first",
    b"\xfd7zXZ": "compressed with xz: unxz it first",
    b"BZh": "compressed with bzip2: bunzip2 it first",
    b"LPKSHHRH": "a binary journal: print it with journalctl --file",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
}


class Found(NamedTuple):
    """One block, or one record as a block."""

    kind: ErrorKind
    block: bytes
    first: int  # byte in the file
    last: int


def is_binary(content: bytes) -> bool:
    """Whether some content is no text: a record by its signature, a block by the zeros in its head."""
    return content[:4] == SIGNATURE or 0 in content[:HEAD_SIZE] or other_format(content) is not None


def other_format(content: bytes) -> str | None:
    """What a file is that nobody here reads, and what to do; None for anything else."""
    return next((says for magic, says in _OTHER_FORMATS.items() if content.startswith(magic)), None)


def read_binary(name: str, content: bytes) -> list[Found]:
    """Everything in some content. Raises Malformed, which names the file, where it is neither block nor record."""
    other = other_format(content)
    if other is not None:
        raise Malformed(name, 0, other)
    found: list[Found] = []
    at = 0
    while at < len(content):
        at = _next(content, at)
        if at >= len(content):
            break
        if len(found) >= ERRORS_MAX:
            raise Malformed(name, at, f"more than {ERRORS_MAX} errors: split the file")
        found.append(_one(name, content, at, len(found)))
        at = found[-1].last + 1
    if not found:
        raise Malformed(name, 0, "nothing but zeros; expected status blocks or CPER records")
    return found


def _next(content: bytes, at: int) -> int:
    """Where something begins: the first byte of a signature, or of a block status, is no zero."""
    found = _NOT_ZERO.search(content, at)
    return len(content) if found is None else found.start()


def _one(name: str, content: bytes, at: int, before: int) -> Found:
    """The block or record at a place."""
    try:
        return record_at(content, at) if content[at : at + 4] == SIGNATURE else block_at(content, at)
    except Malformed as fault:
        raise Malformed(
            name,
            fault.offset,
            f"{fault.reason}; expected a status block or a CPER record, after {before} of them; "
            "nothing of the file was put through",
        ) from None


def block_at(content: bytes, at: int = 0) -> Found:
    """The status block at a place. Raises Malformed where Linux refuses it."""
    head = content[at : at + HEAD_SIZE]
    if len(head) < HEAD_SIZE:
        raise Malformed("block", at, f"{len(head)} bytes, a status block has at least {HEAD_SIZE}")
    length = block_length(head)
    if not HEAD_SIZE <= length <= len(content) - at:
        raise Malformed("block", at, f"a status block of {length} bytes, {len(content) - at} are there")
    block = content[at : at + length]
    refused = check(block)
    if refused is not None:
        raise Malformed("block", at, f"a status block that Linux refuses ({refused})")
    return Found(ErrorKind.BLOCK, block, at, at + length - 1)


def record_at(content: bytes, at: int = 0) -> Found:
    """The CPER record at a place, as a block. Raises Malformed."""
    record = Record.decode(content, at)
    return Found(ErrorKind.RECORD, block_of_record(record), at, at + record.header.record_length - 1)


def block_of_record(record: Record) -> bytes:
    """The block that firmware could have presented for a record."""
    timed = EntryValid.TIMESTAMP if record.header.validation_bits & HeaderValid.TIMESTAMP else EntryValid(0)
    entries = []
    for index, descriptor in enumerate(record.descriptors):
        valid = timed
        valid |= EntryValid.FRU_ID if descriptor.validation_bits & DescriptorValid.FRU_ID else EntryValid(0)
        valid |= EntryValid.FRU_TEXT if descriptor.validation_bits & DescriptorValid.FRU_TEXT else EntryValid(0)
        entries.append(
            DataEntry(
                section_type=descriptor.section_type,
                error_severity=descriptor.severity,
                body=record.body(index),
                flags=descriptor.flags & 0xFF,
                validation_bits=int(valid),
                fru_id=descriptor.fru_id,
                fru_text=descriptor.fru_text,
                timestamp=record.header.timestamp,
            )
        )
    return block_of(tuple(entries), record.header.severity).encode()


def too_large(block: bytes) -> bool:
    """Whether a block does not fit into a command."""
    return len(block) > BLOCK_SIZE_MAX
