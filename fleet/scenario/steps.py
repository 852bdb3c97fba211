"""The script of a scenario as rows: every step, for each host that it is done to, in the order of time."""

import numpy as np
from msgspec import UNSET

from fleet.scenario.faults import Columns
from fleet.scenario.scenario_errors import ScenarioError
from fleet.scenario.script import InjectStep, command_of
from fleet.scenario.spans import Spans
from fleet.scenario.tables import FAULTS_MAX, Scenario
from fleet.scenario.topology import Topology
from nodes.events import commands as c
from nodes.stack.machine import NS_PER_S


class Script:
    """The steps of a scenario, for each host that they are done to, in order."""

    def __init__(self, scenario: Scenario, topology: Topology) -> None:
        self.steps = scenario.script
        self.topology = topology
        where = [topology.matching(step.selection()) if step.selecting() else None for step in scenario.script]
        sizes = [1 if spans is None else spans.size for spans in where]
        if sum(sizes) > FAULTS_MAX:
            raise ScenarioError(f"script: {sum(sizes)} commands: expected at most {FAULTS_MAX}")
        step = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        times = np.asarray([round(step.at_s * NS_PER_S) for step in scenario.script], dtype=np.int64)[step]
        places = [
            spans if spans is not None else _one((0 if step.host is UNSET else step.host) % topology.count)
            for step, spans in zip(scenario.script, where, strict=True)
        ]
        place = np.concatenate([np.empty(0, np.int64), *(spans.at(np.arange(spans.size)) for spans in places)])
        order = np.lexsort((place, times))
        self.step = step[order]
        self.place = place[order].astype(np.int32)
        self.time_ns = times[order]

    def keep(self, faults: int) -> None:
        """Only the first faults stay, as the log has them in order, and every other step."""
        injects = np.asarray([isinstance(step, InjectStep) for step in self.steps], dtype=bool)[self.step]
        kept = ~injects | (np.cumsum(injects) <= faults)
        self.step, self.place, self.time_ns = self.step[kept], self.place[kept], self.time_ns[kept]

    def commands(self, last_ns: int) -> int:
        """How many commands there are up to a time."""
        return int(np.searchsorted(self.time_ns, last_ns, side="right"))

    def injected(self, last_ns: int) -> dict[str, int]:
        """How many faults there are up to a time, by name."""
        counts = np.bincount(self.step[: self.commands(last_ns)], minlength=len(self.steps)).tolist()
        found: dict[str, int] = {}
        for step, count in zip(self.steps, counts, strict=True):
            if isinstance(step, InjectStep):
                found[str(step.fault)] = found.get(str(step.fault), 0) + count
        return found

    def count(self, last_ns: int) -> int:
        """How many faults there are up to a time."""
        return sum(self.injected(last_ns).values())

    def opened(self) -> "_OpenedScript":
        """The steps by time."""
        return _OpenedScript(self)

    def made(self, step: int, place: int) -> tuple[type[c.Command], tuple[object, ...]]:
        """The command of a step on a host."""
        return command_of(self.steps[step], self.topology.platform_at(place))


def _one(place: int) -> Spans:
    return Spans.of_range(place, place + 1)


class _OpenedScript:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._at = 0

    def until(self, end_ns: int) -> Columns:
        """The steps before a time: step n stands in the place of fault -1 - n."""
        script = self._script
        end = int(np.searchsorted(script.time_ns, end_ns, side="left"))
        part = slice(self._at, end)
        self._at = end
        step = script.step[part].astype(np.int64)
        nothing = np.zeros_like(step)
        return Columns(
            script.time_ns[part],
            script.place[part].astype(np.int64),
            -1 - step,
            nothing.astype(np.uint64),
            nothing,
            nothing,
            nothing,
        )
