"""Times as people give them: seconds of virtual time, a unit behind the number, or a date of the run."""

import re
from datetime import UTC, datetime
from typing import Final

NS_PER_S: Final = 1_000_000_000
_SPAN: Final = re.compile(r"(\d+)(?:\.(\d{1,9}))?(ns|us|ms|s|m|h|d)?")
_UNITS: Final[dict[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86400 * NS_PER_S,
}  # in ns


class NoTime(ValueError):
    """A text that is no time."""


def virtual_ns(text: str, epoch_ns: int) -> int:
    """Virtual time in ns; ``epoch_ns``: real time of virtual time 0. Raises NoTime."""
    found = _SPAN.fullmatch(text.strip())
    if found:
        whole, part, unit = found[1], found[2] or "", found[3] or "s"
        scale: int = 10 ** len(part)
        return (int(whole) * scale + int(part or 0)) * _UNITS[unit] // scale
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NoTime(
            f'"{text}": expected seconds, 1.5h, 90m, 250us, or a date such as 2026-01-01T00:20:00Z'
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * NS_PER_S + since.microseconds * 1000 - epoch_ns


def seconds_of(text: str, epoch_ns: int) -> float:
    """Virtual time in seconds. Raises NoTime."""
    return virtual_ns(text, epoch_ns) / NS_PER_S
