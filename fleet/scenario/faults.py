"""Random faults: which, when, where, and who meets them, as columns of draws.

A draw belongs to a fault by name: to its number within its table of the scenario, or, where hosts or DIMMs fail
each by itself, to the host or DIMM and the fault's number there. So another table, or another seed elsewhere,
leaves it as it was. Times and choices are integer arithmetic: the same on every processor.

Sources: the design's section 3, "Chance". The shares of a scenario are its own; field rates are in
fleet.scenario.presets.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, Self

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fleet.scenario.draws import Draws, all_below, draws_of_keys, draws_of_numbers, high_words
from fleet.scenario.spans import Column
from fleet.scenario.tables import FaultsTable
from fleet.scenario.topology import Identities, Topology, Units
from nodes.events import NO_GUEST
from nodes.hardware.dram import DRAM_BASE, LINE_SIZE, DramAddress
from nodes.hardware.fault import FAULT_INDEX
from nodes.linux.pages import GUEST_BASE, MemoryMap, PageKind
from nodes.stack.platform import Platform

_KERNEL_KINDS: Final = (PageKind.KERNEL, PageKind.FREE)  # only a kernel touches these
_COLUMNS: Final = 128  # lines of a row that a row fault spreads over


class Columns(NamedTuple):
    """Faults, one a row: everything an InjectFault says."""

    time_ns: Column
    place: Column  # of the host
    fault: Column  # index into FAULTS
    address: NDArray[np.uint64]
    guest: Column
    el: Column
    pe: Column

    def at(self, rows: "slice | Column") -> Self:
        """Some of the rows."""
        time_ns, place, fault, address, guest, el, pe = self
        return self._replace(
            time_ns=time_ns[rows],
            place=place[rows],
            fault=fault[rows],
            address=address[rows],
            guest=guest[rows],
            el=el[rows],
            pe=pe[rows],
        )


def joined(parts: "Sequence[Columns]") -> Columns:
    """All rows of several, one after the other."""
    return Columns(
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.fault for part in parts]),
        np.concatenate([part.address for part in parts]),
        np.concatenate([part.guest for part in parts]),
        np.concatenate([part.el for part in parts]),
        np.concatenate([part.pe for part in parts]),
    )


def shares(total: int, tables: Sequence[FaultsTable]) -> list[int]:
    """``total`` divided by the tables' shares: largest remainders first, then in order."""
    weight = sum(table.weight for table in tables)
    counts = [total * table.weight // weight for table in tables]
    order = sorted(range(len(tables)), key=lambda i: (-(total * tables[i].weight % weight), i))
    for index in order[: total - sum(counts)]:
        counts[index] += 1
    return counts


class Named(Protocol):
    """Some faults of a table, and how their draws are named."""

    def drawn(self, purpose: str) -> Draws:
        """A draw of 64 bits for each fault."""

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Some of them."""


class ByNumber(NamedTuple):
    """Faults by their number in the table."""

    seed: int
    table: str
    numbers: Column

    def drawn(self, purpose: str) -> Draws:
        """A draw for each fault."""
        return draws_of_numbers(self.seed, f"faults/{self.table}/{purpose}", self.numbers.astype(np.uint64))

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Some of them."""
        return self._replace(numbers=self.numbers[rows])


class ByUnit(NamedTuple):
    """Faults by host or DIMM, and their number there."""

    seed: int
    table: str
    units: Units
    members: Column
    ids: Identities
    k: Draws

    @classmethod
    def of(cls, seed: int, table: str, units: Units, members: Column, k: Column) -> Self:
        """Fault ``k`` of each of these members."""
        return cls(seed, table, units, members, units.identities(members), k.astype(np.uint64))

    def drawn(self, purpose: str) -> Draws:
        """A draw for each fault."""
        keys = self.units.keys(self.seed, f"faults/{self.table}/{purpose}", self.ids)
        return draws_of_keys(keys, self.k)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Some of them."""
        return self._replace(members=self.members[rows], ids=self.ids.take(rows), k=self.k[rows])


def below(named: Named, purpose: str, bound: int) -> Column:
    """A draw below ``bound`` for each fault."""
    return all_below(named.drawn(purpose), bound).astype(np.int64)


def _chosen(named: Named, purpose: str, weights: Sequence[int]) -> Column:
    """An index for each fault, by weight."""
    edges = np.cumsum(np.asarray(weights, dtype=np.int64))
    return np.searchsorted(edges, below(named, purpose, int(edges[-1])), side="right").astype(np.int64)


class When(NamedTuple):
    """When faults happen, and on which host; where their DIMM is chosen by then, on which."""

    time_ns: Column
    place: Column
    dimm: Column | None = None


def columns_of(table: FaultsTable, topology: Topology, named: Named, when: When) -> Columns:
    """Faults of a table, with everything that is left to draw."""
    weights = table.weights
    kinds = np.asarray([FAULT_INDEX[name] for name in weights], dtype=np.int64)
    count = when.place.size
    columns = Columns(
        time_ns=when.time_ns,
        place=when.place,
        fault=kinds[_chosen(named, "fault", list(weights.values()))],
        address=np.zeros(count, dtype=np.uint64),
        guest=np.full(count, NO_GUEST, dtype=np.int64),
        el=np.zeros(count, dtype=np.int64),
        pe=np.zeros(count, dtype=np.int64),
    )
    dimm = _chosen_dimm(table, when)
    for platform, rows in _by_platform(topology, when.place):
        of = named if rows.size == count else named.take(rows)
        columns.pe[rows] = below(of, "pe", platform.shape.pes)
        if dimm is None:
            _place_on(columns, rows, platform, table, of)
        else:
            _place_in_row(columns, rows, platform, table, of, dimm[rows])
    return columns


def _chosen_dimm(table: FaultsTable, when: When) -> Column | None:
    if when.dimm is not None:
        return when.dimm
    if table.dimm is UNSET and table.row is UNSET:
        return None
    return np.full(when.place.size, 0 if table.dimm is UNSET else table.dimm, dtype=np.int64)


def _by_platform(topology: Topology, place: Column) -> list[tuple[Platform, NDArray[np.intp]]]:
    """The rows of each shape of host; all hosts of a group share theirs."""
    if len(topology.groups) == 1:
        return [(topology.platform_at(0), np.arange(place.size))] if place.size else []
    firsts = np.asarray([group.first for group in topology.groups], dtype=np.int64)
    of = np.searchsorted(firsts, place, side="right") - 1
    return [
        (topology.platform_at(topology.groups[index].first), np.flatnonzero(of == index))
        for index in np.unique(of).tolist()
    ]


def _place_on(
    columns: Columns, rows: NDArray[np.intp], platform: Platform, table: FaultsTable, named: Named
) -> None:
    """Who meets the errors, and where they are, for hosts of one shape."""
    guests = platform.shape.guests
    met_by_guest = table.met_by.guest if guests else 0
    by_guest = _chosen(named, "consumer", (met_by_guest, table.met_by.host or 1 - bool(met_by_guest))) == 0
    guest = np.full(rows.size, NO_GUEST, dtype=np.int64)
    if guests:
        guest = np.where(
            by_guest, below(named, "guest", guests) if table.guest is UNSET else table.guest % guests, NO_GUEST
        )
    page = PageKind[table.page.name] if table.page is not UNSET else None
    in_guest, el_guest = _within(platform.guest_map, page, named)
    in_host, el_host = _within(platform.host_map, page, named)
    size = platform.shape.guest_memory_gib << 30
    of_guest = platform.host_map.start + guest * size + in_guest - GUEST_BASE
    columns.guest[rows] = guest
    columns.address[rows] = np.where(by_guest, of_guest, in_host).astype(np.uint64)
    columns.el[rows] = np.where(by_guest, el_guest, 2 * el_host)


def _within(memory: MemoryMap, page: PageKind | None, named: Named) -> tuple[Column, Column]:
    """Addresses in a kernel's own memory, whole lines, and whether only a kernel touches them."""
    first, size = memory.own() if page is None else memory.range_of(page)
    address = first + below(named, "address", max(1, size // LINE_SIZE)) * LINE_SIZE
    kernel = np.zeros(address.size, dtype=np.int64)
    for kind in _KERNEL_KINDS:
        start, length = memory.range_of(kind)
        kernel |= (address >= start) & (address < start + length)
    return address, kernel


def _place_in_row(
    columns: Columns,
    rows: NDArray[np.intp],
    platform: Platform,
    table: FaultsTable,
    named: Named,
    dimm: Column,
) -> None:
    """One DIMM, and one row of it unless every row is meant: addresses whoever's they are."""
    geometry = platform.setup.geometry
    bases = [
        geometry.address_of(DramAddress(index // geometry.channels, index % geometry.channels, 0, 0, 0, 0, 0))
        for index in range(geometry.dimm_count)
    ]
    base = np.asarray(bases, dtype=np.int64)[dimm % geometry.dimm_count]
    column_step = geometry.address_of(DramAddress(0, 0, 0, 0, 0, 0, 8)) - DRAM_BASE
    row_step = geometry.address_of(DramAddress(0, 0, 0, 0, 0, 1, 0)) - DRAM_BASE
    span = np.maximum(1, (platform.host_map.end - base) // row_step)
    row = _below_each(named, "row", span) if table.row is UNSET else table.row % span
    address = base + below(named, "column", _COLUMNS) * column_step + row * row_step
    columns.address[rows] = address.astype(np.uint64)
    owner = (address - platform.host_map.start) // (platform.shape.guest_memory_gib << 30)
    columns.guest[rows] = np.where(owner < platform.shape.guests, owner, NO_GUEST)


def _below_each(named: Named, purpose: str, bounds: Column) -> Column:
    """A draw below its own bound for each fault."""
    return high_words(named.drawn(purpose), bounds.astype(np.uint64)).astype(np.int64)
