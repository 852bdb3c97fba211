"""What the user gave: a value, a file or standard input, as bytes or as one number.

Hex is taken as people have it: ``0x...``, plain digits with or without spaces, and the dumps of xxd, hexdump, od
and QEMU's scripts, whose other lines are passed over. Several dumps that each begin at offset 0 are parts of one
piece. Everything that is not text is binary.
"""

import re
from pathlib import Path
from typing import BinaryIO, Final

from nodes.spec.layout import Malformed

SIZE_MAX: Final = 16 * 1024 * 1024  # bytes; more input is refused
NUMBER_BITS: Final = 64
_NUMBER: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,16})")
_DIGITS: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]+)")
_ROW: Final = re.compile(r"\s*([0-9a-fA-F]{4,16})(?::\s*|\s{2,})(\S.*)")
_ROW_OF_OD: Final = re.compile(r"([0-9a-fA-F]{6,7}) ((?:[0-9a-fA-F]{2} ?)+|(?:[0-9a-fA-F]{4} ?)+)\s*")
_CANONICAL: Final = re.compile(r"((?:[0-9a-fA-F]{2}\s+)+)\|.{1,16}\|\s*")  # hexdump -C
_TEXT: Final = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}
_ROW_SIZE: Final = 16  # bytes; dumps begin on a multiple
_WORD_DUMP_OFFSET_DIGITS: Final = 7  # hexdump without options shows 16-bit words, low byte second


class NotGiven(ValueError):
    """The value is neither hex nor a file that can be read."""


def load(value: str, standard_input: BinaryIO) -> bytes:
    """The content that ``value`` names or is.

    Raises NotGiven for a value that is neither, Malformed for more than SIZE_MAX bytes.
    """
    if value == "-":
        content = standard_input.read(SIZE_MAX + 1)
    elif not value.startswith("0x") and _is_file(value):
        content = _file_content(value)
    else:
        content = value.encode("utf-8", errors="surrogateescape")
        if not re.fullmatch(r"[0-9a-fA-FxX\s,:-]+", value):
            raise NotGiven(f"{value[:60]!r} is neither hex nor a file")
    if len(content) > SIZE_MAX:
        raise Malformed("input", SIZE_MAX, f"more than {SIZE_MAX} bytes")
    return content


def _is_file(value: str) -> bool:
    try:
        return bool(value) and Path(value).exists()
    except (OSError, ValueError):  # a value too long for a name, or with a NUL in it
        return False


def _file_content(value: str) -> bytes:
    try:
        with Path(value).open("rb") as file:
            return file.read(SIZE_MAX + 1)
    except OSError as fault:
        raise NotGiven(f"{value}: {fault.strerror}") from None


def text_of(content: bytes) -> str | None:
    """The content as text, stripped; None when it is binary."""
    return content.decode("ascii").strip() if content and _TEXT.issuperset(content) else None


def is_number(content: bytes) -> bool:
    """Whether the content is one number of at most 64 bits."""
    text = text_of(content)
    return text is not None and _NUMBER.fullmatch(text) is not None


def number_of(content: bytes) -> int:
    """The one number in the content; Malformed when it is none or has more than 64 bits."""
    text = text_of(content)
    found = _NUMBER.fullmatch(text) if text is not None else None
    if found is None:
        raise Malformed("number", 0, f"not one hexadecimal number of at most {NUMBER_BITS} bits")
    return int(found[1], 16)


def octets_of(content: bytes) -> bytes:
    """The bytes in the content: itself when it is binary, what its hex stands for when it is text."""
    text = text_of(content)
    if text is None:
        return content
    dumped = _dumped(text)
    return _digits(text) if dumped is None else dumped


def _digits(text: str) -> bytes:
    joined = []
    for token in re.finditer(r"[^\s,]+", text):
        found = _DIGITS.fullmatch(token[0])
        if found is None or len(found[1]) % 2:
            raise Malformed("hex text", token.start(), f"{token[0][:40]!r} is not whole bytes of hex")
        joined.append(found[1])
    return bytes.fromhex("".join(joined))


def row_of(line: str) -> tuple[int, bytes] | None:
    """Offset and bytes of one row of a dump; None for any other line."""
    of_od = _ROW_OF_OD.fullmatch(line)
    if of_od is not None:
        tokens = of_od[2].split()
        swap = len(of_od[1]) == _WORD_DUMP_OFFSET_DIGITS and len(tokens[0]) == 4
        words = (bytes.fromhex(token)[:: -1 if swap else 1] for token in tokens)
        return int(of_od[1], 16), b"".join(words)
    row = _ROW.fullmatch(line)
    if row is None or int(row[1], 16) % _ROW_SIZE:
        return None
    canonical = _CANONICAL.fullmatch(row[2])
    digits = canonical[1] if canonical else re.split(r"\s{2,}", row[2], maxsplit=1)[0]
    tokens = [_DIGITS.fullmatch(token) for token in digits.split()]
    if any(token is None or len(token[1]) % 2 for token in tokens):
        return None
    return int(row[1], 16), bytes.fromhex("".join(token[1] for token in tokens if token is not None))


def _dumped(text: str) -> bytes | None:
    """The bytes of all dumps in the text; None when there is no dump in it."""
    dumped = bytearray()
    last, expected, repeated = b"", -1, False
    for line in text.splitlines():
        if line.strip() == "*":
            repeated = True
            continue
        row = row_of(line)
        if row is None:
            continue
        offset, octets = row
        if repeated and offset > expected >= 0 and offset <= SIZE_MAX and last:
            dumped += (last * -(-(offset - expected) // len(last)))[: offset - expected]
        elif expected >= 0 and offset not in {0, expected}:
            raise Malformed("dump", len(dumped), f"row at {offset:#x}, expected {expected:#x}")
        dumped += octets
        last, expected, repeated = octets, offset + len(octets), False
    return bytes(dumped) if expected >= 0 else None
