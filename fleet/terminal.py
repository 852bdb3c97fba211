"""Whether a terminal gets colours and lines that move, or plain text.

Sources: no-color.org (NO_COLOR set and not empty); terminfo(5) for TERM=dumb.
"""

import os
from typing import Final, TextIO

_DUMB: Final = frozenset(("dumb", "unknown"))


def wants_plain() -> bool:
    """Whether the environment asks for text without escape sequences."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "").lower() in _DUMB


def is_rich(out: TextIO) -> bool:
    """Whether a stream is a terminal that may get escape sequences."""
    return out.isatty() and not wants_plain()
