"""Hex dumps as Linux prints them, row by row, and as tools print them.

A row of a kernel's dump holds words of four bytes, least significant byte last, or single bytes where the row is
no multiple of four; with characters beside it, two blanks stand between. Source: Linux lib/hexdump.c.
"""

import re
from typing import Final

from fleet.recordings import BODY_SIZE_MAX

_ROW: Final = re.compile(r"([0-9a-f]{8}): ([0-9a-f].*)")
_ROW_SIZE: Final = 16  # bytes
_WORD_DIGITS: Final = 8
_BYTE_DIGITS: Final = 2
_TOKEN: Final = re.compile(r"[0-9a-f]+")


class Dump:
    """One dump that is being read. ``size``: how many bytes it will have, where a line before it said so."""

    __slots__ = ("octets", "size")

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self.octets = bytearray()

    @property
    def complete(self) -> bool:
        """Whether every byte that was announced has come."""
        return self.size is None or len(self.octets) >= self.size

    def take(self, text: str) -> bool:
        """Take the next row; False when the line is none, or not the next one."""
        found = _ROW.fullmatch(text.strip(" "))
        if found is None or int(found[1], 16) != len(self.octets):
            return False
        row = _row(found[2])
        if row is None or len(row) > self._room():
            return False
        self.octets += row
        return True

    def _room(self) -> int:
        """Bytes that the next row may have."""
        if self.octets and len(self.octets) % _ROW_SIZE:
            return 0  # a short row was the last
        end = BODY_SIZE_MAX if self.size is None else min(self.size, BODY_SIZE_MAX)
        return min(_ROW_SIZE, end - len(self.octets))

    def filled(self) -> bytes:
        """The bytes, and zeros for those that were announced and did not come."""
        return bytes(self.octets).ljust(min(self.size or 0, BODY_SIZE_MAX), b"\0")


def _row(text: str) -> bytes | None:
    """The bytes of a row, without the characters beside them."""
    tokens = text.split("  ", 1)[0].split(" ")
    width = len(tokens[0])
    if width not in {_WORD_DIGITS, _BYTE_DIGITS}:
        return None
    if not all(len(token) == width and _TOKEN.fullmatch(token) for token in tokens):
        return None
    return b"".join(bytes.fromhex(token)[::-1] for token in tokens)
