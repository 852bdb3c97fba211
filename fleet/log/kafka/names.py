"""The names of a run's topics and of its group on brokers.

Source: the design's section 4, "Topics".
"""

import re
import shlex
from typing import Final

from fleet.log.protocol import LogError

RUNS: Final = "ras.runs"  # the one topic that all runs share
CHECKPOINT: Final = "ras.checkpoint.v1"
ANY_BYTES: Final = (
    "surrogateescape"  # how keys that anybody wrote become text, and bytes again, as words of a shell do
)
RUN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_RUNS_OWN: Final = RUNS.partition(".")[0]  # a run of this name would have topics beside that one


def checked_name(run: str) -> str:
    """A run's name; dots are for topics. Raises LogError."""
    if not RUN_NAME.fullmatch(run):
        raise LogError(f"run name {run!r}: small letters, digits and '-', at most 100, no '-' at its beginning")
    if run == _RUNS_OWN:
        raise LogError(f"run name {run!r}: kept for {RUNS}, the topic of all runs; choose another")
    return run


def is_name(run: str) -> bool:
    """Whether a run may be called so."""
    return RUN_NAME.fullmatch(run) is not None and run != _RUNS_OWN


def text_of(name: str) -> str:
    """A name that anybody wrote, for those who read text: what is none is escaped."""
    return name.encode(errors=ANY_BYTES).decode(errors="backslashreplace")


def word_of(name: str) -> str:
    """A name that anybody wrote, as a shell takes it for a word, and as people can read it."""
    if name.isprintable():
        return shlex.quote(name)
    octets = name.encode(errors=ANY_BYTES)
    return (
        "$'" + "".join(chr(of) if 32 <= of < 127 and of not in b"\\'" else f"\\x{of:02x}" for of in octets) + "'"
    )


def topic_of(run: str, topic: str) -> str:
    """The name of a run's topic on the broker."""
    return topic if topic == RUNS else f"{run}.{topic}"


def group_of(run: str) -> str:
    """The name of the group of a run's workers."""
    return f"rasfleet-{run}"
