"""A run in front of people: how far it is, on stderr, and signals that stop it in order."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import click

from fleet.engine.messages import GIVEN_UP, Progress
from fleet.engine.pace import Pace
from fleet.engine.run import Run
from fleet.engine.supervisor import Crew, FileCrew, KafkaCrew, Supervisor
from fleet.engine.telling import PROGRESS_S
from fleet.engine.writer import Source
from fleet.log.files import FileLog
from fleet.log.protocol import RunLog
from fleet.manifest import Summary
from fleet.terminal import is_rich
from nodes.events import Level
from nodes.stack.machine import NS_PER_S

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from fleet.place import AnyLog
    from fleet.service.metrics import Meter

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)
END_S: Final = 9.5  # after a signal; workers give up a little earlier
PLAIN_S: Final = 10.0  # between two lines where there is no terminal
RATE_S: Final = 2.0  # over which events a second are told
KNOWN_PART: Final = 100  # one of so many commands is handled before the time that is left is told
RATES_MAX: Final = 64  # reports of that time that are kept
WORST_MAX: Final = 3  # kinds of outcome that are told
WORST: Final = {  # from bad to mild: level and kind of an outcome -> what people call it
    (Level.EL3, "FirmwareStopped"): "hosts stopped by EL3",
    (Level.HYPERVISOR, "KernelPanicked"): "hosts panicked",
    (Level.VMM, "VmExited"): "VMs ended",
    (Level.GUEST_KERNEL, "KernelPanicked"): "guests panicked",
    (Level.GUEST_KERNEL, "SignalSent"): "applications signalled",
    (Level.HYPERVISOR, "PageOfflined"): "host pages offlined",
    (Level.HYPERVISOR, "RecordLogged"): "records logged by hosts",
}
Came = TypeVar("Came")


def carry_out(log: RunLog, source: Source) -> tuple[Summary, float]:
    """Run in this process, to the end or to a signal, and say in the log how it ended.

    Returns the summary and the seconds that it took. Raises LogError.
    """
    began = time.monotonic()

    async def whole() -> Summary:
        run = Run(log, source)
        await until_stopped(run.run(), run.stop)
        return run.summary()

    with no_collection():
        summary = _closed(log, whole)
    return _finished(log, summary), time.monotonic() - began


class Carrying(NamedTuple):
    """How a run is carried out."""

    workers: int
    speed: float | None = None  # virtual seconds in a real one; None: as fast as it goes
    meter: "Meter | None" = None  # of the supervisor


class Carried(NamedTuple):
    """A run, or what was carried out of it."""

    summary: Summary
    seconds: float
    workers: int
    signal: int = 0  # that stopped it


def supervise(log: "AnyLog", source: Source, how: Carrying, *, commands: int, end_ns: int) -> Carried:
    """Run with worker processes, to the end or to a signal, and say in the log how it ended.

    ``commands`` are expected, and the clock's end. Raises LogError.
    """
    began = time.monotonic()
    log.lock()
    crew: Crew = FileCrew(log) if isinstance(log, FileLog) else KafkaCrew(log)
    brokers = "" if isinstance(log, FileLog) else log.servers

    async def whole() -> Carried:
        with _shown(commands, end_ns) as shown:
            pace = None if how.speed is None else Pace(how.speed, shown.say)
            supervisor = Supervisor(crew, source, workers=how.workers, say=shown.say, report=shown.report)
            supervisor.writer.pace = pace

            def stop() -> None:
                supervisor.stop()
                if how.meter is not None:
                    how.meter.show(supervisor.facts())

            showing = asyncio.ensure_future(_show(supervisor, how.meter))
            try:
                summary, number = await until_stopped(supervisor.run(), stop, brokers=brokers)
            finally:
                showing.cancel()
            return Carried(summary, 0.0, len(supervisor.workers), number)

    carried = _closed(log, whole)
    _finished(log, carried.summary)
    return carried._replace(seconds=time.monotonic() - began)


async def _show(supervisor: Supervisor, meter: "Meter | None") -> None:
    """Say how a run stands, for as long as it goes on."""
    while meter is not None:
        meter.show(supervisor.facts())
        await asyncio.sleep(PROGRESS_S)


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the garbage collector: what lives, lives as long as the run; events and commands make no cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _closed(log: RunLog, work: Callable[[], Awaitable[Came]]) -> Came:
    async def whole() -> Came:
        try:
            return await work()
        finally:
            await log.close()

    return asyncio.run(whole())


def _finished(log: RunLog, summary: Summary) -> Summary:
    if not summary.interrupted:
        log.finish(summary)
    return summary


async def until_stopped(
    running: Awaitable[Came], stop: Callable[[], None], *, brokers: str = ""
) -> tuple[Came, int]:
    """What a run comes to, and the first signal that was sent to stop it; 0: none was.

    Where ``brokers`` do not answer, the process ends ``END_S`` after the signal, whatever it waits for.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOPPING}
    came: list[int] = []

    def end(number: int) -> None:
        came.append(number)
        stop()
        if brokers:
            loop.call_later(END_S, _give_up, brokers)

    for number in _STOPPING:
        loop.add_signal_handler(number, end, number)
    try:
        return await running, came[0] if came else 0
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)  # else it is the default, which for SIGTERM ends with no word


