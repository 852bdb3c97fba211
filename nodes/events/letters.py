"""Dead letters: commands that were not done, with reason and place.

Anyone may write to the topic of commands, so anything may stand there. A letter is an event like others: it has
its position, and whoever handles the same commands again writes the same letters.

Source: the design's section 4 (topics).
"""

from enum import IntEnum
from typing import Final

from nodes.events.head import DEAD_LETTER, Event

VALUE_SIZE_MAX: Final = 1024  # bytes of a value that a letter keeps; the rest stands where the letter says
KEY_SIZE_MAX: Final = 256  # bytes of a key that it keeps


class Why(IntEnum):
    """Why a command was not done."""

    CORRUPT = 1  # the record batch fails its checksum: nobody knows what stood there
    UNDECODABLE = 2  # no command by its bytes
    OVERSIZED = 3  # more bytes than a value may have
    UNKNOWN_TAG = 4  # a command that this program does not know
    UNKNOWN_HOST = 5  # nobody has the name
    OTHER_PARTITION = 6  # the host's commands belong elsewhere: the key was hashed in another way
    OUT_OF_RANGE = 7  # a field that this host cannot have
    OUT_OF_PLAN = 8  # the number is not the next one of the scenario's commands
    FAR_AHEAD = 9  # its time is too far ahead of the partition's clock


class CommandRefused(Event, frozen=True, gc=False, array_like=True, tag=80):
    """A command was not done. ``host`` is empty: what it says need not be true. ``time_ns``: the clock's."""

    topic = DEAD_LETTER

    reason: int  # Why
    from_topic: str
    from_partition: int
    from_offset: int
    key: bytes  # as it was, cut to KEY_SIZE_MAX bytes
    value: bytes  # as it was, cut to VALUE_SIZE_MAX bytes
    value_size: int  # bytes of the whole value
