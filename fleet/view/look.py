"""A host of a run at a time: its commands go through it again, up to there.

Source: the design's section 4 (commands are the input; the state follows from them).
"""

from difflib import get_close_matches
from typing import Final

from fleet.engine.again import check_behaviour, commands_of
from fleet.log.protocol import LogError, RunLog
from fleet.manifest import BEHAVIOUR
from fleet.partition import partition_of
from fleet.scenario.plan import plan_of, roster_of
from fleet.scenario.topology import Topology
from nodes.actor import Home, Hosts, Roster
from nodes.events import Event
from nodes.stack.machine import Machine

SEARCHED_MAX: Final = 10_000  # names that are looked through for one that was meant


class _Nowhere:
    """Events that nobody wants again."""

    def publish(
        self, kind: type[Event], host: str, sequence: int, time_ns: int, fields: tuple[object, ...]
    ) -> None:
        """An event of a host."""

    def watermark(self, time_ns: int) -> None:
        """The clock."""

    async def flush(self) -> None:
        """Nothing to write."""


class _Alone:
    """One host: what is done to others moves the clock and the numbers, and nothing else (nodes.actor.Roster)."""

    def __init__(self, roster: Roster, host: str) -> None:
        self._roster = roster
        self._host = host

    def home_of(self, host: str) -> Home | None:
        """The home of the host."""
        return self._roster.home_of(host) if host == self._host else None


def check_host(log: RunLog, host: str) -> None:
    """Raises LogError for a name that no host of a run has, as far as this program knows that run's hosts."""
    if log.manifest.behaviour == BEHAVIOUR:
        _check_named(log, roster_of(log.manifest)[0], host)


def _check_named(log: RunLog, topology: Topology, host: str) -> None:
    if topology.home_of(host) is None:
        some = [topology.name_of(place) for place in range(min(topology.count, SEARCHED_MAX))]
        near = get_close_matches(host, some, n=1)
        raise LogError(f'no host "{host}" in {log.title}' + (f'; did you mean "{near[0]}"?' if near else ""))


def host_at(log: RunLog, host: str, time_ns: int | None) -> Machine:
    """A host as it was at a virtual time, at the end when None. Raises LogError for a name that nobody has."""
    check_behaviour(log)
    plan = plan_of(log.manifest)
    _check_named(log, plan.roster, host)
    hosts = Hosts(_Alone(plan.roster, host), _Nowhere(), plan.epoch_ns)
    for command in commands_of(log, partition_of(host, log.manifest.partitions)):
        if time_ns is not None and command.time_ns > time_ns and hosts.untimely(command) is None:
            break
        hosts.handle(command)
    if time_ns is not None:
        hosts.advance(time_ns)
    machine = hosts.machine(host)
    assert machine is not None, "its home is known"
    machine.now = hosts.clock_ns
    return machine
