"""The lines of Linux's log: indentation, flags in words, hex dumps.

Lines stand without the prefix ``{n}[Hardware Error]: ``; its length is still needed, because flags in words wrap
by the length of the whole line. A character is a byte: Linux's text has no encoding.

Sources: Linux 6.12 drivers/firmware/efi/cper.c cper_print_bits(), lib/hexdump.c print_hex_dump(),
include/linux/printk.h (FW_WARN, HW_ERR).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

_LEVEL_SIZE: Final = 2  # bytes of KERN_ERR and of KERN_WARNING before the prefix
_BITS_LINE_MAX: Final = 80  # bytes of level, prefix and text; a longer line of flags is wrapped
_ROW_SIZE: Final = 16  # bytes in a row of a hex dump
_WORD_SIZE: Final = 4  # bytes in a group; a last row that is no multiple shows single bytes
BEYOND_MAX: Final = 65536  # bytes behind the block that may be dumped; the longest length that Linux bounds


class Fault(Exception):
    """The kernel reads on behind the block until it faults: nothing more is printed."""


def prefix(sequence: int) -> str:
    """What stands before every line of one block."""
    return f"{{{sequence}}}[Hardware Error]: "


class Span(NamedTuple):
    """Some bytes to dump, from the block and from what lies behind it."""

    octets: bytes
    faults: bool  # the kernel would read on behind them until it faults


class Memory:
    """A block and what lies behind it: bytes that were not given read as 0."""

    __slots__ = ("block",)

    def __init__(self, block: bytes) -> None:
        self.block = block

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` (bytes from the start of the block)."""
        return bytes(self.block[offset : offset + size]).ljust(size, b"\0")

    def span(self, offset: int, size: int) -> Span:
        """The bytes of a dump; those of the block alone when the size reaches far beyond it."""
        inside = max(0, len(self.block) - offset)
        faults = size > inside + BEYOND_MAX
        return Span(self.read(offset, inside if faults else size), faults)


class Log:
    """The lines of one block, in order."""

    __slots__ = ("lines", "prefix_size")

    def __init__(self, sequence: int) -> None:
        self.lines: list[str] = []
        self.prefix_size = _LEVEL_SIZE + len(prefix(sequence))  # bytes

    def say(self, indent: int, text: str) -> None:
        """One line, ``indent`` spaces in."""
        self.lines.append(" " * indent + text)

    def blame_firmware(self, text: str) -> None:
        """One line that blames the firmware; Linux prints it without the prefix."""
        self.lines.append("[Firmware Warn]: " + text)

    def say_bits(self, indent: int, bits: int, names: tuple[str, ...]) -> None:
        """The names of the set bits, wrapped as cper_print_bits() does it."""
        line = ""
        for i, name in enumerate(names):
            if not bits >> i & 1:
                continue
            size = self.prefix_size + indent + len(line)
            if line and size + len(name) + 2 > _BITS_LINE_MAX:
                self.say(indent, line)
                line = ""
            line = f"{line}, {name}" if line else name
        if line:
            self.say(indent, line)

    def dump(self, indent: int, span: Span) -> None:
        """A hex dump; Fault behind its last row when the kernel would not stop there."""
        self._dump(indent, span, _hex)

    def dump_with_text(self, indent: int, span: Span) -> None:
        """A hex dump with the characters beside it."""
        self._dump(indent, span, _hex_and_text)

    def _dump(self, indent: int, span: Span, row_of: Callable[[bytes], str]) -> None:
        for at in range(0, len(span.octets), _ROW_SIZE):
            self.say(indent, f"{at:08x}: {row_of(span.octets[at : at + _ROW_SIZE])}")
        if span.faults:
            raise Fault


def _group_size(row: bytes) -> int:
    return 1 if len(row) % _WORD_SIZE else _WORD_SIZE


def _hex(row: bytes) -> str:
    group = _group_size(row)
    return " ".join(row[i : i + group][::-1].hex() for i in range(0, len(row), group))


def _hex_and_text(row: bytes) -> str:
    column = _ROW_SIZE * 2 + _ROW_SIZE // _group_size(row) + 1
    return _hex(row).ljust(column) + "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
