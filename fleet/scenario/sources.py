"""Where a run's faults come from, in the order of time: tables with a known number of faults, and rates.

A source is opened and then asked for everything before a time, again and again. What is known by number keeps four
bytes a fault, the order of its times; everything else of a fault is drawn when it is asked for. Rates keep the
next arrival of each host or DIMM that has one within the run, and nothing of the others, whose first draw says so.
"""

from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fleet.scenario.draws import draws_of_keys
from fleet.scenario.exponential import Rate, per_h_of_fit, rate_of
from fleet.scenario.faults import ByNumber, ByUnit, Columns, Named, When, below, columns_of
from fleet.scenario.presets import DEVICES_OF_DIMM, fit_per_device
from fleet.scenario.spans import Column, Spans
from fleet.scenario.tables import FaultsTable
from fleet.scenario.topology import CHUNK, Topology, Units, divided
from nodes.stack.machine import NS_PER_S


class Span(NamedTuple):
    """A part of virtual time, in ns."""

    first: int
    end: int  # the first that is not in it


class Opened(Protocol):
    """A source that is being read."""

    def until(self, end_ns: int) -> Columns:
        """Everything before this time that was not yet given; faults of one host at one time in their order."""


class Source(Protocol):
    """The faults of a table, or those of a group of hosts by it."""

    span: Span
    by_rate: bool  # so that only an average is known without drawing

    @property
    def expected(self) -> float:
        """How many faults there are in the whole span, on average."""

    def count(self, end_ns: int) -> int:
        """How many faults there are before a time, exactly."""

    def opened(self) -> Opened:
        """The source, read from its beginning."""


class Members(NamedTuple):
    """The hosts, or DIMMs, of several groups in one order."""

    units: list[Units]

    @property
    def size(self) -> int:
        """How many."""
        return sum(units.members.size for units in self.units)

    def located(self, index: Column) -> tuple[Column, Column]:
        """Place of the host, and number of its DIMM."""
        ends = np.cumsum([units.members.size for units in self.units])
        of = np.searchsorted(ends, index, side="right")
        place, device = np.empty_like(index), np.empty_like(index)
        for number in np.unique(of).tolist():
            rows = np.flatnonzero(of == number)
            units = self.units[number]
            found = units.members.at(index[rows] - (int(ends[number]) - units.members.size))
            place[rows] = units.group.first + found // units.each
            device[rows] = found % units.each
        return place, device


class Victims(Protocol):
    """Whom the faults of a table with a known number hit."""

    def named(self, numbers: Column) -> Named:
        """How the draws of some of the faults are named."""

    def located(self, named: Named) -> tuple[Column, Column | None]:
        """The places of their hosts, and their DIMMs where these are chosen here."""


class Counted:
    """A known number of faults, at times spread evenly over the span."""

    by_rate = False

    def __init__(self, table: FaultsTable, topology: Topology, span: Span, victims: Victims, size: int) -> None:
        self.table = table
        self.topology = topology
        self.span = span
        self.victims = victims
        self.size = size

    @property
    def expected(self) -> float:
        """How many faults there are."""
        return self.size

    def times(self, numbers: Column) -> Column:
        """When some of them happen."""
        return self._times(self.victims.named(numbers))

    def _times(self, named: Named) -> Column:
        return self.span.first + below(named, "time", self.span.end - self.span.first)

    def _chunks(self) -> Iterator[Column]:
        for first in range(0, self.size, CHUNK):
            yield np.arange(first, min(self.size, first + CHUNK), dtype=np.int64)

    def count(self, end_ns: int) -> int:
        """How many faults there are before a time."""
        if end_ns >= self.span.end:
            return self.size
        return sum(int((self.times(numbers) < end_ns).sum()) for numbers in self._chunks())

    def columns(self, numbers: Column) -> Columns:
        """Some of them, whole."""
        named = self.victims.named(numbers)
        when = When(self._times(named), *self.victims.located(named))
        return columns_of(self.table, self.topology, named, when)

    def opened(self) -> Opened:
        """The faults by time."""
        times = np.empty(self.size, dtype=np.int64)
        for numbers in self._chunks():
            times[numbers] = self.times(numbers)
        return _OpenedCounted(self, np.argsort(times, kind="stable").astype(np.int32))


