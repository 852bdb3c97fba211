"""Which hosts a scenario has: groups of hosts that are alike, named by a pattern, in regions, rows and racks.

No table of names is kept: a host's place follows from its name and back, so a million hosts cost nothing until
they are touched. A selection names hosts by a pattern, by the numbers of their region, row and rack, and by
labels: their firmware, and the batch of their DIMMs. Who bears a label is drawn by name, or said by a selection.

Draws belong to a host's numbers within its group, not to its place among all: another group, or more hosts, leave
them as they were.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleet.scenario.draws import Draws, draws_of_keys, keys_of_devices, keys_of_hosts
from fleet.scenario.names import NamePattern, matching
from fleet.scenario.spans import NOBODY, Column, Spans, joined
from nodes.actor import Home
from nodes.policy import SwitchChanges, Switches
from nodes.stack.platform import HostShape, Platform, platform_of

REGIONS_MAX: Final = 4096  # 12 bits of a host's id
ROWS_MAX: Final = 4096  # of a region; 12 bits
RACKS_MAX: Final = 1_000_000  # of a row; 20 bits
CHUNK: Final = 1 << 16  # hosts or DIMMs that are looked at together


def divided(numbers: Column, by: int) -> tuple[Column, Column]:
    """Quotients and remainders; ten times as fast as ``divmod`` of numpy."""
    quotient = numbers // by
    return quotient, numbers - quotient * by


class Layers(NamedTuple):
    """How the hosts of a group are arranged."""

    rows: int = 1  # of a region
    racks: int = 1  # of a row
    hosts: int = 1 << 20  # of a rack


class Group(NamedTuple):
    """Hosts that are alike."""

    pattern: NamePattern
    first: int  # place of its first host among all
    size: int  # hosts
    shape: HostShape
    switches: Switches
    layers: Layers = Layers()

    @property
    def dimms(self) -> int:
        """DIMMs of a host."""
        return self.shape.sockets * self.shape.channels

    def ids(self, numbers: Column) -> Draws:
        """What the draws of hosts are named after: their region, row, rack, and number in it."""
        if self.layers == Layers():
            return numbers.astype(np.uint64)
        region, row, rack, host = self.place(numbers)
        return (region << 52 | row << 40 | rack << 20 | host).astype(np.uint64)

    def place(self, numbers: Column) -> tuple[Column, Column, Column, Column]:
        """Where hosts stand: region, row of it, rack of that, number in it."""
        rack, host = divided(numbers, self.layers.hosts)
        row, rack = divided(rack, self.layers.racks)
        region, row = divided(row, self.layers.rows)
        return region, row, rack, host

    def layered(self, where: "Where") -> Spans:
        """The numbers of its hosts that stand there."""
        if where == EVERYWHERE:
            return Spans.of_range(0, self.size)
        per_rack = self.layers.hosts
        racks = np.arange(-(-self.size // per_rack), dtype=np.int64)
        row = racks // self.layers.racks
        chosen = np.ones(racks.size, dtype=bool)
        for numbers, wanted in (
            (row // self.layers.rows, where.region),
            (row % self.layers.rows, where.row),
            (racks % self.layers.racks, where.rack),
        ):
            if wanted is not None:
                chosen &= np.isin(numbers, wanted)
        starts = racks[chosen] * per_rack
        return Spans.of_pieces(starts, np.minimum(starts + per_rack, self.size))


class Where(NamedTuple):
    """Numbers of regions, of rows in their region, of racks in their row; None: whichever."""

    region: tuple[int, ...] | None = None
    row: tuple[int, ...] | None = None
    rack: tuple[int, ...] | None = None


EVERYWHERE: Final = Where()


class Selection(NamedTuple):
    """Which hosts, or which of their DIMMs, are meant: those for which everything holds."""

    hosts: str = "*"  # shell pattern of the name
    where: Where = EVERYWHERE
    firmware: str = ""  # label; empty: whichever
    dimm_batch: str = ""  # label of DIMMs; empty: whichever


EVERYONE: Final = Selection()


class Override(NamedTuple):
    """Switches that differ for some hosts."""

    hosts: Selection
    switches: SwitchChanges


class Label(NamedTuple):
    """What some hosts, or some DIMMs, bear; who is taken by an earlier label of the kind is not asked again."""

    name: str
    among: Selection
    threshold: int  # a draw of 64 bits below it bears the label; 2^64: everyone asked


class Identities(NamedTuple):
    """Hosts, or DIMMs of hosts, as draws name them."""

    hosts: Draws
    devices: Draws | None

    def take(self, rows: NDArray[np.intp]) -> "Identities":
        """Some of them."""
        return Identities(self.hosts[rows], None if self.devices is None else self.devices[rows])


class Units(NamedTuple):
    """Some hosts of a group, or some of their DIMMs: number of the host * ``each`` + number of the DIMM."""

    group: Group
    each: int  # 1: hosts
    members: Spans

    def identities(self, units: Column) -> "Identities":
        """What the draws of some of them are named after."""
        if self.each == 1:
            return Identities(self.group.ids(units), None)
        numbers, device = divided(units, self.each)
        return Identities(self.group.ids(numbers), device.astype(np.uint64))

    def keys(self, seed: int, purpose: str, ids: "Identities") -> Draws:
        """What the draws of some of them for one purpose come from."""
        keys = keys_of_hosts(seed, f"{purpose}/{self.group.pattern.text}", ids.hosts)
        return keys if ids.devices is None else keys_of_devices(keys, ids.devices)

    def bearing(self, label: Label, kind: str, seed: int) -> Spans:
        """Those that bear a label, of those that are asked."""
        if label.threshold >> 64:
            return self.members
        found = [
            units[
                draws_of_keys(self.keys(seed, f"{kind}/{label.name}", self.identities(units)), 0)
                < np.uint64(label.threshold)
            ]
            for units in self.members.chunks(CHUNK)
        ]
        return joined([Spans.of_numbers(units) for units in found])


class Labels(NamedTuple):
    """The labels of a scenario, in its order."""

    firmware: tuple[Label, ...] = ()
    dimm_batches: tuple[Label, ...] = ()


class Topology:
    """Every host of a scenario."""

    def __init__(
        self,
        groups: Sequence[Group],
        overrides: Sequence[Override] = (),
        labels: Labels = Labels(),  # noqa: B008 (never changed)
        seed: int = 0,
    ) -> None:
        self.groups = tuple(groups)
        self.labels = labels
        self.overrides = tuple(overrides)
        self.seed = seed
        self.count = sum(group.size for group in groups)
        self.guests = sum(group.size * group.shape.guests for group in groups)
        self._firsts = [group.first for group in groups]
        self._platforms: dict[tuple[int, int], Platform] = {}  # group, variant
        self._borne: dict[tuple[str, str, int], Spans] = {}  # kind, label, group

    def group_index(self, place: int) -> int:
        """Which group the host at a place belongs to."""
        if not 0 <= place < self.count:
            raise IndexError(place)
        return bisect_right(self._firsts, place) - 1

    def name_of(self, place: int) -> str:
        """The name of the host at a place."""
        group = self.groups[self.group_index(place)]
        return group.pattern.name(place - group.first)

    def home_of(self, host: str) -> Home | None:
        """The home of a host; None for a name that nobody has."""
        for index, group in enumerate(self.groups):
            number = group.pattern.number(host)
            if 0 <= number < group.size:
                return Home(group.first + number, self._platform(index, group.first + number))
        return None

    def platform_at(self, place: int) -> Platform:
        """The platform of the host at a place."""
        return self._platform(self.group_index(place), place)

    def _platform(self, index: int, place: int) -> Platform:
        variant = self._variants.at(place) if self.overrides else 0
        found = self._platforms.get((index, variant))
        if found is None:
            group = self.groups[index]
            switches = group.switches
            for number in self._variants.overrides[variant] if variant else ():
                switches = self.overrides[number].switches.applied(switches)
            found = self._platforms[index, variant] = platform_of(group.shape, switches)
        return found

    @cached_property
    def _variants(self) -> "_Variants":
        return _Variants([self.matching(override.hosts) for override in self.overrides])

    def matching(self, selection: Selection) -> Spans:
        """The places of the hosts that are meant."""
        if selection == EVERYONE:
            return Spans.of_range(0, self.count)
        assert not selection.dimm_batch, "a batch of DIMMs is no set of hosts"
        return joined(
            [self._numbers(index, selection).moved(group.first) for index, group in enumerate(self.groups)]
        )

    def standing(self, hosts: str, where: Where) -> tuple[set[int], set[int], set[int]]:
        """The numbers of the regions, rows and racks that are meant in which hosts of some names stand."""
        found: tuple[set[int], set[int], set[int]] = (set(), set(), set())
        for index, group in enumerate(self.groups):
            for numbers in self._numbers(index, Selection(hosts, where)).chunks(CHUNK):
                for seen, place in zip(found, group.place(numbers), strict=False):
                    seen.update(np.unique(place).tolist())
        return found

    def units(self, selection: Selection, *, dimms: bool) -> list[Units]:
        """The hosts that are meant, or their DIMMs, by group; groups without any are left out."""
        found = []
        for index, group in enumerate(self.groups):
            members = self._numbers(index, selection)
            if dimms:
                members = members.scaled(group.dimms)
                if selection.dimm_batch:
                    members &= self._bearing("dimm_batches", selection.dimm_batch, index)
            if members.size:
                found.append(Units(group, group.dimms if dimms else 1, members))
        return found

    def _numbers(self, index: int, selection: Selection) -> Spans:
        """The numbers of a group's hosts that are meant."""
        group = self.groups[index]
        found = matching(group.pattern, group.size, selection.hosts) & group.layered(selection.where)
        return found & self._bearing("firmware", selection.firmware, index) if selection.firmware else found

    def bearing(self, kind: str, name: str) -> int:
        """How many hosts, or DIMMs, bear a label."""
        return sum(self._bearing(kind, name, index).size for index in range(len(self.groups)))

    def _bearing(self, kind: str, name: str, index: int) -> Spans:
        """The hosts, or DIMMs, of a group that bear a label."""
        found = self._borne.get((kind, name, index))
        if found is None:
            labels = self.labels.firmware if kind == "firmware" else self.labels.dimm_batches
            self._bear(kind, labels, index)
            found = self._borne[kind, name, index]
        return found

    def _bear(self, kind: str, labels: Sequence[Label], index: int) -> None:
        group = self.groups[index]
        each = 1 if kind == "firmware" else group.dimms
        taken = NOBODY
        for label in labels:
            asked = self._numbers(index, label.among).scaled(each).without(taken)
            bearing = Units(group, each, asked).bearing(label, kind, self.seed)
            self._borne[kind, label.name, index] = bearing
            taken |= bearing


class _Variants:
    """Which overrides hold where: looked up by place, however many overrides there are."""

    def __init__(self, selected: Sequence[Spans]) -> None:
        borders = np.unique(np.concatenate([[0], *(s.starts for s in selected), *(s.ends for s in selected)]))
        variant = np.zeros(borders.size, dtype=np.int64)
        self.overrides: list[tuple[int, ...]] = [()]
        for number, spans in enumerate(selected):
            inside = _indices(np.searchsorted(borders, spans.starts), np.searchsorted(borders, spans.ends))
            before, which = np.unique(variant[inside], return_inverse=True)
            after = []
            for old in before.tolist():
                after.append(len(self.overrides))
                self.overrides.append((*self.overrides[old], number))
            variant[inside] = np.asarray(after, dtype=np.int64)[which]
        self._borders = borders.tolist()
        self._variant = variant.tolist()

    def at(self, place: int) -> int:
        """The variant of a place; 0: no override holds."""
        found: int = self._variant[bisect_right(self._borders, place) - 1]
        return found


def _indices(first: Column, end: Column) -> Column:
    """All whole numbers of several spans."""
    size = end - first
    found: Column = np.arange(int(size.sum())) + np.repeat(first - (np.cumsum(size) - size), size)
    return found
