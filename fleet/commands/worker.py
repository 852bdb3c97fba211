"""``rasfleet worker``: work on a run on Kafka, beside others."""

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click

from fleet.options import metered, with_metrics
from fleet.place import of_brokers

if TYPE_CHECKING:
    from fleet.engine.messages import FromWorker
    from fleet.service.serving import Address


@click.command()
@click.option("--run", "run", required=True, metavar="NAME", help="The run's name.")
@of_brokers
@with_metrics
def worker(run: str, kafka: str | None, metrics: "Address | None") -> None:
    """Join a run on Kafka, from anywhere, and work until it is over.

    The group rasfleet-NAME divides the partitions among all workers, and anew when one joins, leaves or dies.
    SIGTERM leaves what was taken written and committed, within 10 s. A program that behaves otherwise than the one
    that made the run is refused.
    """
    signal.signal(signal.SIGTERM, _nothing_taken)  # before what takes time
    from fleet.engine.again import check_behaviour
    from fleet.engine.joined import Joined, carried
    from fleet.engine.messages import GIVEN_UP
    from fleet.log.kafka.log import KafkaLog
    from fleet.log.kafka.names import group_of
    from fleet.place import brokers_of, say, servers_of

    log = KafkaLog.open(brokers_of(servers_of(kafka)), run, say=say)
    check_behaviour(log)
    with metered(metrics, log.manifest, log.run, group_of(log.run), say) as meter:
        joined = Joined(log, _hear, meter=meter)
        over = asyncio.run(carried(joined, listen=False))
    if over:
        count = len(joined.over)
        say(f"run {run}: over; {count} partition{'s'[: count != 1]} came to their end here")
    sys.exit(GIVEN_UP if joined.gave_up and not over else 0)


def _nothing_taken(*_: object) -> None:
    """SIGTERM before it works on anything."""
    sys.exit(0)


def _hear(message: "FromWorker") -> None:
    from fleet.engine.messages import Said
    from fleet.place import say

    if isinstance(message, Said):
        say(message.text)


command = worker
