"""A printed line as a pattern: the text of a printer's table read backwards.

The tables of nodes.linux declare a line as a text with fields (``command: 0x{command:04x}``). Compiled here, the
same text finds the fields again, so reader and printer have one declaration. What stands in ``{..._name}`` only
puts a number beside it into words and is passed over.
"""

import re
from functools import lru_cache
from string import Formatter
from typing import Final, NamedTuple

_HEX_DIGITS_MAX: Final = 16  # of 64 bits
_DECIMAL_DIGITS_MAX: Final = 20  # of 64 bits
_WORDS: Final = "_name"  # end of a field's name that holds words
_U32: Final = 0xFFFF_FFFF
_SIGN: Final = 1 << 31
_WIDTHS: Final = {"B": 8, "H": 16, "I": 32, "Q": 64}  # bits of a format character


class Template(NamedTuple):
    """A line's pattern and the base of each of its numbers."""

    pattern: re.Pattern[str]
    bases: dict[str, int]

    def match(self, text: str) -> dict[str, int] | None:
        """The numbers in a line; None when it is another line. Blanks before and behind it do not count."""
        found = self.pattern.fullmatch(text.strip(" "))
        if found is None:
            return None
        return {name: int(found[name], base) for name, base in self.bases.items()}


@lru_cache(maxsize=1024)
def template(text: str) -> Template:
    """The pattern of a declared line."""
    parts = []
    bases = {}
    for literal, field, spec, _ in Formatter().parse(text.strip(" ")):
        parts.append(re.escape(literal))
        if field is None:
            continue
        if field.endswith(_WORDS):
            parts.append(".*")
            continue
        bases[field] = 16 if spec and spec.endswith("x") else 10
        least = int(spec[:-1]) if spec and spec.startswith("0") else 1  # a cut line has fewer digits: no number
        hexadecimal = f"[0-9a-f]{{{least},{_HEX_DIGITS_MAX}}}"
        digits = hexadecimal if bases[field] == 16 else rf"-?\d{{1,{_DECIMAL_DIGITS_MAX}}}"
        parts.append(f"(?P<{field}>{digits})")
    return Template(re.compile("".join(parts)), bases)


def stored(values: dict[str, int], limits: dict[str, int]) -> dict[str, int] | None:
    """The numbers as their fields hold them; None when one does not fit. C's %d prints 32 bits with a sign."""
    held = {name: value & _U32 if limits[name] == _U32 else value for name, value in values.items()}
    inside = all(value >= -_SIGN and 0 <= held[name] <= limits[name] for name, value in values.items())
    return held if inside and all(value <= limits[name] for name, value in values.items()) else None


def limits_of(wire: dict[str, str]) -> dict[str, int]:
    """The largest value of each number of a layout, from its format characters."""
    return {name: (1 << _WIDTHS[code]) - 1 for name, code in wire.items() if code in _WIDTHS}