class _OpenedCounted:
    def __init__(self, source: Counted, order: NDArray[np.int32]) -> None:
        self._source = source
        self._order = order
        self._at = 0

    def _time(self, number: np.int32) -> int:
        return int(self._source.times(np.asarray([number], dtype=np.int64))[0])

    def until(self, end_ns: int) -> Columns:
        """Everything before this time that was not yet given."""
        end = bisect_left(self._order, end_ns, self._at, key=self._time)
        numbers = self._order[self._at : end].astype(np.int64)
        self._at = end
        return self._source.columns(numbers)


class Shared(NamedTuple):
    """Each fault, by its number, chooses its host among all that are meant, or its DIMM."""

    table: FaultsTable
    topology: Topology
    seed: int
    members: Members

    def named(self, numbers: Column) -> Named:
        """By number."""
        return ByNumber(self.seed, self.table.name, numbers)

    def located(self, named: Named) -> tuple[Column, Column | None]:
        """Any of the hosts, or of the DIMMs of a batch."""
        chosen = below(named, "host", self.members.size)
        if self.table.host is not UNSET:
            return np.full_like(chosen, self.table.host % self.topology.count), None
        place, device = self.members.located(chosen)
        return place, device if self.table.of_dimms else None


class Each(NamedTuple):
    """Every host, or DIMM, of a group has the same number of faults."""

    table: FaultsTable
    seed: int
    units: Units
    each: int

    def named(self, numbers: Column) -> Named:
        """By host, or DIMM."""
        unit, k = divided(numbers, self.each)
        return ByUnit.of(self.seed, self.table.name, self.units, self.units.members.at(unit), k)

    def located(self, named: Named) -> tuple[Column, Column | None]:
        """The host, or the DIMM, whose they are."""
        assert isinstance(named, ByUnit), "named otherwise"
        return _located(self.units, named.members)


def _located(units: Units, members: Column) -> tuple[Column, Column | None]:
    number, device = divided(members, units.each)
    return units.group.first + number, device if units.each > 1 else None


