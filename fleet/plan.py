"""What a scenario does to its hosts: commands in the order of time, numbered.

Random faults and the script become one sequence, sorted by (time, host, table, number), so that it does not depend
on how it was made. The clock advances every 60 virtual seconds in every partition, and once more when everything
that a fault can set off is over.

Source: the design's sections 3 ("Time") and 4 ("Commands are idempotent").
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from msgspec import UNSET

from fleet.faults import NS_PER_S, Column, Columns, random_faults, shares
from fleet.manifest import Manifest, Options
from fleet.partition import partition_of
from fleet.scenario import FAULTS_PER_HOST, Scenario, epoch_ns, parse, topology_of
from fleet.scenario_errors import ScenarioError, shown
from fleet.script import InjectStep, Made, command_of
from fleet.topology import Topology
from fleet.writer import CLOCK_NS, ORIGIN, Commands
from nodes.events import ClockAdvanced
from nodes.events import commands as c

BATCH_COMMANDS: Final = 4096  # that are made durable together
SETTLE_NS: Final = 120 * NS_PER_S  # after the end, until reboots and restarts are over too


class Plan:
    """A scenario with its options applied: its hosts, and everything that is done to them."""

    def __init__(self, scenario: Scenario, options: Options) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if options.seed is None else options.seed
        self.roster = topology_of(scenario, hosts=options.hosts, guests=options.guests)
        self.epoch_ns = epoch_ns(scenario.start)
        self.duration_ns = round(scenario.duration_s * NS_PER_S)
        scripted = sum(isinstance(step, InjectStep) for step in scenario.script)
        self.faults = self._total(options)
        if self.faults < scripted:
            raise ScenarioError(f"{self.faults} faults in all, but the script alone injects {scripted}")
        self.random = self.faults - scripted
        if self.random and not scenario.faults:
            raise ScenarioError(f"{self.faults} faults in all, but there is no [[faults]] table to draw them from")
        for index, table in enumerate(scenario.faults):
            if table.host is UNSET and not self.roster.matching(table.hosts):
                raise ScenarioError(
                    f"faults[{index}].hosts{shown(table.hosts)}: expected a pattern that a host matches"
                )
        if options.hosts is None:  # of another size it may be meant for hosts that are not there
            self._check_overrides()

    def _check_overrides(self) -> None:
        for index, override in enumerate(self.scenario.overrides):
            if not self.roster.matches(override.hosts):
                raise ScenarioError(
                    f"overrides[{index}].hosts{shown(override.hosts)}: expected a pattern that a host matches"
                )

    def _total(self, options: Options) -> int:
        if options.faults is not None:
            return options.faults
        if self.scenario.faults_total is not UNSET:
            return self.scenario.faults_total
        if self.scenario.faults:
            return FAULTS_PER_HOST * self.roster.count
        return sum(isinstance(step, InjectStep) for step in self.scenario.script)

    @property
    def end_ns(self) -> int:
        """When the clock has advanced for the last time."""
        return self.duration_ns + SETTLE_NS

    def batches(self, size: int = BATCH_COMMANDS) -> Iterator[Commands]:
        """Everything in order, about ``size`` commands at a time. The size changes nothing but the cuts."""
        times, order, make = self._sorted()
        marks = [min(mark, self.end_ns) for mark in range(CLOCK_NS, self.end_ns + CLOCK_NS, CLOCK_NS)]
        until = np.searchsorted(times, np.asarray(marks, dtype=np.int64), side="left").tolist()
        until[-1] = len(order)  # whatever is scripted for the last moment
        numbering = Numbering(self.roster, self.scenario.partitions)
        at = 0
        for mark, end in zip(marks, until, strict=True):
            while at < end:
                for row in range(at, min(end, at + size)):
                    place, (kind, fields) = make(order[row])
                    numbering.add(place, kind, row + 1, int(times[row]), fields)
                at = min(end, at + size)
                if numbering.count >= size:
                    yield numbering.taken()
            numbering.clock(mark)
        yield numbering.taken()

    def _sorted(self) -> tuple[Column, list[int], Callable[[int], tuple[int, Made]]]:
        """The times in order, the row at each position, and what makes a row's place and command."""
        scenario = self.scenario
        columns = self._columns()
        steps = sorted(enumerate(scenario.script), key=lambda item: (item[1].at_s, item[0]))
        step_times = np.asarray([round(step.at_s * NS_PER_S) for _, step in steps], dtype=np.int64)
        step_places = np.asarray([step.host % self.roster.count for _, step in steps], dtype=np.int64)
        times = np.concatenate([step_times, *(part.time_ns for part in columns)])
        places = np.concatenate([step_places, *(part.place for part in columns)])
        order = np.lexsort((np.arange(times.size), places, times))
        merged = _merged(columns)

        def make(row: int) -> tuple[int, Made]:
            if row < len(steps):
                step = steps[row][1]
                place = int(step_places[row])
                return place, command_of(step, self.roster.platform_at(place))
            return merged[row - len(steps)]

        return times[order], order.tolist(), make

    def _columns(self) -> list[Columns]:
        tables = self.scenario.faults
        if not self.random:
            return []
        counts = shares(self.random, tables)
        try:
            return [
                random_faults(table, self.roster, seed=self.seed, count=count, duration_s=self.scenario.duration_s)
                for table, count in zip(tables, counts, strict=True)
                if count
            ]
        except ValueError as fault:
            raise ScenarioError(str(fault)) from None

    def commands_written(self) -> int:
        """How many commands the log will hold, the clock's included."""
        clocks = -(-self.end_ns // CLOCK_NS) * self.scenario.partitions
        return self.random + len(self.scenario.script) + clocks


class Numbering:
    """Commands as they come, each with its position in the partition of its host."""

    def __init__(self, topology: Topology, partitions: int) -> None:
        self._topology = topology
        self._hosts: dict[int, tuple[str, int]] = {}  # place -> name, partition
        self._positions = [0] * partitions
        self._commands: Commands = {partition: [] for partition in range(partitions)}
        self.count = 0

    def add(
        self, place: int, kind: type[c.Command], number: int, time_ns: int, fields: tuple[object, ...]
    ) -> None:
        """The next command, for the host at a place."""
        found = self._hosts.get(place)
        if found is None:
            host = self._topology.name_of(place)
            found = self._hosts[place] = host, partition_of(host, len(self._positions))
        host, partition = found
        position = self._positions[partition]
        self._commands[partition].append(kind(position, host, number, time_ns, ORIGIN, *fields))
        self._positions[partition] = position + 1
        self.count += 1

    def clock(self, time_ns: int) -> None:
        """The clock advances in every partition."""
        for partition, commands in self._commands.items():
            commands.append(ClockAdvanced(self._positions[partition], "", 0, time_ns))
            self._positions[partition] += 1

    def taken(self) -> Commands:
        """What has come since the last time."""
        taken = self._commands
        self._commands = {partition: [] for partition in taken}
        self.count = 0
        return taken


def _merged(columns: Sequence[Columns]) -> list[tuple[int, Made]]:
    rows: list[tuple[int, Made]] = []
    for part in columns:
        lists = [column.tolist() for column in part[1:]]
        rows += [(place, (c.InjectFault, tuple(fields))) for place, *fields in zip(*lists, strict=True)]
    return rows


def roster_of(manifest: Manifest) -> tuple[Topology, int]:
    """The hosts of a run that is there, and the real time of its virtual time 0 (ns since 1970)."""
    scenario = parse(manifest.scenario, f"the scenario of run {manifest.name}")
    options = manifest.options
    return topology_of(scenario, hosts=options.hosts, guests=options.guests), epoch_ns(scenario.start)


def plan_of(manifest: Manifest) -> Plan:
    """The plan of a run that is there."""
    return Plan(parse(manifest.scenario, f"the scenario of run {manifest.name}"), manifest.options)
