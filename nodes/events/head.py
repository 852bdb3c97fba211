"""The facts that leave a host, in the past tense, and the commands that are done to it.

On the wire each is a MessagePack array ``[tag, n, host, sequence, time_ns, ...]``. ``n`` is the position in its
partition of its topic, ``sequence`` orders all events of one host; a command has the number that its origin gave
it in that place. Fields are only ever appended, each with a default; any other change gets a new tag. Observed
events never say which fault is behind them.

Sources: the design's section 4 (topics, events).
"""

from enum import IntEnum
from typing import ClassVar, Final

import msgspec

COMMAND: Final = "ras.command.v1"
SYNDROME: Final = "ras.syndrome.v1"
CPER: Final = "ras.cper.v1"
OUTCOME: Final = "ras.outcome.v1"
HOST_TOPICS: Final = (SYNDROME, CPER, OUTCOME)  # what hosts write, in the order of their place in a frame
DEAD_LETTER: Final = f"{COMMAND}.dlq"  # commands that were not done
SHARD_TOPICS: Final = (*HOST_TOPICS, DEAD_LETTER)  # what a shard writes
NO_GUEST: Final = -1


class Level(IntEnum):
    """The level of a host's error stack that an event speaks of."""

    HARDWARE = 0
    EL3 = 1
    HYPERVISOR = 2  # the host's kernel, KVM included
    VMM = 3  # QEMU
    GUEST_FIRMWARE = 4
    GUEST_KERNEL = 5


class Signal(IntEnum):
    """A signal that a kernel sends."""

    SIGBUS = 7
    SIGKILL = 9
    SIGSEGV = 11


class SignalCode(IntEnum):
    """si_code of a signal, as Linux numbers it."""

    SI_KERNEL = 0x80
    BUS_OBJERR = 3
    BUS_MCEERR_AR = 4  # action required: the task met the error
    BUS_MCEERR_AO = 5  # action optional: the task may meet it


class Receiver(IntEnum):
    """Who gets a signal."""

    APPLICATION = 0
    VMM = 1


class Refusal(IntEnum):
    """Why an operating system was not notified. Source: TF-A services/std_svc/sdei, sdei_dispatch_event()."""

    PE_MASKED = 1
    NOT_MAPPED = 2
    CRITICAL_OUTSTANDING = 3
    NORMAL_RUNNING = 4
    NOT_REGISTERED = 5
    NOT_ENABLED = 6


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The common head; it never changes."""

    topic: ClassVar[str] = ""
    level: ClassVar[Level | None] = None  # None: the first field of its own says the level
    registers: ClassVar[dict[str, str]] = {}  # field -> register that it holds the value of

    n: int  # position in the partition
    host: str
    sequence: int
    time_ns: int  # virtual, from the scenario's start


class ClockAdvanced(Event, frozen=True, gc=False, array_like=True, tag=1):
    """No event of this partition will be earlier than ``time_ns``. Command, and watermark in every topic."""

    topic = COMMAND