def _give_up(brokers: str) -> None:
    click.echo(
        f"rasfleet: {brokers}: no broker answers; what is not written comes again when it goes on", err=True
    )
    os._exit(GIVEN_UP)


class Shown:
    """How far a run is: a line now and then."""

    def __init__(self, commands: int, end_ns: int) -> None:
        self._commands = commands
        self._end_ns = end_ns
        self._began_s = self._told_s = time.monotonic()
        self._rate = Rate()

    def say(self, text: str) -> None:
        """A line of its own."""
        click.echo(f"rasfleet: {text}", err=True)

    def report(self, progress: Progress, written: int) -> None:
        """How far the workers are, and how many commands are written."""
        self._rate.add(progress.events)
        if time.monotonic() - self._told_s >= PLAIN_S:
            self._told_s = time.monotonic()
            left = f" · {_span(self._left_s(progress.commands))} left" if self._knows(progress) else ""
            self.say(f"{self.told(progress, written)}{left}")

    def _knows(self, progress: Progress) -> bool:
        """Whether enough is done to say how long the rest will take."""
        return progress.commands * KNOWN_PART >= self._commands

    def told(self, progress: Progress, written: int) -> str:
        """How far it is, in a line."""
        worst = ", ".join(f"{count:,} {name}" for name, count in _worst(progress.outcomes)) or "nothing yet"
        return (
            f"virtual {_span(progress.time_ns / NS_PER_S)} of {_span(self._end_ns / NS_PER_S)} · "
            f"{progress.faults:,} faults · {self._rate.per_s():,.0f} events/s · "
            f"backlog {max(0, written - progress.commands):,} · worst: {worst}"
        )

    def _left_s(self, handled: int) -> float:
        spent_s = time.monotonic() - self._began_s
        return spent_s * max(0, self._commands - handled) / max(1, handled)


class ShownOnTerminal(Shown):
    """How far a run is: a bar that stays in its place."""

    def __init__(self, commands: int, end_ns: int, bar: "Bar") -> None:
        super().__init__(commands, end_ns)
        self._bar = bar
        self._task = bar.add_task("", total=commands)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(f"rasfleet: {text}", markup=False, highlight=False)

    def report(self, progress: Progress, written: int) -> None:
        """Move the bar."""
        self._rate.add(progress.events)
        self._bar.update(self._task, completed=progress.commands, description=self.told(progress, written))


class Rate:
    """Events a second, of the last seconds."""

    def __init__(self) -> None:
        self._seen = [(time.monotonic(), 0)]

    def add(self, events: int) -> None:
        """So many there are in all."""
        now_s = time.monotonic()
        recent = [seen for seen in self._seen[-RATES_MAX:] if now_s - seen[0] <= RATE_S]
        self._seen = [*(recent or self._seen[-1:]), (now_s, events)]

    def per_s(self) -> float:
        """The rate."""
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return max(0, last - first) / max(last_s - first_s, 0.1)


@contextmanager
def _shown(commands: int, end_ns: int) -> Iterator[Shown]:
    if not is_rich(sys.stderr):
        yield Shown(commands, end_ns)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    bar = Progress(
        MofNCompleteColumn(),
        BarColumn(10),
        TimeRemainingColumn(),
        TextColumn(
            "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
        ),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
    with bar:
        yield ShownOnTerminal(commands, end_ns, bar)


def _worst(outcomes: dict[str, int]) -> list[tuple[str, int]]:
    found = [(name, outcomes.get(f"{level.value} {kind}", 0)) for (level, kind), name in WORST.items()]
    return [(name, count) for name, count in found if count][:WORST_MAX]


def _span(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
