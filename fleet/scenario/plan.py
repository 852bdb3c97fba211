"""What a scenario does to its hosts: commands in the order of time, numbered.

Random faults and the script become one sequence, sorted by (time, host, table, number), so that it does not depend
on how it was made. It is made piece by piece: columns of some ten thousand faults, and of these some thousand
commands at a time. The clock advances every 60 virtual seconds in every partition, and once more when everything
that a fault can set off is over.

Source: the design's sections 3 ("Time") and 4 ("Commands are idempotent").
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np
from msgspec import UNSET

from fleet.engine.estimate import Estimate, estimate_of
from fleet.engine.writer import CLOCK_NS, ORIGIN, Commands
from fleet.manifest import Manifest, Options
from fleet.partition import partitions_of
from fleet.scenario.faults import Columns, joined, shares
from fleet.scenario.scenario import FAULTS_PER_HOST, epoch_ns, parse, topology_of
from fleet.scenario.scenario_errors import ScenarioError
from fleet.scenario.selection_checks import check_selections
from fleet.scenario.sources import Source, sources_of
from fleet.scenario.steps import Script
from fleet.scenario.tables import FAULTS_MAX, FaultsTable, Scenario
from fleet.scenario.topology import Topology
from nodes.events import ClockAdvanced
from nodes.events import commands as c
from nodes.stack.machine import NS_PER_S

CLOCKS_MAX: Final = 1024  # advances of the clock in a batch, however little happens meanwhile
BATCH_COMMANDS: Final = 4096  # that are made durable together
WINDOW_ROWS: Final = 1 << 15  # faults that are drawn together, on average
NAMES_MAX: Final = 1 << 16  # hosts whose name and partition are kept; all are made again at the bound
SETTLE_NS: Final = 120 * NS_PER_S  # after the end, until reboots and restarts are over too


class Plan:
    """A scenario with its options applied: its hosts, and everything that is done to them."""

    def __init__(self, scenario: Scenario, options: Options) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if options.seed is None else options.seed
        self.roster = topology_of(scenario, hosts=options.hosts, guests=options.guests, seed=self.seed)
        self.epoch_ns = epoch_ns(scenario.start)
        self.duration_ns = round(scenario.duration_s * NS_PER_S)
        self.last_ns = self._last_ns(options)
        check_selections(scenario, self.roster, resized=options.hosts is not None)
        self.script = Script(scenario, self.roster)
        scripted = self.script.count(self.duration_ns)
        total = self._total(options, scripted)
        if total < scripted:
            self.script.keep(total)
        self.random = max(0, total - scripted)
        if self.random and not self.sharing:
            raise ScenarioError(f"{total} faults in all, but there is no [[faults]] table to draw them from")
        self.sources = self._sources()
        expected = sum(source.expected for part in self.sources.values() for source in part)
        if expected > FAULTS_MAX:
            raise ScenarioError(f"{expected:,.0f} random faults are to be expected: expected at most {FAULTS_MAX}")

    def _last_ns(self, options: Options) -> int:
        """The time up to which something is done."""
        if options.until_s is None:
            return self.duration_ns
        until_ns = round(options.until_s * NS_PER_S)
        if not 0 <= until_ns <= self.duration_ns:
            raise ScenarioError(
                f"until {options.until_s} s: expected a time from 0 to duration_s = {self.scenario.duration_s}"
            )
        return until_ns

    @property
    def sharing(self) -> list[FaultsTable]:
        """The tables that share what is neither scripted, by rate nor for each."""
        return [table for table in self.scenario.faults if table.size_by == "share"]

    def _total(self, options: Options, scripted: int) -> int:
        """The faults that the script and the sharing tables have together."""
        if options.faults is not None:
            return options.faults
        if self.scenario.faults_total is not UNSET:
            if self.scenario.faults_total < scripted:
                raise ScenarioError(
                    f"faults_total = {self.scenario.faults_total}: expected at least {scripted}, "
                    "which the script alone injects"
                )
            return self.scenario.faults_total
        return max(scripted, FAULTS_PER_HOST * self.roster.count) if self.sharing else scripted

    def _sources(self) -> dict[str, list[Source]]:
        """By table, in the scenario's order."""
        sizes = dict(
            zip((table.name for table in self.sharing), shares(self.random, self.sharing), strict=True)
            if self.sharing
            else ()
        )
        return {
            table.name: sources_of(
                table,
                self.roster,
                seed=self.seed,
                size=sizes.get(table.name, 0),
                duration_s=self.scenario.duration_s,
            )
            for table in self.scenario.faults
        }

    @cached_property
    def faults_by_table(self) -> dict[str, int]:
        """How many random faults there are, exactly."""
        return {
            name: sum(source.count(self.last_ns + 1) for source in part) for name, part in self.sources.items()
        }

    @property
    def faults(self) -> int:
        """All faults of the run, those of the script included."""
        return sum(self.faults_by_table.values()) + self.script.count(self.last_ns)

    @property
    def end_ns(self) -> int:
        """When the clock has advanced for the last time."""
        return self.last_ns + SETTLE_NS

    def batches(self, size: int = BATCH_COMMANDS) -> Iterator[Commands]:
        """Everything in order, about ``size`` commands at a time. The size changes nothing but the cuts."""
        numbering = Numbering(self.roster, self.scenario.partitions)
        marks = self._marks()
        mark = next(marks)
        for rows in self._windows():
            at, count = 0, rows.place.size
            while at < count:
                end = int(np.searchsorted(rows.time_ns, mark, side="left"))
                while at < end:
                    numbering.extend(rows.at(slice(at, min(end, at + size))), self.script)
                    at = min(end, at + size)
                    if numbering.count >= size:
                        yield numbering.taken()
                if at < count:
                    numbering.clock(mark)
                    mark = next(marks)
        while mark:
            numbering.clock(mark)
            mark = next(marks, 0)
            if numbering.clocks >= CLOCKS_MAX:
                yield numbering.taken()
        yield numbering.taken()

    def _marks(self) -> Iterator[int]:
        """When the clock advances."""
        yield from range(CLOCK_NS, self.end_ns, CLOCK_NS)
        yield self.end_ns

    def _windows(self) -> Iterator[Columns]:
        """Everything that is done to hosts, in order, some ten thousand rows at a time."""
        opened = [source.opened() for part in self.sources.values() for source in part]
        script = self.script.opened()
        for end_ns in self._bounds():
            rows = joined([script.until(end_ns), *(source.until(end_ns) for source in opened)])
            yield rows.at(np.lexsort((np.arange(rows.place.size), rows.place, rows.time_ns)))

    def _bounds(self) -> Iterator[int]:
        """Times with about as many faults between each two."""
        sources = [source for part in self.sources.values() for source in part]
        end_ns = self.last_ns + 1
        edges = sorted({0, end_ns, *(min(edge, end_ns) for source in sources for edge in source.span)})
        for first, end in pairwise(edges):
            rows = sum(
                source.expected * (end - first) / (source.span.end - source.span.first)
                for source in sources
                if source.span.first <= first < source.span.end
            )
            parts = 1 + int(rows) // WINDOW_ROWS
            yield from (first + (end - first) * part // parts for part in range(1, parts + 1))

    def commands_written(self) -> int:
        """How many commands the log will hold, the clock's included."""
        return self.estimate().commands

    def estimate(self) -> Estimate:
        """About what the run will come to; the commands exactly."""
        weights = {table.name: table.weights for table in self.scenario.faults}
        scripted = self.script.injected(self.last_ns)
        return estimate_of(
            [
                *((weights[name], count) for name, count in self.faults_by_table.items()),
                *(({name: 1}, n) for name, n in scripted.items()),
            ],
            others=self.script.commands(self.last_ns) - sum(scripted.values()),
            clocks=-(-self.end_ns // CLOCK_NS) * self.scenario.partitions,
        )


class Numbering:
    """Commands as they come, each with its position in the partition of its host."""

    def __init__(self, topology: Topology, partitions: int) -> None:
        self._topology = topology
        self._hosts: dict[int, tuple[str, int]] = {}  # place -> name, partition
        self._positions = [0] * partitions
        self._commands: Commands = {partition: [] for partition in range(partitions)}
        self._number = 0
        self.count = 0  # since the last batch
        self.clocks = 0  # since the last batch

    def add(
        self, place: int, kind: type[c.Command], number: int, time_ns: int, fields: tuple[object, ...]
    ) -> None:
        """The next command, for the host at a place."""
        if place not in self._hosts:
            self._find([place])
        host, partition = self._hosts[place]
        position = self._positions[partition]
        self._commands[partition].append(kind(position, host, number, time_ns, ORIGIN, *fields))
        self._positions[partition] = position + 1
        self.count += 1

    def extend(self, rows: Columns, script: Script) -> None:
        """The next commands of a plan."""
        places = rows.place.tolist()
        self._find(places)
        hosts, positions, commands, number = self._hosts, self._positions, self._commands, self._number
        lists = [column.tolist() for column in (rows.time_ns, *rows[2:])]
        for place, time_ns, fault, address, guest, el, pe in zip(places, *lists, strict=True):
            number += 1
            if fault < 0:
                kind, fields = script.made(-1 - fault, place)
                self.add(place, kind, number, time_ns, fields)
                continue
            host, partition = hosts[place]
            position = positions[partition]
            positions[partition] = position + 1
            commands[partition].append(
                c.InjectFault(position, host, number, time_ns, ORIGIN, fault, address, guest, el, pe)
            )
            self.count += 1
        self._number = number

    def _find(self, places: Sequence[int]) -> None:
        """Name and partition of these hosts."""
        missing = list({place for place in places if place not in self._hosts})
        if len(self._hosts) + len(missing) > NAMES_MAX:
            self._hosts.clear()
            missing = list(set(places))
        names = [self._topology.name_of(place) for place in missing]
        partitions = partitions_of(names, len(self._positions))
        self._hosts.update(zip(missing, zip(names, partitions, strict=True), strict=True))

    def clock(self, time_ns: int) -> None:
        """The clock advances in every partition."""
        self.clocks += 1
        for partition, commands in self._commands.items():
            commands.append(ClockAdvanced(self._positions[partition], "", 0, time_ns))
            self._positions[partition] += 1

    def taken(self) -> Commands:
        """What has come since the last time."""
        taken = self._commands
        self._commands = {partition: [] for partition in taken}
        self.count = self.clocks = 0
        return taken


def roster_of(manifest: Manifest) -> tuple[Topology, int]:
    """The hosts of a run that is there, and the real time of its virtual time 0 (ns since 1970)."""
    scenario = parse(manifest.scenario, f"the scenario of run {manifest.name}")
    options = manifest.options
    roster = topology_of(scenario, hosts=options.hosts, guests=options.guests, seed=options.seed)
    return roster, epoch_ns(scenario.start)


def plan_of(manifest: Manifest) -> Plan:
    """The plan of a run that is there."""
    return Plan(parse(manifest.scenario, f"the scenario of run {manifest.name}"), manifest.options)
