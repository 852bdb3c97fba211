"""Sending a fault to a host of a run, while it goes on or when it is over.

The command is appended to the host's partition and takes the place that it gets there: its time is that of the
shard's clock when its turn comes. Whoever runs the commands again gets the same events.

Source: the design's section 4, "Commands are idempotent".
"""

import asyncio
import secrets
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from fleet.codec import encode
from fleet.engine.again import check_behaviour
from fleet.engine.outlet import NS_PER_MS
from fleet.log.files import FileLog
from fleet.log.protocol import Written
from fleet.partition import partition_of
from fleet.scenario.plan import roster_of
from fleet.view.tracing import NotTraceable, Wanted, command_of
from nodes.stack.platform import Platform

if TYPE_CHECKING:
    from fleet.place import AnyLog

ORIGIN: Final = 1  # of commands that are sent to a log of files; their numbers are their places in the partition
FIRST_RANDOM: Final = 1 << 32  # origins from here on are drawn, each for one call
ORIGIN_BITS: Final = 62  # of those
COUNT_MAX: Final = 100_000  # of one call


class Sent(NamedTuple):
    """Commands that stand in the log."""

    host: str
    partition: int
    offset: int  # of the first one
    commands: int
    address: int | None  # physical, where the fault has one


def inject(log: "AnyLog", host: str, wanted: Wanted, *, block: bytes = b"", count: int = 1, pe: int = 0) -> Sent:
    """Append commands; they are durable when this returns. Raises LogError, NotTraceable."""
    check_behaviour(log)
    topology, epoch_ns = roster_of(log.manifest)
    home = topology.home_of(host)
    if home is None:
        raise NotTraceable(f'no host "{host}" in this run; {_named(host, topology.name_of(0))}')
    kind, fields = command_of(wanted, home.platform, _guest(wanted, home.platform), block, pe=pe)
    refused = home.platform.limits.refusal(kind(0, host, 1, 0, ORIGIN, *fields))
    if refused:  # it would become a dead letter
        raise NotTraceable(f"{wanted.fault}: {refused}")
    partition = partition_of(host, log.manifest.partitions)
    timestamp_ms = epoch_ns // NS_PER_MS

    def made(offset: int, origin: int) -> list[Written]:
        commands = (kind(at, host, at + 1, 0, origin, *fields) for at in range(offset, offset + count))
        return [Written(timestamp_ms, host.encode(), encode(command)) for command in commands]

    end = _appended(log, partition, made)
    return Sent(host, partition, end - count, count, fields[1] if kind.__name__ == "InjectFault" else None)


def _appended(log: "AnyLog", partition: int, made: Callable[[int, int], list[Written]]) -> int:
    """The offset behind commands that are made for an offset and an origin.

    Nobody knows on Kafka where they will stand, so each call is an origin of its own and numbers them from 1.
    """
    if isinstance(log, FileLog):
        return log.commands(partition).append_made(lambda offset: made(offset, ORIGIN))
    origin = FIRST_RANDOM + secrets.randbits(ORIGIN_BITS)
    return asyncio.run(log.append_commands(partition, made(0, origin)))


def _guest(wanted: Wanted, platform: Platform) -> int:
    """The guest that is meant: one by number, the owner of the address, or none."""
    guests = platform.shape.guests
    if wanted.guest is not None and wanted.guest >= guests:
        raise NotTraceable(f"guest {wanted.guest}: the host has {guests}, counted from 0")
    if wanted.address is not None:
        owner = platform.guest_of(wanted.address)
        if wanted.guest not in {None, owner}:
            raise NotTraceable(
                f"address 0x{wanted.address:x} belongs to guest {owner}, not to guest {wanted.guest}"
            )
        return owner
    return -1 if wanted.guest is None else wanted.guest


def _named(host: str, first: str) -> str:
    near = get_close_matches(host, [first], n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f'its first host is "{first}"'
