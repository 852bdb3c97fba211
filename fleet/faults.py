"""Random faults: which, when, where, and who meets them, as columns of draws.

A draw belongs to a fault's number within its table of the scenario, so another table, or another seed elsewhere,
leaves it as it was. Times and choices are integer arithmetic: the same on every processor.

Sources: the design's section 3, "Chance". The shares of a scenario are its own; field rates are for fault models.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fleet.draws import all_below, uniform_u64
from fleet.scenario import FaultsTable
from fleet.topology import Topology
from nodes.events import NO_GUEST
from nodes.hardware.dram import DRAM_BASE, LINE_SIZE, DramAddress
from nodes.hardware.fault import FAULT_INDEX
from nodes.linux.pages import GUEST_BASE, MemoryMap, PageKind
from nodes.stack.platform import Platform

NS_PER_S: Final = 1_000_000_000
_KERNEL_KINDS: Final = (PageKind.KERNEL, PageKind.FREE)  # only a kernel touches these
_COLUMNS: Final = 128  # lines of a row that a row fault spreads over

Column = NDArray[np.int64]


class Columns(NamedTuple):
    """Faults, one a row: everything an InjectFault says."""

    time_ns: Column
    place: Column  # of the host
    fault: Column  # index into FAULTS
    address: NDArray[np.uint64]
    guest: Column
    el: Column
    pe: Column


def shares(total: int, tables: Sequence[FaultsTable]) -> list[int]:
    """``total`` divided by the tables' shares: largest remainders first, then in order."""
    weight = sum(table.share for table in tables)
    counts = [total * table.share // weight for table in tables]
    order = sorted(range(len(tables)), key=lambda i: (-(total * tables[i].share % weight), i))
    for index in order[: total - sum(counts)]:
        counts[index] += 1
    return counts


class _Draws:
    """The draws of one table, by purpose."""

    def __init__(self, seed: int, table: FaultsTable, count: int) -> None:
        self._seed = seed
        self._name = table.name
        self._count = count

    def below(self, purpose: str, bound: int) -> Column:
        """A draw below ``bound`` for each fault."""
        drawn = uniform_u64(self._seed, f"faults/{self._name}/{purpose}", 0, self._count)
        return all_below(drawn, bound).astype(np.int64)

    def chosen(self, purpose: str, weights: Sequence[int]) -> Column:
        """An index for each fault, by weight."""
        edges = np.cumsum(np.asarray(weights, dtype=np.int64))
        return np.searchsorted(edges, self.below(purpose, int(edges[-1])), side="right").astype(np.int64)


def random_faults(table: FaultsTable, topology: Topology, *, seed: int, count: int, duration_s: float) -> Columns:
    """The faults of one table."""
    draws = _Draws(seed, table, count)
    start = round(table.from_s * NS_PER_S)
    end = round((duration_s if table.to_s is UNSET else table.to_s) * NS_PER_S)
    names = [name for name, weight in table.mix.items() if weight]
    kinds = np.asarray([FAULT_INDEX[str(name)] for name in names], dtype=np.int64)
    place = _places(table, topology, draws)
    columns = Columns(
        time_ns=start + draws.below("time", end - start),
        place=place,
        fault=kinds[draws.chosen("fault", [table.mix[name] for name in names])],
        address=np.zeros(count, dtype=np.uint64),
        guest=np.full(count, NO_GUEST, dtype=np.int64),
        el=np.zeros(count, dtype=np.int64),
        pe=np.zeros(count, dtype=np.int64),
    )
    for platform, rows in _by_platform(topology, place):
        _place_on(columns, rows, platform, table, draws)
    return columns


def _places(table: FaultsTable, topology: Topology, draws: _Draws) -> Column:
    if table.host is not UNSET:
        return np.full(draws.below("host", 1).size, table.host % topology.count, dtype=np.int64)
    if table.hosts == "*":
        return draws.below("host", topology.count)
    matching = np.asarray(topology.matching(table.hosts), dtype=np.int64)
    if not matching.size:
        raise ValueError(f'faults "{table.name}": no host matches "{table.hosts}"')
    return matching[draws.below("host", int(matching.size))]


def _by_platform(topology: Topology, place: Column) -> list[tuple[Platform, NDArray[np.intp]]]:
    """The rows of each shape of host; all hosts of a group share theirs."""
    found = []
    for group in topology.groups:
        rows = np.flatnonzero((place >= group.first) & (place < group.first + group.size))
        if rows.size:
            found.append((topology.platform_at(group.first), rows))
    return found


def _place_on(
    columns: Columns, rows: NDArray[np.intp], platform: Platform, table: FaultsTable, draws: _Draws
) -> None:
    """Who meets the errors, and where they are, for hosts of one shape."""
    guests = platform.shape.guests
    met_by_guest = table.met_by.guest if guests else 0
    by_guest = draws.chosen("consumer", (met_by_guest, table.met_by.host or 1 - bool(met_by_guest)))[rows] == 0
    if guests:
        chosen = (
            draws.below("guest", guests)
            if table.guest is UNSET
            else np.full(columns.guest.size, table.guest % guests)
        )
        columns.guest[rows] = np.where(by_guest, chosen[rows], NO_GUEST)
    columns.pe[rows] = draws.below("pe", platform.shape.pes)[rows]
    if table.dimm is not UNSET or table.row is not UNSET:
        _place_in_row(columns, rows, platform, table, draws)
        return
    page = PageKind[table.page.name] if table.page is not UNSET else None
    in_guest, el_guest = _within(platform.guest_map, page, draws)
    in_host, el_host = _within(platform.host_map, page, draws)
    size = platform.shape.guest_memory_gib << 30
    of_guest = platform.host_map.start + columns.guest[rows] * size + in_guest[rows] - GUEST_BASE
    columns.address[rows] = np.where(by_guest, of_guest, in_host[rows]).astype(np.uint64)
    columns.el[rows] = np.where(by_guest, el_guest[rows], 2 * el_host[rows])


def _within(memory: MemoryMap, page: PageKind | None, draws: _Draws) -> tuple[Column, Column]:
    """Addresses in a kernel's own memory, whole lines, and whether only a kernel touches them."""
    first, size = memory.own() if page is None else memory.range_of(page)
    address = first + draws.below("address", max(1, size // LINE_SIZE)) * LINE_SIZE
    kernel = np.zeros(address.size, dtype=np.int64)
    for kind in _KERNEL_KINDS:
        start, length = memory.range_of(kind)
        kernel |= (address >= start) & (address < start + length)
    return address, kernel


def _place_in_row(
    columns: Columns, rows: NDArray[np.intp], platform: Platform, table: FaultsTable, draws: _Draws
) -> None:
    """One DIMM, and one row of it unless every row is meant: addresses whoever's they are."""
    geometry = platform.setup.geometry
    dimm = (0 if table.dimm is UNSET else table.dimm) % geometry.dimm_count
    column = draws.below("column", _COLUMNS)
    base = geometry.address_of(DramAddress(dimm // geometry.channels, dimm % geometry.channels, 0, 0, 0, 0, 0))
    column_step = geometry.address_of(DramAddress(0, 0, 0, 0, 0, 0, 8)) - DRAM_BASE
    row_step = geometry.address_of(DramAddress(0, 0, 0, 0, 0, 1, 0)) - DRAM_BASE
    span = max(1, (platform.host_map.end - base) // row_step)
    row = (
        draws.below("row", span) if table.row is UNSET else np.full(column.size, table.row % span, dtype=np.int64)
    )
    address = base + column * column_step + row * row_step
    columns.address[rows] = address[rows].astype(np.uint64)
    owner = (address - platform.host_map.start) // (platform.shape.guest_memory_gib << 30)
    columns.guest[rows] = np.where(owner < platform.shape.guests, owner, NO_GUEST)[rows]
