"""Registers declared as bit fields.

A register is an immutable integer whose fields have names, positions and an access kind. Two fields over the
same bit, or a field outside the width, fail when the module loads; what a software write does is compiled
there into masks. Readers' code asks fields by name (``status.UET``); the hot path uses the masks
(``status & ErrStatus.UE.mask``), which are plain integers.

Leaves out: registers wider than 64 bits.
"""

from collections.abc import Iterator
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self, overload


class Access(Enum):
    """What a software write does to a field."""

    RW = "takes the written value"
    RO = "keeps its value"
    W1C = "each written 1 clears its bit"


class Field(property):
    """Bits ``msb`` down to ``lsb`` of a register; one bit when ``lsb`` is left out.

    ``says`` is the field's meaning in a few words; ``values`` names its values. Asked of a register it is the
    field's value, asked of the class it is the field: a property, because that is asked often and answered in C.
    """

    def __init__(
        self,
        msb: int,
        lsb: int | None = None,
        *,
        access: Access = Access.RW,
        says: str = "",
        values: type[IntEnum] | None = None,
    ) -> None:
        self.msb = msb
        self.lsb = msb if lsb is None else lsb
        self.access = access
        self.says = says
        self.values = values
        self.mask = (1 << (self.msb + 1)) - (1 << self.lsb)
        assert self.mask > 0, "msb lies below lsb"
        mask, shift = self.mask, self.lsb
        super().__init__(lambda register: (register & mask) >> shift)  # nothing that would hold on to the field

    if TYPE_CHECKING:

        @overload
        def __get__(self, register: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, register: int, owner: type | None = None) -> int: ...
        def __get__(self, register: int | None, owner: type | None = None) -> Self | int: ...

    def placed(self, value: int) -> int:
        """``value`` shifted into position."""
        assert 0 <= value <= self.mask >> self.lsb, f"{value:#x} does not fit bits {self.msb}:{self.lsb}"
        return value << self.lsb

    def name_of(self, value: int) -> str | None:
        """The name of a value of this field; None for a reserved value or an unnamed field."""
        if self.values is None or value not in self.values._value2member_map_:
            return None
        return self.values(value).name


class FieldValue(NamedTuple):
    """One field of one register value, as a reader wants to see it."""

    name: str
    msb: int
    lsb: int
    value: int
    value_name: str | None
    says: str


class Register(int):
    """Base of every declared register."""

    fields: ClassVar[dict[str, Field]] = {}
    width: ClassVar[int] = 0  # bits
    declared: ClassVar[int] = 0  # bits that any field covers
    writable: ClassVar[int] = 0  # bits that take the written value
    cleared_by_one: ClassVar[int] = 0  # bits that a written 1 clears

    def __init_subclass__(cls, width: int) -> None:
        cls.fields = {name: field for name, field in vars(cls).items() if isinstance(field, Field)}
        cls.width = width
        cls.declared = cls.writable = cls.cleared_by_one = 0
        for name, field in cls.fields.items():
            assert field.msb < width, f"{cls.__name__}.{name} lies outside {width} bits"
            assert not cls.declared & field.mask, f"{cls.__name__}.{name} overlaps another field"
            cls.declared |= field.mask
            if field.access is Access.RW:
                cls.writable |= field.mask
            elif field.access is Access.W1C:
                cls.cleared_by_one |= field.mask

    @classmethod
    def of(cls, **values: int) -> Self:
        """The register with the named fields set and every other bit 0."""
        return cls(0).but(**values)

    def but(self, **values: int) -> Self:
        """This register with some fields replaced; for readers' code, not for the hot path."""
        word = int(self)
        for name, value in values.items():
            field = self.fields[name]
            word = word & ~field.mask | field.placed(value)
        return type(self)(word)

    def written(self, value: int) -> Self:
        """This register after software stores ``value`` to it, by its fields' access kinds."""
        kept = self & ~self.writable & ~(value & self.cleared_by_one)
        return type(self)(kept | value & self.writable)

    def explained(self) -> Iterator[FieldValue]:
        """Every field with its value and meaning, highest bit first."""
        for name, field in sorted(self.fields.items(), key=lambda item: -item[1].msb):
            value = (self & field.mask) >> field.lsb
            yield FieldValue(name, field.msb, field.lsb, value, field.name_of(value), field.says)

    def undeclared(self) -> int:
        """The set bits that no field covers: reserved, or newer than the declaration."""
        return self & ~self.declared
