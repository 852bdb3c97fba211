"""Names of hosts by pattern, and back: a host's number in its group follows from its name by arithmetic.

``host-{:04d}`` counts through the group. ``r{region}-w{row}-k{rack:03d}-h{host:02d}`` counts each level within the
one above it, from 0. The outermost number of a name has no bound, so a group can be stretched.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from fleet.scenario.spans import NOBODY, Spans

LEVELS: Final = ("region", "row", "rack", "host")  # from the outermost in
DIGITS_MAX: Final = 20  # of a number in a name; a wider place for it is refused
NUMBER_MAX: Final = 10 ** (DIGITS_MAX + 1)  # no number in a name is as large
_NUMBER: Final = re.compile(r"\{([a-z]*)(?::0([0-9]+)d)?\}")
_WILD: Final = re.compile(r"[*?\[]")  # what is not itself in a shell pattern


class Numeral(NamedTuple):
    """A number within a name."""

    before: str  # text in front of it
    width: int  # digits, zero-padded; 0: as many as needed
    level: str = ""  # what it counts; empty: the hosts of the group
    stride: int = 1  # hosts of the group for one of it
    radix: int = 0  # where it begins again; 0: never


@dataclass(frozen=True)
class NamePattern:
    """A name with its numbers, from the outermost in."""

    numerals: tuple[Numeral, ...]
    after: str

    @property
    def text(self) -> str:
        """The pattern as a scenario has it."""
        places = (f"{n.before}{{{n.level}{f':0{n.width}d' if n.width else ''}}}" for n in self.numerals)
        return "".join(places) + self.after

    @cached_property
    def _written(self) -> tuple[str, list[tuple[int, int]]]:
        """A name with a `%` for each number, and the stride and radix of each."""
        fixed = [text.replace("%", "%%") for text in (*(n.before for n in self.numerals), self.after)]
        places = [f"%0{numeral.width}d" if numeral.width else "%d" for numeral in self.numerals]
        text = "".join(text + place for text, place in zip(fixed, [*places, ""], strict=True))
        return text, [(numeral.stride, numeral.radix or NUMBER_MAX) for numeral in self.numerals]

    def name(self, number: int) -> str:
        """The name of one host."""
        text, steps = self._written
        return text % tuple([number // stride % radix for stride, radix in steps])

    def number(self, name: str) -> int:
        """The number of a name; -1 when the pattern does not make it."""
        rest = name.removesuffix(self.after) if self.after else name
        number = 0
        for numeral, following in zip(self.numerals, (*self.numerals[1:], None), strict=True):
            if not rest.startswith(numeral.before):
                return -1
            rest = rest[len(numeral.before) :]
            digits = rest if following is None else rest.partition(following.before)[0]
            if not digits.isascii() or not digits.isdigit() or len(digits) > DIGITS_MAX:
                return -1
            number += int(digits) * numeral.stride
            rest = rest[len(digits) :]
        return number if self.name(number) == name else -1

    def counting(self, sizes: Sequence[int]) -> "NamePattern":
        """The pattern for so many regions, rows of each, racks of each, hosts of each.

        ValueError when a level of several is not named.
        """
        if self.numerals[0].level == "":
            return self
        named = {numeral.level for numeral in self.numerals}
        for level, size in zip(LEVELS, sizes, strict=True):
            if size > 1 and level not in named:
                raise ValueError(f"expected a place for the {level}, such as {{{level}}}")
        strides, stride = {}, 1
        for level, size in zip(reversed(LEVELS), reversed(sizes), strict=True):
            strides[level] = stride
            stride *= size
        counted = [
            numeral._replace(
                stride=strides[numeral.level], radix=sizes[LEVELS.index(numeral.level)] if index else 0
            )
            for index, numeral in enumerate(self.numerals)
        ]
        return NamePattern(tuple(counted), self.after)


def name_pattern(text: str) -> NamePattern:
    """The pattern in ``text``; ValueError unless its numbers can be read back."""
    found = list(_NUMBER.finditer(text))
    levels = [place[1] for place in found]
    rest = _NUMBER.sub("", text)
    if not found or "{" in rest or "}" in rest or (len(found) > 1 and "" in levels):
        raise ValueError(f"expected exactly one {{}} or {{:04d}} for the number, or places for {_named()}")
    for level in levels:
        if level and level not in LEVELS:
            raise ValueError(f"expected places for {_named()}, not {{{level}}}")
    if levels != [""] and levels != [level for level in LEVELS if level in levels]:
        raise ValueError(f"expected {_named()} in this order, each once at most")
    numerals, end = [], 0
    for place in found:
        if len(place[2] or "") > 2 or int(place[2] or 0) > DIGITS_MAX:
            raise ValueError(f"expected at most {DIGITS_MAX} digits")
        numerals.append(Numeral(text[end : place.start()], int(place[2] or 0), place[1]))
        end = place.end()
    for numeral in numerals[1:]:
        if not numeral.before or numeral.before[0].isdigit() or numeral.before[-1].isdigit():
            raise ValueError("expected text between two numbers that neither begins nor ends with a digit")
    return NamePattern(tuple(numerals), text[end:])


def _named() -> str:
    return ", ".join(f"{{{level}}}" for level in LEVELS)


def matching(pattern: NamePattern, size: int, shell: str) -> Spans:
    """The numbers below ``size`` whose name matches a shell pattern.

    Whole racks are passed over, or taken, by the text in front of the first wildcard; names are made of the rest.
    """
    if shell == "*":
        return Spans.of_range(0, size)
    wild = _WILD.search(shell)
    if wild is None:
        number = pattern.number(shell)
        return Spans.of_range(number, number + 1) if 0 <= number < size else NOBODY
    found = list(_Search(pattern, size, shell, wild.start()).numbers("", 0, 0, size))
    return Spans.of_pieces(
        np.asarray([part.start for part in found], dtype=np.int64),
        np.asarray([part.stop for part in found], dtype=np.int64),
    )


class _Search:
    """The numbers of one pattern whose names match one shell pattern."""

    def __init__(self, pattern: NamePattern, size: int, shell: str, literal: int) -> None:
        self._parts = [part for numeral in pattern.numerals for part in _digits(numeral, size)]
        self._after = pattern.after
        self._literal = shell[:literal]
        self._rest_is_any = shell[literal:] == "*"
        self._matches = re.compile(translate(shell)).match

    def numbers(self, text: str, depth: int, first: int, end: int) -> Iterator[range]:
        """Those of ``first`` to ``end`` - 1, whose names begin with ``text``."""
        before, width, _, stride, _ = self._parts[depth]
        last = depth == len(self._parts) - 1
        for value, start in enumerate(range(first, end, stride)):
            begun = f"{text}{before}{value:0{width}d}"
            stop = min(end, start + stride)
            if last:
                if self._matches(begun + self._after):
                    yield range(start, stop)
            elif self._rest_is_any and begun.startswith(self._literal):
                yield range(start, stop)
            elif begun.startswith(self._literal) or self._literal.startswith(begun):
                yield from self.numbers(begun, depth + 1, start, stop)


def _digits(numeral: Numeral, size: int) -> list[Numeral]:
    """A padded number digit by digit, so that its first digits already tell; another one as it is."""
    before, width, level, stride, radix = numeral
    if not width or (radix or -(-size // stride)) > 10**width:
        return [numeral]
    return [
        Numeral("" if digit else before, 1, level, stride * 10 ** (width - 1 - digit)) for digit in range(width)
    ]


def shared_name(groups: "Sequence[tuple[NamePattern, int]]") -> str:
    """A name that hosts of two groups have, each a pattern and a size; empty when there is none."""
    for index, one in enumerate(groups):
        for other in groups[:index]:
            (small, small_size), (large, large_size) = sorted((one, other), key=lambda group: group[1])
            if not _may_meet(small, large):
                continue
            for number in range(small_size):
                name = small.name(number)
                if 0 <= large.number(name) < large_size:
                    return name
    return ""


def _may_meet(one: NamePattern, other: NamePattern) -> bool:
    """Whether the fixed parts of two patterns can stand in one name."""
    begins, others = one.numerals[0].before, other.numerals[0].before
    return (begins.startswith(others) or others.startswith(begins)) and (
        one.after.endswith(other.after) or other.after.endswith(one.after)
    )
