"""Which hosts a scenario has: groups of hosts that are alike, named by a pattern, with overrides for some.

No table of names is kept: a host's place follows from its name and back, so a million hosts cost nothing until
they are touched.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from nodes.actor import Home
from nodes.policy import SwitchChanges, Switches
from nodes.stack.platform import HostShape, Platform, platform_of

_NUMBER: Final = re.compile(r"\{(?::0([0-9]+)d)?\}")
DIGITS_MAX: Final = 20  # of the number in a name; a wider place for it is refused


class NamePattern(NamedTuple):
    """A name with its number: ``host-{:04d}``."""

    before: str
    width: int  # digits, zero-padded; 0: as many as needed
    after: str

    def name(self, number: int) -> str:
        """The name of one host."""
        return f"{self.before}{number:0{self.width}d}{self.after}"

    def number(self, name: str) -> int:
        """The number in a name; -1 when the pattern does not make it."""
        if not (name.startswith(self.before) and name.endswith(self.after)):
            return -1
        digits = name[len(self.before) : len(name) - len(self.after)]
        if not digits.isascii() or not digits.isdigit() or len(digits) > DIGITS_MAX:
            return -1
        number = int(digits)
        return number if self.name(number) == name else -1


def name_pattern(text: str) -> NamePattern:
    """The pattern in ``text``; ValueError unless it has exactly one place for the number."""
    found = list(_NUMBER.finditer(text))
    if len(found) != 1 or "{" in _NUMBER.sub("", text) or "}" in _NUMBER.sub("", text):
        raise ValueError("expected exactly one {} or {:04d} for the number")
    place = found[0]
    if len(place[1] or "") > 2 or int(place[1] or 0) > DIGITS_MAX:
        raise ValueError(f"expected at most {DIGITS_MAX} digits")
    return NamePattern(text[: place.start()], int(place[1] or 0), text[place.end() :])


def shared_name(groups: "Sequence[Group]") -> str:
    """A name that hosts of two groups have; empty when there is none."""
    for index, one in enumerate(groups):
        for other in groups[:index]:
            small, large = sorted((one, other), key=lambda group: group.size)
            if not _may_meet(one.pattern, other.pattern):
                continue
            for number in range(small.size):
                name = small.pattern.name(number)
                if 0 <= large.pattern.number(name) < large.size:
                    return name
    return ""


def _may_meet(one: NamePattern, other: NamePattern) -> bool:
    """Whether the fixed parts of two patterns can stand in one name."""
    return (one.before.startswith(other.before) or other.before.startswith(one.before)) and (
        one.after.endswith(other.after) or other.after.endswith(one.after)
    )


class Group(NamedTuple):
    """Hosts that are alike."""

    pattern: NamePattern
    first: int  # place of its first host among all
    size: int  # hosts
    shape: HostShape
    switches: Switches


class Override(NamedTuple):
    """Switches that differ for hosts whose name matches."""

    hosts: str  # shell pattern
    switches: SwitchChanges


class Topology:
    """Every host of a scenario."""

    def __init__(self, groups: Sequence[Group], overrides: Sequence[Override]) -> None:
        self.groups = tuple(groups)
        self._overrides = tuple(overrides)
        self.count = sum(group.size for group in groups)
        self.guests = sum(group.size * group.shape.guests for group in groups)

    def name_of(self, place: int) -> str:
        """The name of the host at a place."""
        for group in self.groups:
            if place < group.first + group.size:
                return group.pattern.name(place - group.first)
        raise IndexError(place)

    def home_of(self, host: str) -> Home | None:
        """The home of a host; None for a name that nobody has."""
        for group in self.groups:
            number = group.pattern.number(host)
            if 0 <= number < group.size:
                return Home(group.first + number, self._platform(host, group))
        return None

    def platform_at(self, place: int) -> Platform:
        """The platform of the host at a place."""
        for group in self.groups:
            if place < group.first + group.size:
                return self._platform(group.pattern.name(place - group.first), group)
        raise IndexError(place)

    def _platform(self, host: str, group: Group) -> Platform:
        switches = group.switches
        for override in self._overrides:
            if fnmatchcase(host, override.hosts):
                switches = override.switches.applied(switches)
        return platform_of(group.shape, switches)

    def matches(self, pattern: str) -> bool:
        """Whether any host's name matches a shell pattern."""
        return self.home_of(pattern) is not None or any(
            fnmatchcase(self.name_of(place), pattern) for place in range(self.count)
        )

    def matching(self, pattern: str) -> list[int]:
        """The places of the hosts whose name matches a shell pattern."""
        if pattern == "*":
            return list(range(self.count))
        return [place for place in range(self.count) if fnmatchcase(self.name_of(place), pattern)]
