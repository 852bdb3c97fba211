"""The lines of Linux's log: indentation, flags in words, hex dumps.

Lines stand without the prefix ``{n}[Hardware Error]: ``; its length is still needed, because flags in words wrap
by the length of the whole line. A character is a byte: Linux's text has no encoding.

Sources: Linux 6.12 drivers/firmware/efi/cper.c cper_print_bits(), lib/hexdump.c print_hex_dump(),
include/linux/printk.h (FW_WARN, HW_ERR).
"""

from typing import Final

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


class Memory:
    """A block and what lies behind it: bytes that were not given read as 0."""

    __slots__ = ("block",)

    def __init__(self, block: bytes) -> None:
        self.block = block

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` (bytes from the start of the block)."""
        return bytes(self.block[offset : offset + size]).ljust(size, b"\0")


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

    def dump(self, indent: int, memory: Memory, offset: int, size: int, *, text: bool) -> None:
        """A hex dump of ``size`` bytes at ``offset``; ``text`` adds the characters.

        Raises Fault after the last byte of the block when the size reaches far beyond it.
        """
        inside = max(0, len(memory.block) - offset)
        faults = size > inside + BEYOND_MAX
        data = memory.read(offset, inside if faults else size)
        for at in range(0, len(data), _ROW_SIZE):
            self.say(indent, f"{at:08x}: {_row(data[at : at + _ROW_SIZE], text=text)}")
        if faults:
            raise Fault


def _row(row: bytes, *, text: bool) -> str:
    group = 1 if len(row) % _WORD_SIZE else _WORD_SIZE
    shown = " ".join(row[i : i + group][::-1].hex() for i in range(0, len(row), group))
    if not text:
        return shown
    column = _ROW_SIZE * 2 + _ROW_SIZE // group + 1
    return shown.ljust(column) + "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
