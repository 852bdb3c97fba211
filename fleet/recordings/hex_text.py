"""Status blocks and CPER records that stand in a text as hex: dumps of tools, or one on a line.

A dump may come in parts that each begin at offset 0 (QEMU's scripts print head, entry and section one by one): a
part belongs to the piece before it as long as that one's own length asks for more.
"""

import re
from typing import Final, NamedTuple

from fleet.decode.given import row_of
from fleet.recordings import BLOCK_SIZE_MAX
from fleet.recordings.model import TextLine
from nodes.spec.cper import HEADER_SIZE, SIGNATURE
from nodes.spec.status_block import ENTRY_SIZE_OLD, HEAD_SIZE, block_length

_LINE: Final = re.compile(r"\s*(?:0x)?((?:[0-9a-fA-F]{2}[\s,]*)+)")
_LINE_SIZE_MIN: Final = HEAD_SIZE + ENTRY_SIZE_OLD  # bytes; shorter hex on a line is anything
_LENGTH_AT: Final = slice(20, 24)  # of a CPER record


class Piece(NamedTuple):
    """Some bytes and the lines that they stood on."""

    octets: bytes
    lines: tuple[TextLine, ...]


def length_of(octets: bytes) -> int:
    """How many bytes a block or record that begins so will have; 0 where too few are there to tell."""
    if octets[:4] == SIGNATURE:
        return int.from_bytes(octets[_LENGTH_AT], "little") if len(octets) >= HEADER_SIZE else HEADER_SIZE
    return block_length(octets) if len(octets) >= HEAD_SIZE else HEAD_SIZE


class HexText:
    """Collects the pieces of one recording."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._octets = bytearray()
        self._offset = 0  # of the next row in its dump
        self._lines: list[TextLine] = []

    def take(self, number: int, text: str) -> bool:
        """Take the next line; False when it is no hex, or none that goes on where the last one ended."""
        row = row_of(text)
        if row is not None and len(row[1]) <= 16:
            return self._take_row(TextLine(number, text), *row)
        found = _LINE.fullmatch(text)
        octets = bytes.fromhex(found[1].replace(",", " ")) if found is not None else b""
        if len(octets) < _LINE_SIZE_MIN:
            return False
        self.finish()
        self.pieces.append(Piece(octets, (TextLine(number, text),)))
        return True

    def _take_row(self, line: TextLine, offset: int, octets: bytes) -> bool:
        if offset == 0 and len(self._octets) >= length_of(bytes(self._octets)):
            self.finish()
        if offset not in {0, self._offset} or len(self._octets) + len(octets) > BLOCK_SIZE_MAX:
            return False
        self._octets += octets
        self._offset = offset + len(octets)
        self._lines.append(line)
        return True

    def finish(self) -> None:
        """No further row comes."""
        if self._octets:
            self.pieces.append(Piece(bytes(self._octets), tuple(self._lines)))
        self._octets = bytearray()
        self._lines = []
        self._offset = 0
