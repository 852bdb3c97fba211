"""Binary structures declared as data: little-endian, packed, size checked on load.

A layout is a list of annotated fields. ``layout`` compiles the declaration into one ``struct.Struct`` when the
module loads, so reading or writing a structure costs one call, whatever the declaration looks like. Structures
of variable size are walked by code beside their heads; ``Reader`` is what that code reads with.

Bytes that do not follow a layout raise ``Malformed``, which names the structure, the offset and the reason. No
other exception leaves a decoder.
"""

import struct
from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar, get_type_hints

import msgspec


class Malformed(ValueError):
    """The bytes do not follow the layout: the writer is at fault, not this program."""

    def __init__(self, what: str, offset: int, reason: str) -> None:
        super().__init__(f"{what} at offset {offset}: {reason}")
        self.what = what
        self.offset = offset  # bytes from the start of what was given
        self.reason = reason


class Wire(NamedTuple):
    """How a field lies in memory."""

    code: str  # format character of the struct module, with a count for octets


u8 = Annotated[int, Wire("B")]
u16 = Annotated[int, Wire("H")]
u32 = Annotated[int, Wire("I")]
u64 = Annotated[int, Wire("Q")]
Octets2 = Annotated[bytes, Wire("2s")]
Octets3 = Annotated[bytes, Wire("3s")]
Octets4 = Annotated[bytes, Wire("4s")]
Octets6 = Annotated[bytes, Wire("6s")]
Octets7 = Annotated[bytes, Wire("7s")]
Octets8 = Annotated[bytes, Wire("8s")]
Octets12 = Annotated[bytes, Wire("12s")]
Octets16 = Annotated[bytes, Wire("16s")]
Octets24 = Annotated[bytes, Wire("24s")]
Octets28 = Annotated[bytes, Wire("28s")]
Octets60 = Annotated[bytes, Wire("60s")]
Octets96 = Annotated[bytes, Wire("96s")]
Guid = Annotated[bytes, Wire("16s")]  # as it lies in memory: first three groups little-endian
Text20 = Annotated[bytes, Wire("20s")]  # ASCII, padded with NUL
Text128 = Annotated[bytes, Wire("128s")]  # ASCII, padded with NUL


class Layout(msgspec.Struct, frozen=True, gc=False):
    """Base of every declared structure."""

    codec: ClassVar[struct.Struct]
    values: ClassVar[Callable[[Any], tuple[int | bytes, ...]]]
    wire: ClassVar[dict[str, str]]  # field name -> struct format
    valid_bits: ClassVar[dict[str, int]] = {}  # field name -> its bit in the structure's validation field

    def encode(self) -> bytes:
        """The structure as bytes, ``codec.size`` long."""
        return self.codec.pack(*type(self).values(self))

    @classmethod
    def decode(cls, source: bytes, offset: int = 0) -> Self:
        """The structure at ``offset`` (bytes) of ``source``; longer input is no fault.

        Raises Malformed when ``source`` ends before the structure does.
        """
        if offset < 0 or len(source) < offset + cls.codec.size:
            left = max(0, len(source) - offset)
            raise Malformed(cls.__name__, offset, f"needs {cls.codec.size} bytes, {left} are left")
        return cls(*cls.codec.unpack_from(source, offset))


L = TypeVar("L", bound=Layout)


def layout(size: int) -> Callable[[type[L]], type[L]]:
    """Class decorator: compile the fields; ``size`` (bytes, from the document) must match them."""

    def compiled(declared: type[L]) -> type[L]:
        hints = get_type_hints(declared, include_extras=True)
        names = declared.__struct_fields__
        declared.wire = {name: hints[name].__metadata__[0].code for name in names}
        declared.codec = struct.Struct("<" + "".join(declared.wire.values()))
        declared.values = (
            attrgetter(*names) if len(names) > 1 else lambda structure: (getattr(structure, names[0]),)
        )
        assert declared.codec.size == size, f"{declared.__name__}: {declared.codec.size} != {size} bytes"
        unknown = set(declared.valid_bits) - set(names)
        assert not unknown, f"{declared.__name__}: validity bits of no field: {unknown}"
        return declared

    return compiled


def padded(text: str | bytes, size: int) -> bytes:
    """ASCII text as a fixed field of ``size`` bytes, padded with NUL."""
    stored = text.encode("ascii") if isinstance(text, str) else bytes(text)
    assert len(stored) <= size, f"{stored!r} is longer than {size} bytes"
    return stored.ljust(size, b"\0")


def text_of(stored: bytes) -> str:
    """A NUL-padded text field; bytes that are not ASCII show as backslash escapes."""
    return bytes(stored).split(b"\0", 1)[0].decode("ascii", errors="backslashreplace")


class Reader:
    """Walks the bytes of one structure and refuses lengths that lie.

    ``limit`` is where the container ends, ``at`` the next byte; offsets in Malformed count from ``base``.
    """

    __slots__ = ("at", "base", "limit", "source", "what")

    def __init__(self, source: bytes, what: str, *, base: int = 0, limit: int | None = None) -> None:
        self.source = source
        self.what = what
        self.base = base
        self.at = 0
        self.limit = len(source) if limit is None else limit

    def left(self) -> int:
        """Bytes between here and the end of the container."""
        return self.limit - self.at

    def refuse(self, reason: str) -> Malformed:
        """The exception for a fault at this place."""
        return Malformed(self.what, self.base + self.at, reason)

    def take(self, size: int, name: str) -> bytes:
        """The next ``size`` bytes; Malformed when the container ends first."""
        if not 0 <= size <= self.limit - self.at:
            raise self.refuse(f"{name} needs {size} bytes, {self.left()} are left")
        self.at += size
        return bytes(self.source[self.at - size : self.at])

    def take_layout(self, kind: type[L]) -> L:
        """The next structure of a declared kind."""
        return kind.decode(self.take(kind.codec.size, kind.__name__))
