"""A decoded value: rows for a reader, and the same facts as one JSON object.

Numbers that stand for registers, addresses or bytes are strings of lower-case hex with ``0x`` in JSON, strings
of bytes are hex without; counts, lengths and small codes are numbers.

How a layout's fields are shown is declared as a table of ``Show``; ``Layout`` gives the values, ``Show`` the
name, the form and the words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag
from typing import Final, NamedTuple

from nodes.spec.bits import Register
from nodes.spec.guid import guid_text
from nodes.spec.layout import Layout, text_of

NOT_VALID: Final = "not valid"  # the structure's validation bits do not cover the field
Json = dict[str, "Json"] | list["Json"] | str | int | bool | None


class Row(NamedTuple):
    """One fact for a reader."""

    name: str
    value: str
    word: str = ""  # the name of the value
    says: str = ""  # what the field means


@dataclass(slots=True)
class View:
    """A decoded value, perhaps of decoded parts."""

    title: str
    fields: dict[str, Json] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    parts: list["View"] = field(default_factory=list)

    def add(self, name: str, value: Json, *, word: str = "", says: str = "") -> None:
        """One fact, in JSON and for a reader."""
        self.fields[name] = value
        self.rows.append(Row(name, shown(value), word, says))

    def tell(self, name: str, prose: str) -> None:
        """One fact in words."""
        self.fields[name] = prose
        self.rows.append(Row(name, "", "", prose))


class Form(Enum):
    """How the value of a field is written in JSON."""

    COUNT = "a number"
    HEX = "hex with 0x"
    GUID = "a GUID in the usual way of writing"
    TEXT = "NUL-padded text"
    OCTETS = "hex without 0x"


class Show(NamedTuple):
    """How one field of a layout is shown."""

    field: str
    name: str = ""  # in JSON; the field's own when empty
    form: Form = Form.COUNT
    words: type[IntEnum] | None = None
    flags: type[IntFlag] | None = None
    register: type[Register] | None = None  # whose fields the value has
    says: str = ""
    covered_by: str = ""  # the field whose validity bit stands for this one too


def hex_of(value: int) -> str:
    """A register, an address or a word of flags."""
    return f"0x{value:x}"


def shown(value: Json) -> str:
    """A JSON value for a reader."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(shown(item) for item in value) if isinstance(value, list) else str(value)


def word_of(names: type[IntEnum], value: int) -> str:
    """The name of a value, in the document's words; "reserved" when it has none."""
    known = names._value2member_map_.get(value)
    return "reserved" if known is None else known.name.lower().replace("_", " ")


def flag_names(flags: type[IntFlag], value: int) -> list[str]:
    """The names of the set flags that are declared, lowest bit first."""
    return [flag.name.lower() for flag in flags if value & flag and flag.name]


def name_of(show: Show) -> str:
    """What a field is called in JSON."""
    return show.name or show.field


def json_of(form: Form, value: int | bytes) -> Json:
    """A stored value in its form."""
    if isinstance(value, int):
        return hex_of(value) if form is Form.HEX else int(value)
    if form is Form.GUID:
        return guid_text(value)
    return text_of(value) if form is Form.TEXT else bytes(value).hex()


def add_fields(view: View, source: Layout, table: Sequence[Show], *, valid: int | None = None) -> None:
    """The fields of a structure, by its table.

    ``valid`` is the structure's validation field: what it does not cover is in JSON all the same and marked for
    a reader.
    """
    for show in table:
        value = getattr(source, show.field)
        word = _words(show, value)
        bit = source.valid_bits.get(show.covered_by or show.field)
        unset = valid is not None and bit is not None and not valid >> bit & 1
        view.add(name_of(show), json_of(show.form, value), word=NOT_VALID if unset else word, says=show.says)
        if show.words is not None:
            view.fields[f"{name_of(show)}_name"] = word
        if show.flags is not None:
            view.fields[f"{name_of(show)}_names"] = list(flag_names(show.flags, value))
        if show.register is not None and not unset:
            view.rows += register_rows(show.register(value), indent="  ")


def _words(show: Show, value: int) -> str:
    if show.words is not None:
        return word_of(show.words, value)
    return " ".join(flag_names(show.flags, value)) if show.flags is not None else ""


def valid_names(source: Layout, table: Sequence[Show], valid: int) -> list[Json]:
    """The JSON names of the fields that the validation field covers."""
    names = {show.field: name_of(show) for show in table}
    return [names.get(field, field) for field, bit in source.valid_bits.items() if valid >> bit & 1]


def register_rows(register: Register, *, indent: str = "") -> Iterator[Row]:
    """Every field of a register with its meaning, highest bit first."""
    for part in register.explained():
        bits = f"[{part.msb}]" if part.msb == part.lsb else f"[{part.msb}:{part.lsb}]"
        value = str(part.value) if part.msb == part.lsb else hex_of(part.value)
        yield Row(f"{indent}{part.name} {bits}", value, part.value_name or "", part.says)
    if register.undeclared():
        yield Row(f"{indent}other bits", hex_of(register.undeclared()))
