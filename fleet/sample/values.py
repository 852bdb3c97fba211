"""Values for the fields of declared structures: edges first, then anything.

Everything is derived from the declarations: the width of a field from its layout, its words, flags and register
from the table that shows it, the validity bits from the layout.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from fleet.decode.view import Show
from fleet.scenario.draws import Stream
from nodes.spec.bits import Register
from nodes.spec.layout import Layout
from nodes.spec.timestamp import Timestamp, timestamp_bytes

L = TypeVar("L", bound=Layout)

_WIDTHS: Final = {"B": 8, "H": 16, "I": 32, "Q": 64}  # bits of a format character
_COUNTING: Final = 0x0123_4567_89AB_CDEF  # each byte once: a wrong byte order shows
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
YEAR_MAX: Final = 9999


def edges(bits: int) -> tuple[int, ...]:
    """The values of ``bits`` bits at which programs fail."""
    top = 1 << bits - 1
    return 0, 1, top - 1, top, 2 * top - 1, _COUNTING >> 64 - bits


def number(stream: Stream, bits: int) -> int:
    """A number of ``bits`` bits: an edge, a single bit, or any."""
    match stream.below(3):
        case 0:
            return stream.one_of(edges(bits))
        case 1:
            return 1 << stream.below(bits)
        case _:
            return stream.draw() >> 64 - bits


def subset(stream: Stream, bits: Iterable[int]) -> int:
    """A mask of some of these bit numbers: none, all, one, or any combination."""
    masks = [1 << bit for bit in bits]
    match stream.below(6):
        case 0:
            return 0
        case 1:
            return sum(masks)
        case 2:
            return stream.one_of(masks)
        case _:
            return sum(mask for mask in masks if stream.chance(1, 2))


def register_of(stream: Stream, kind: type[Register]) -> int:
    """A register whose fields hold edges and named values; no other bit is set."""
    word = 0
    for declared in kind.fields.values():
        bits = declared.msb - declared.lsb + 1
        named = declared.values is not None and stream.chance(3, 4)
        value = int(stream.one_of(list(declared.values or ()))) if named else number(stream, bits)
        word |= declared.placed(value)
    return word


def text(stream: Stream, size: int) -> bytes:
    """A text field: empty, short, full without a NUL, or with bytes behind the NUL."""
    length = stream.one_of((0, 1, size - 1, size, stream.below(size + 1)))
    stored = bytes(stream.one_of(_PRINTABLE) for _ in range(length))
    if length < size - 1 and stream.chance(1, 4):
        stored += b"\0" + stream.octets(size - length - 1)
    return stored.ljust(size, b"\0")


def timestamp(stream: Stream) -> bytes:
    """A moment in eight BCD bytes."""
    return timestamp_bytes(
        Timestamp(
            year=stream.one_of((0, 1999, 2026, YEAR_MAX, stream.between(1970, 2100))),
            month=stream.between(1, 12),
            day=stream.between(1, 31),
            hour=stream.between(0, 23),
            minute=stream.between(0, 59),
            second=stream.between(0, 59),
            precise=stream.chance(1, 2),
        )
    )


def _octets(stream: Stream, name: str, size: int) -> bytes:
    if name in {"brand", "fru_text"}:
        return text(stream, size)
    return bytes(size) if "reserved" in name or stream.chance(1, 4) else stream.octets(size)


def _valued(stream: Stream, show: Show | None, bits: int) -> int:
    if show is not None and stream.chance(3, 4):
        if show.words is not None:
            return int(stream.one_of(list(show.words)))
        if show.flags is not None:
            return subset(stream, (int(flag).bit_length() - 1 for flag in show.flags))
        if show.register is not None:
            return register_of(stream, show.register)
    return number(stream, bits)


def layout_of(stream: Stream, kind: type[L], table: Sequence[Show] = (), **fixed: int | bytes) -> L:
    """A structure of a declared kind with every other field drawn; reserved bytes are 0."""
    shows = {show.field: show for show in table}
    values: dict[str, int | bytes] = {}
    for name, code in kind.wire.items():
        if name in fixed:
            values[name] = fixed[name]
        elif code.endswith("s"):
            values[name] = _octets(stream, name, int(code[:-1]))
        elif name == "validation_bits":
            values[name] = subset(stream, kind.valid_bits.values())
        elif "reserved" in name:
            values[name] = 0
        else:
            values[name] = _valued(stream, shows.get(name), _WIDTHS[code])
    return kind(**values)
