"""Carrying a run out for a command, with workers: from its beginning, or from where it stands.

Source: the design's section 4, "Resume".
"""

import asyncio
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from fleet.engine.again import check_behaviour
from fleet.engine.console import Carried, Carrying, supervise, until_stopped
from fleet.engine.pace import Pace
from fleet.engine.writer import Commands, CommandWriter
from fleet.integrity import OTHER_MANIFEST, glance
from fleet.log.files import MANIFEST, FileLog
from fleet.log.frames import COMMANDS, EVENTS
from fleet.log.protocol import CorruptLog
from fleet.manifest import SCENARIO, Manifest, Options, Summary
from fleet.place import words_of
from fleet.scenario.expectation import ExpectTable, unmet
from fleet.scenario.plan import Plan, plan_of
from fleet.view.report import Told
from nodes.events import COMMAND

if TYPE_CHECKING:
    from fleet.log.kafka.log import KafkaLog
    from fleet.place import AnyLog

_SHOWN: Final = ("hosts", "guests", "faults")  # options of ``run`` that the line which repeats it needs


class Logged:
    """A run whose commands cannot be made again: those in the log are all there are."""

    def __init__(self, plan: Plan) -> None:
        self.roster = plan.roster
        self.epoch_ns = plan.epoch_ns

    def batches(self) -> Iterator[Commands]:
        """Nothing to write."""
        return iter(())


def carry_out(log: "AnyLog", plan: Plan, how: Carrying) -> Told:
    """Carry a run out to its end, or until a signal stops it. Raises LogError."""
    source = plan if log.manifest.source == SCENARIO else Logged(plan)
    seconds = 0.0
    while True:
        carried = supervise(log, source, how, commands=plan.commands_written(), end_ns=plan.end_ns)
        seconds += carried.seconds
        if carried.summary.interrupted or not _more_commands(log, carried.summary):
            return told(log, plan, carried._replace(seconds=seconds))
        log.lock()  # somebody sent commands behind the end while it was carried out
        log.unfinish()


class Written(NamedTuple):
    """Commands that were written for workers elsewhere."""

    offsets: list[int]  # by partition: behind the last one
    is_all: bool  # and it is said where they end
    signal: int  # that stopped it


def only_command(
    log: "KafkaLog", plan: Plan, speed: float | None = None, say: Callable[[str], None] = print
) -> Written:
    """Write a run's commands and where they end, and leave the rest to workers. Raises LogError."""
    log.lock()
    writer = CommandWriter(log, plan, None if speed is None else Pace(speed, say))

    async def whole() -> Written:
        try:
            is_all, number = await until_stopped(writer.run(), writer.stop, brokers=log.servers)
            if is_all:
                await asyncio.to_thread(log.say_end, writer.offsets)
            return Written(writer.offsets, is_all, number)
        finally:
            await log.close()

    return asyncio.run(whole())


def go_on(log: "AnyLog", how: Carrying, *, takes_over: bool = False) -> Told:
    """Carry a run on from where it stands; ``takes_over``: from a program that does so now. Raises LogError."""
    check_behaviour(log)
    if isinstance(log, FileLog):
        _check_whole(log)
    plan = plan_of(log.manifest)
    summary = log.summary()
    if summary is not None and not _more_commands(log, summary):
        return told(log, plan, Carried(summary, 0.0, 0))
    if not isinstance(log, FileLog) and not takes_over:
        log.wait_for_nobody()
    log.lock()
    log.unfinish()
    return carry_out(log, plan, how)


def _check_whole(log: FileLog) -> None:
    """Raises CorruptLog where a run is not what it was, as far as a glance tells; and what to do."""
    if not log.has_its_manifest():
        raise CorruptLog(str(log.folder / MANIFEST), 0, f"{OTHER_MANIFEST}; put that one back")
    summary = log.summary()
    if summary is None:
        return  # whoever takes a partition over looks at its files
    commands, events = glance(log, summary, COMMANDS), glance(log, summary, EVENTS)
    if not commands and not events:
        return
    first, *others = commands + events
    more = f", and {len(others)} more like it" if others else ""
    remedy = "remove the damaged files and summary.json, and resume makes their events again from the commands"
    if commands:
        remedy = f"run it again: {shlex.join(repeat_of(log.manifest, str(log.folder)))}"
    reason = f"{first.reason}{more}; rasfleet log verify {log.folder} tells all; {remedy}"
    raise CorruptLog(first.place, first.offset, reason)


def _more_commands(log: "AnyLog", summary: Summary) -> bool:
    """Whether somebody sent commands to a run that was over. On Kafka not every offset has one."""
    said = None if isinstance(log, FileLog) else log.end()
    return any(
        next((entry.offset + 1 for entry in log.commands_backwards(partition)), 0) > end
        for partition, end in enumerate(said or summary.counts[COMMAND])
    )


def told(log: "AnyLog", plan: Plan, carried: Carried) -> Told:
    """What a run came to, with the line that repeats it."""
    manifest = log.manifest
    summary = carried.summary
    expected = is_as_expected(manifest, plan)
    return Told(
        scenario=plan.scenario.name,
        seed=plan.seed,
        hosts=plan.roster.count,
        guests=plan.roster.guests,
        workers=carried.workers,
        summary=summary,
        seconds=carried.seconds,
        signal=carried.signal,
        repeat=repeat_of(manifest, *_named(log)),
        out=_named(log)[0],
        kafka=_named(log)[1],
        unmet=unmet(plan.scenario.expect, summary) if expected and not summary.interrupted else [],
        place=manifest.place or manifest.name,
        unchecked=not expected and plan.scenario.expect != ExpectTable(),
    )


def is_as_expected(manifest: Manifest, plan: Plan) -> bool:
    """Whether the run is the scenario as it stands, so that what it expects holds."""
    options = manifest.options
    return options == Options(seed=options.seed) and plan.seed == plan.scenario.seed


def _named(log: "AnyLog") -> tuple[str, str]:
    """The folder, or the run's name and its brokers."""
    return (str(log.folder), "") if isinstance(log, FileLog) else (log.run, log.servers)


def repeat_of(manifest: Manifest, out: str, kafka: str = "") -> list[str]:
    """The command that makes this run again beside it."""
    brokers = words_of(kafka)
    if manifest.source != SCENARIO:
        return ["rasfleet", "resume", out, *brokers]
    words = ["rasfleet", "run", manifest.place or manifest.name, "--seed", str(manifest.seed)]
    for name in _SHOWN:
        value = getattr(manifest.options, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    if manifest.options.until_s is not None:
        words += ["--until", f"{manifest.options.until_s:.9f}".rstrip("0").rstrip(".")]
    return [*words, *brokers, "--name" if kafka else "--out", f"{out}-again"]
