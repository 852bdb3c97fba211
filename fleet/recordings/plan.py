"""Recorded errors as the commands of a run: a host of its own for each recorded one, at the recorded times.

A status block is presented by the host's firmware; an SError or an abort is taken to EL2 without EL3, because the
recorded kernel took it. The scenario is TOML like any other and names the hosts; what was recorded stands in the
log as commands, so a run can be looked at and verified without the recordings.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from fleet.engine.writer import CLOCK_NS, Commands
from fleet.recordings import ERRORS_MAX, HOSTS_MAX
from fleet.recordings.kernels import choose_kernel
from fleet.recordings.model import ErrorKind, OutcomeKind, RecordedError, RecordedHost, Recording
from fleet.scenario.plan import BATCH_COMMANDS, SETTLE_NS, Numbering
from fleet.scenario.scenario import epoch_ns, parse, topology_of
from fleet.scenario.scenario_errors import ScenarioError
from nodes.events import NO_GUEST
from nodes.events import commands as c
from nodes.spec.severity import GhesSeverity, ghes_severity
from nodes.stack.machine import NS_PER_S

NAME: Final = "import"
START: Final = "2026-01-01T00:00:00Z"  # a recording's own date is often missing: times are from the first line
SPACING_NS: Final = 1_000_000  # between two errors of a host, at least: what follows from one is over by then
UNTIMED_NS: Final = NS_PER_S  # between two errors of a host that says no times
AFTER_PANIC_NS: Final = 60 * NS_PER_S  # at least, from a panic to the next error: by then the host has booted
PARTITIONS_MAX: Final = 12
CLOCKS_MAX: Final = 100_000  # advances of the clock in a partition; over a longer time they come less often
PES_MIN: Final = 16
PES_MAX: Final = 256
TAKEN_TO_EL2: Final = 2
_NAME_SIZE_MAX: Final = 48  # characters of a host's name, its numbers not counted
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


class ImportPlan:
    """The hosts of some recordings and everything that is done to them. Raises ScenarioError."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.hosts = [host for recording in recordings for host in recording.hosts]
        if len(self.hosts) > HOSTS_MAX:
            raise ScenarioError(f"{len(self.hosts)} recorded hosts, at most {HOSTS_MAX}: import fewer at once")
        errors = sum(len(host.errors) for host in self.hosts)
        if errors > ERRORS_MAX:
            raise ScenarioError(f"{errors} recorded errors, at most {ERRORS_MAX}: import fewer at once")
        _name(self.hosts)
        for host in self.hosts:
            choose_kernel(host)
            _set_times(host)
        self.errors = sorted(
            ((error, place) for place, host in enumerate(self.hosts) for error in _presented(host)),
            key=lambda item: (item[0].at_ns, item[1]),
        )
        self.last_ns = max((error.at_ns for error, _ in self.errors), default=0)
        self.text = _scenario(self.hosts, self.last_ns)
        self.scenario = parse(self.text, "the scenario of the import")
        self.roster = topology_of(self.scenario)
        self.epoch_ns = epoch_ns(self.scenario.start)

    @property
    def end_ns(self) -> int:
        """When the clock has advanced for the last time."""
        return self.last_ns + SETTLE_NS

    def _clocks(self) -> list[int]:
        """When the clock advances: every 60 s, or so many times 60 s that CLOCKS_MAX are enough."""
        step = CLOCK_NS * -(-self.end_ns // (CLOCK_NS * CLOCKS_MAX))
        return [*range(step, self.end_ns, step), self.end_ns]

    def commands_written(self) -> int:
        """How many commands the log will hold, the clock's included."""
        return len(self.errors) + len(self._clocks()) * self.scenario.partitions

    def batches(self) -> Iterator[Commands]:
        """Every command in order."""
        numbering = Numbering(self.roster, self.scenario.partitions)
        at = 0
        for mark in self._clocks():
            while at < len(self.errors) and (self.errors[at][0].at_ns < mark or mark == self.end_ns):
                error, place = self.errors[at]
                at += 1
                kind, fields = command_of(error)
                numbering.add(place, kind, at, error.at_ns, fields)
                if numbering.count >= BATCH_COMMANDS:
                    yield numbering.taken()
            numbering.clock(mark)
        yield numbering.taken()


def command_of(error: RecordedError) -> tuple[type[c.Command], tuple[object, ...]]:
    """What is done to the host for an error."""
    if error.kind in {ErrorKind.SERROR, ErrorKind.SEA}:
        pe = error.pe % _pes(error.host)
        return c.PendSError, (error.esr, NO_GUEST, error.el, pe, TAKEN_TO_EL2, error.far)
    return c.PresentBlock, (error.block, error.source_id)


def _presented(host: RecordedHost) -> list[RecordedError]:
    return [error for error in host.errors if not error.skipped]


def _pes(host: RecordedHost) -> int:
    """How many PEs a host has: as many as its errors name."""
    return min(max([PES_MIN, *(error.pe + 1 for error in host.errors)]), PES_MAX)


def _name(hosts: Sequence[RecordedHost]) -> None:
    """Give each host a name of its own, after the recorded one or the file."""
    used: set[str] = set()
    for host in hosts:
        recorded = host.recorded_name or host.recording.rpartition(".")[0] or host.recording
        base = _NO_NAME.sub("-", recorded)[:_NAME_SIZE_MAX].strip("-") or "host"
        name, number = base, 2
        while name in used:
            name, number = f"{base}-{number}", number + 1
        used.add(name)
        host.name = f"{name}-0"


def _set_times(host: RecordedHost) -> None:
    """When each error is put through: as recorded, but never before the one before it is over.

    What has to wait for a reboot puts off everything behind it.
    """
    before: RecordedError | None = None
    late_ns = 0
    for error in _presented(host):
        earliest = 0 if before is None else before.at_ns + (AFTER_PANIC_NS if _panics(before) else SPACING_NS)
        if error.time_ns is None:
            error.at_ns = max(earliest, 0 if before is None else before.at_ns + UNTIMED_NS)
        else:
            error.at_ns = max(earliest, error.time_ns + late_ns)
            late_ns = error.at_ns - error.time_ns
        before = error


def _panics(error: RecordedError) -> bool:
    """Whether the recorded kernel was down after an error, and had to boot before the next one."""
    if error.kind is ErrorKind.SEA:
        return error.host.panic_on_oops or error.outcomes[0].kind is OutcomeKind.PANIC
    return error.kind is ErrorKind.SERROR or ghes_severity(error.severity) is GhesSeverity.PANIC


def _scenario(hosts: Sequence[RecordedHost], last_ns: int) -> str:
    """The scenario as TOML. Names hold nothing that TOML would have to quote."""
    lines = [
        "# Recorded errors; the commands are in the log.",
        f'name = "{NAME}"',
        f'start = "{START}"',
        f"duration_s = {max(1, -(-last_ns // NS_PER_S))}.0",
        f"partitions = {min(len(hosts), PARTITIONS_MAX)}",
    ]
    for host in hosts:
        recorded = f"host {host.recorded_name} of " if host.recorded_name else ""
        lines += [
            "",
            f"# {ascii(recorded + host.recording)[1:-1]}",
            "[[hosts]]",
            f'name = "{host.name.removesuffix("-0")}-{{}}"',
            "guests = 0",
            f"pes = {_pes(host)}",
        ]
    for host in hosts:
        switches = f'kernel = "{host.kernel}"' + (", panic_on_oops = true" if host.panic_on_oops else "")
        lines += ["", "[[overrides]]", f'hosts = "{host.name}"', f"switches = {{ {switches} }}"]
    return "\n".join(lines) + "\n"
