"""What a supervisor and its workers say to each other: MessagePack with the length before it, over pipes.

A message is an array with its tag first. Both ends are the same program, so nothing is kept for older ones.
"""

import asyncio
import struct
from typing import Any, Final

import msgspec

from fleet.codec import encode
from fleet.engine.shard import ShardSummary
from fleet.log.protocol import Contradiction, CorruptLog, LogError, Unreachable
from fleet.service.figures import Stand, Tally

MESSAGE_SIZE_MAX: Final = 64 * 1024 * 1024  # bytes; a longer one is none of ours
GIVEN_UP: Final = 3  # exit code of one that could not leave what it handled written
_LENGTH: Final = struct.Struct(">I")


class Message(msgspec.Struct, frozen=True, array_like=True):
    """Anything that is said."""


class Finish(Message, frozen=True, array_like=True, tag=1):
    """To a worker: no command will come at or behind these offsets, one for each partition."""

    offsets: list[int]


class Stop(Message, frozen=True, array_like=True, tag=2):
    """To a worker: handle no further commands, and leave everything written."""


class Progress(Message, frozen=True, array_like=True, tag=10):
    """From a worker: how far it is, over all its shards."""

    commands: int  # handled
    faults: int
    events: int
    time_ns: int  # virtual; of the shard that is furthest behind
    outcomes: dict[str, int]  # "LEVEL KIND" -> count
    tally: Tally = Tally()  # of its process
    stands: list[Stand] = []  # of the shards that are at work


class Said(Message, frozen=True, array_like=True, tag=11):
    """From a worker: a line for people."""

    text: str


class Ended(Message, frozen=True, array_like=True, tag=12):
    """From a worker: everything is written."""

    shards: list[ShardSummary]
    stopped: bool


class Failed(Message, frozen=True, array_like=True, tag=13):
    """From a worker: it cannot go on."""

    kind: str  # Contradiction, CorruptLog, Unreachable, LogError; anything else is a defect
    text: str
    place: str = ""
    offset: int = 0
    unit: str = ""  # of the offset


ToWorker = Finish | Stop
FromWorker = Progress | Said | Ended | Failed
_DECODER: Final[Any] = msgspec.msgpack.Decoder(ToWorker | FromWorker)


def packed(message: ToWorker | FromWorker) -> bytes:
    """A message as it goes through a pipe."""
    octets = encode(message)
    return _LENGTH.pack(len(octets)) + octets


async def read_message(reader: asyncio.StreamReader) -> ToWorker | FromWorker | None:
    """The next message; None where they end, even in the middle of one."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MESSAGE_SIZE_MAX:
            return None
        message: ToWorker | FromWorker = _DECODER.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, msgspec.DecodeError):
        return None
    return message


def failure_of(fault: BaseException) -> Failed:
    """What a worker says of an exception that ends it."""
    while isinstance(fault, BaseExceptionGroup):  # of its tasks; the first one ended the others
        fault = fault.exceptions[0]
    if isinstance(fault, CorruptLog):
        return Failed("CorruptLog", fault.reason, fault.place, fault.offset, fault.unit)
    if isinstance(fault, OSError):
        return Failed("LogError", f"{fault.filename or 'the system'}: {fault.strerror or fault}")
    return Failed(type(fault).__name__, str(fault))


def raised(failed: Failed) -> LogError | None:
    """The exception that a worker's failure stands for; None for a defect."""
    match failed.kind:
        case "CorruptLog":
            return CorruptLog(failed.place, failed.offset, failed.text, unit=failed.unit)
        case "Contradiction":
            return Contradiction(failed.text)
        case "Unreachable":
            return Unreachable(failed.text)
        case "LogError":
            return LogError(failed.text)
        case _:
            return None