class Arriving:
    """Faults at a rate, for each host, or each DIMM, of a group by itself."""

    by_rate = True

    def __init__(self, table: FaultsTable, topology: Topology, span: Span, *, seed: int, units: Units) -> None:
        self.table = table
        self.topology = topology
        self.span = span
        self.seed = seed
        self.units = units
        self.rate: Rate = rate_of(_per_h(table, units))

    @property
    def expected(self) -> float:
        """How many faults there are on average."""
        return self.units.members.size * (self.span.end - self.span.first) / self.rate.mean_ns

    def gaps(self, members: Column, k: Column) -> Column:
        """From the fault before to fault ``k`` of each."""
        named = ByUnit.of(self.seed, self.table.name, self.units, members, k)
        return self.rate.gaps(named.drawn("gap"))

    def first(self) -> tuple[Column, Column]:
        """Those who have a fault within the span, and the time of the first."""
        limit = self.rate.first_not_below(self.span.end - self.span.first)
        found = [np.empty(0, dtype=np.int64)]
        purpose = f"faults/{self.table.name}/gap"
        for members in self.units.members.chunks(CHUNK):
            drawn = draws_of_keys(self.units.keys(self.seed, purpose, self.units.identities(members)), 0)
            found.append(members if limit >> 64 else members[drawn < np.uint64(limit)])
        members = np.concatenate(found)
        return members, self.span.first + self.gaps(members, np.zeros_like(members))

    def count(self, end_ns: int) -> int:
        """How many faults there are before a time."""
        arrivals = _Arrivals(self)
        parts = 1 + int(self.expected) // CHUNK
        end_ns = min(end_ns, self.span.end)
        step = -(-(self.span.end - self.span.first) // parts)
        ends = [*range(self.span.first + step, end_ns, step), end_ns]
        return sum(arrivals.until(end)[0].size for end in ends)

    def opened(self) -> Opened:
        """The faults by time."""
        return _OpenedArriving(self)


class _Arrivals:
    """The next arrival of each that has one."""

    def __init__(self, source: Arriving) -> None:
        self._source = source
        self._members, self._next = source.first()
        self._k = np.zeros(self._members.size, dtype=np.int32)

    def until(self, end_ns: int) -> tuple[Column, Column, Column]:
        """Who fails before this time, their number there, and when."""
        found = []
        due = np.flatnonzero(self._next < end_ns)
        while due.size:
            members, k, time = self._members[due], self._k[due].astype(np.int64), self._next[due]
            found.append((members, k, time))
            self._k[due] += 1
            self._next[due] = time + self._source.gaps(members, k + 1)
            due = due[self._next[due] < end_ns]
        self._drop()
        none = np.empty(0, dtype=np.int64)
        members, k, time = (
            (np.concatenate([none, *parts]) for parts in zip(*found, strict=True)) if found else (none,) * 3
        )
        order = np.lexsort((k, members))
        return members[order], k[order], time[order]

    def _drop(self) -> None:
        """Those who have no further arrival within the span."""
        there = self._next < self._source.span.end
        if 2 * np.count_nonzero(there) < there.size:
            self._members, self._next, self._k = self._members[there], self._next[there], self._k[there]


class _OpenedArriving:
    def __init__(self, source: Arriving) -> None:
        self._source = source
        self._arrivals = _Arrivals(source)

    def until(self, end_ns: int) -> Columns:
        """Everything before this time that was not yet given."""
        source = self._source
        members, k, time = self._arrivals.until(min(end_ns, source.span.end))
        named = ByUnit.of(source.seed, source.table.name, source.units, members, k)
        return columns_of(source.table, source.topology, named, When(time, *_located(source.units, members)))


def _per_h(table: FaultsTable, units: Units) -> Fraction:
    """Faults an hour of one host, or one DIMM."""
    if table.rate_per_host_h is not UNSET:
        return Fraction(table.rate_per_host_h)
    if table.fit_per_pe is not UNSET:
        return per_h_of_fit(table.fit_per_pe, units.group.shape.pes)
    if table.fit_per_dimm is not UNSET:
        return per_h_of_fit(table.fit_per_dimm)
    if table.fit_per_device is not UNSET:
        return per_h_of_fit(table.fit_per_device, DEVICES_OF_DIMM)
    assert table.preset is not UNSET, "a table that says no rate"
    return fit_per_device(table.preset) * DEVICES_OF_DIMM / 10**9


def members_of(table: FaultsTable, topology: Topology) -> Members:
    """The hosts that a table is about, or their DIMMs."""
    found = topology.units(table.selection(), dimms=table.of_dimms)
    if table.host is UNSET:
        return Members(found)
    place = table.host % topology.count
    group = topology.groups[topology.group_index(place)]
    each = group.dimms if table.of_dimms else 1
    number = place - group.first
    return Members([Units(group, each, Spans.of_range(number * each, (number + 1) * each))])


def sources_of(table: FaultsTable, topology: Topology, *, seed: int, size: int, duration_s: float) -> list[Source]:
    """The sources of a table; ``size``: its part of what is shared."""
    end_s = duration_s if table.to_s is UNSET else table.to_s
    span = Span(round(table.from_s * NS_PER_S), round(end_s * NS_PER_S))
    members = members_of(table, topology)
    if table.size_by == "share":
        return [Counted(table, topology, span, Shared(table, topology, seed, members), size)] if size else []
    if table.each is UNSET:
        return [Arriving(table, topology, span, seed=seed, units=units) for units in members.units]
    return [
        Counted(table, topology, span, Each(table, seed, units, table.each), units.members.size * table.each)
        for units in members.units
    ]
