"""A run in front of people: progress on a terminal's stderr, and signals that stop it in order."""

import asyncio
import gc
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

from fleet.log.files import FileLog
from fleet.manifest import Summary
from fleet.run import Progress, Run, Source

if TYPE_CHECKING:
    from collections.abc import Callable

_STOPPING = (signal.SIGINT, signal.SIGTERM)


def carry_out(log: FileLog, source: Source, *, commands: int) -> tuple[Summary, float]:
    """Run to the end or to a signal, and say in the log how it ended; ``commands`` are expected.

    Returns the summary and the seconds that it took. Raises LogError.
    """
    began = time.monotonic()
    with _Bar(commands) as bar:
        run = Run(log, source, report=bar.show)
        gc.disable()  # what lives, lives as long as the run; events and commands make no cycles
        try:
            asyncio.run(_until_stopped(run, log))
        finally:
            gc.enable()
    summary = run.summary()
    log.finish(summary)
    return summary, time.monotonic() - began


async def _until_stopped(run: Run, log: FileLog) -> None:
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, run.stop)
    try:
        await run.run()
    finally:
        await log.close()
        for number in _STOPPING:
            loop.remove_signal_handler(number)


class _Bar:
    """A bar on stderr when that is a terminal; else nothing."""

    def __init__(self, commands: int) -> None:
        self.show: Callable[[Progress], None] | None = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("commands"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("running", total=commands)
            self.show = self._update

    def _update(self, progress: Progress) -> None:
        self._bar.update(self._task, completed=progress.commands)

    def __enter__(self) -> Self:
        if self.show is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.show is not None:
            self._bar.stop()
