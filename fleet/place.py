"""Where a run's log is: a folder, or a run's name and the brokers that keep it.

Every command imports this for its option, so a log is imported only where one is opened.

Source: the design's section 4, "A run has a name and a manifest".
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from fleet.log.files import FileLog
    from fleet.log.kafka.connection import Brokers
    from fleet.log.kafka.log import KafkaLog

    AnyLog = FileLog | KafkaLog

BROKERS: Final = "RASFLEET_KAFKA"  # environment: the brokers where runs are looked for that no folder has
ON_BROKERS: Final = "kafka:"  # in front of a run's name, where a folder could be meant

PLAINTEXT: Final = "RASFLEET_KAFKA_PLAINTEXT"  # environment, for the workers of this process, too

Command = TypeVar("Command", bound=Callable[..., object])


def _allow_plaintext(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 (what click calls)
    """In the environment, since it is for all that talk to brokers, processes that this one starts included."""
    if value:
        before = os.environ.get(PLAINTEXT, "")
        os.environ[PLAINTEXT] = "1"
        ctx.call_on_close(lambda: os.environ.__setitem__(PLAINTEXT, before))


def check_brokers(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """What --kafka says is a list of brokers, before anything else is looked at. Raises LogError."""
    if value is not None:
        from fleet.log.kafka.addresses import addresses

        addresses(value, "--kafka")
    return value


of_plaintext = click.option(
    "--plaintext",
    is_flag=True,
    expose_value=False,
    callback=_allow_plaintext,
    help="Talk to brokers without TLS and login; elsewhere than on this machine that has to be said.",
)


def of_brokers(command: Command) -> Command:
    """The options of a command that talks to brokers."""
    named = click.option(
        "--kafka",
        metavar="BROKERS",
        callback=check_brokers,
        help=f"host:port, several with commas between: RUN is the name of a run there. {BROKERS} names them, too.",
    )
    return named(of_plaintext(command))


def brokers_of(servers: str, tell: Callable[[str], None] | None = None) -> "Brokers":
    """How these brokers are talked to, as files and environment say. ``tell``: gets warnings. Raises LogError."""
    from fleet.log.kafka.connection import Brokers
    from fleet.log.kafka.security import security_of

    security = security_of(servers, os.environ, say=tell or say)
    return Brokers(servers, security.compression, security.client, security.loopback_only)


def servers_of(kafka: str | None) -> str:
    """The brokers of the command line or the environment. Raises LogError."""
    from fleet.log.kafka.addresses import addresses
    from fleet.log.protocol import LogError

    servers = kafka or os.environ.get(BROKERS)
    if not servers:
        raise LogError(f"which brokers? Say --kafka host:port, or set {BROKERS}")
    addresses(servers, "--kafka" if kafka else BROKERS)
    return servers


def words_of(servers: str | None) -> list[str]:
    """The words that name the same brokers on a command line; none for files."""
    if not servers:
        return []
    return ["--kafka", servers, *(["--plaintext"] if os.environ.get(PLAINTEXT) == "1" else [])]


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
