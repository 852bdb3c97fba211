"""Whether a terminal gets colours and lines that move, or plain text; and an object as plain text.

Sources: no-color.org (NO_COLOR set and not empty); terminfo(5) for TERM=dumb.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Final, TextIO

_DUMB: Final = frozenset(("dumb", "unknown"))


def wants_plain() -> bool:
    """Whether the environment asks for text without escape sequences."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "").lower() in _DUMB


def is_rich(out: TextIO) -> bool:
    """Whether a stream is a terminal that may get escape sequences."""
    return out.isatty() and not wants_plain()


def facts(told: Mapping[str, object], width: int, table: str) -> Iterator[str]:
    """An object in lines: names in a column of a width, and the rows of its tables by name, key and count.

    What is not known is left out. A seed is a name, other whole numbers are counts.
    """
    for name, value in told.items():
        if isinstance(value, dict):
            yield from (table.format(name=name, key=key, count=count) for key, count in value.items())
        elif value is not None:
            yield f"{name:{width}}" + (f"{value:,}" if isinstance(value, int) and name != "seed" else str(value))
