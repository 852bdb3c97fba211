"""``rasfleet worker``: work on a run on Kafka, beside others."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from fleet.place import of_brokers

if TYPE_CHECKING:
    from fleet.messages import FromWorker


@click.command()
@click.option("--run", "run", required=True, metavar="NAME", help="The run's name.")
@of_brokers
def worker(run: str, kafka: str | None) -> None:
    """Join a run on Kafka, from anywhere, and work until it is over.

    The group rasfleet-NAME divides the partitions among all workers, and anew when one joins, leaves or dies.
    SIGTERM leaves what was taken written and committed, within 10 s. A program that behaves otherwise than the one
    that made the run is refused.
    """
    from fleet.again import check_behaviour
    from fleet.joined import Joined, carried
    from fleet.log.kafka.log import KafkaLog
    from fleet.place import brokers_of, say, servers_of

    log = KafkaLog.open(brokers_of(servers_of(kafka)), run, say=say)
    check_behaviour(log)
    joined = Joined(log, _hear)
    over = asyncio.run(carried(joined, listen=False))
    count = len(joined.over)
    said = f"{count} partition{'s'[: count != 1]} came to their end here"
    say(f"run {run}: over; {said}" if over else f"run {run}: left, everything that was handled is written")
    sys.exit(0)


def _hear(message: "FromWorker") -> None:
    from fleet.messages import Said
    from fleet.place import say

    if isinstance(message, Said):
        say(message.text)


command = worker
