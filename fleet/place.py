"""Where a run's log is: a folder, or a run's name and the brokers that keep it.

Every command imports this for its option, so a log is imported only where one is opened.

Source: the design's section 4, "A run has a name and a manifest".
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from fleet.log.files import FileLog
    from fleet.log.kafka.connection import Brokers
    from fleet.log.kafka.log import KafkaLog

    AnyLog = FileLog | KafkaLog

BROKERS: Final = "RASFLEET_KAFKA"  # environment: the brokers where runs are looked for that no folder has
ON_BROKERS: Final = "kafka:"  # in front of a run's name, where a folder could be meant

of_brokers = click.option(
    "--kafka",
    metavar="BROKERS",
    help=f"host:port, several with commas between: RUN is the name of a run there. {BROKERS} names them, too.",
)


def brokers_of(servers: str) -> "Brokers":
    """How these brokers are talked to. Raises LogError."""
    from fleet.log.kafka.connection import Brokers

    return Brokers(servers)


def servers_of(kafka: str | None) -> str:
    """The brokers of the command line or the environment. Raises LogError."""
    from fleet.log.protocol import LogError

    servers = kafka or os.environ.get(BROKERS)
    if not servers:
        raise LogError(f"which brokers? Say --kafka host:port, or set {BROKERS}")
    return servers


def say(text: str) -> None:
    """A line for people."""
    click.echo(f"rasfleet: {text}", err=True)


@contextmanager
def opened(run: str, kafka: str | None) -> Iterator["AnyLog"]:
    """The log of a run. Without ``kafka`` a folder comes first, then a name at the brokers of the environment.

    No brokers but "": it is a folder.
    """
    import asyncio

    log = open_log(run, kafka)
    try:
        yield log
    finally:
        asyncio.run(log.close())


def open_log(run: str, kafka: str | None) -> "AnyLog":
    """The same, for one who closes it. Raises LogError."""
    named = run.startswith(ON_BROKERS)
    if not named and not kafka and (kafka == "" or Path(run).exists() or not os.environ.get(BROKERS)):
        from fleet.log.files import FileLog

        return FileLog.open(Path(run))
    from fleet.log.kafka.log import KafkaLog

    return KafkaLog.open(brokers_of(servers_of(kafka)), run.removeprefix(ON_BROKERS), say=say)
