"""The eight-byte BCD timestamp of CPER.

Bytes: second, minute, hour, flags (bit 0: precise), day, month, year, century.
Sources: UEFI 2.11 appendix N.2.1, table N.1; the same layout in ACPI 6.5 table 18.12 (data entry).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from nodes.spec.layout import Malformed

PRECISE: Final = 0x01  # flags byte
_BCD: Final = tuple(tens << 4 | ones for tens in range(10) for ones in range(10))  # index: 0..99
_NS_PER_S: Final = 1_000_000_000
_SECONDS_KEPT: Final = 4096


class Timestamp(NamedTuple):
    """A moment as firmware writes it; whole seconds, no zone (taken as UTC)."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    precise: bool

    def iso(self) -> str:
        """ISO 8601 with the zone UTC; years below 1000 keep four digits."""
        return (
            f"{self.year:04d}-{self.month:02d}-{self.day:02d}"
            f"T{self.hour:02d}:{self.minute:02d}:{self.second:02d}+00:00"
        )


def bcd(value: int) -> int:
    """A number 0..99 as one BCD byte."""
    return _BCD[value]


def from_bcd(byte: int) -> int:
    """One BCD byte as Linux reads it (bcd2bin): a digit above 9 is not refused."""
    return (byte >> 4) * 10 + (byte & 0xF)


def timestamp_bytes(moment: Timestamp) -> bytes:
    """The eight bytes of a moment."""
    century, year = divmod(moment.year, 100)
    return bytes(
        (
            _BCD[moment.second],
            _BCD[moment.minute],
            _BCD[moment.hour],
            PRECISE if moment.precise else 0,
            _BCD[moment.day],
            _BCD[moment.month],
            _BCD[year],
            _BCD[century],
        )
    )


def timestamp_of(stored: bytes, offset: int = 0) -> Timestamp:
    """The moment in eight bytes; ``offset`` (bytes) is named when a digit is not decimal.

    Raises Malformed for a BCD digit above 9. Whether the day exists is not asked.
    """
    for index, byte in enumerate(stored):
        if index != 3 and (byte & 0xF > 9 or byte >> 4 > 9):
            raise Malformed("timestamp", offset + index, f"0x{byte:02x} is not BCD")
    second, minute, hour, flags, day, month, year, century = stored
    return Timestamp(
        year=from_bcd(century) * 100 + from_bcd(year),
        month=from_bcd(month),
        day=from_bcd(day),
        hour=from_bcd(hour),
        minute=from_bcd(minute),
        second=from_bcd(second),
        precise=bool(flags & PRECISE),
    )


@lru_cache(_SECONDS_KEPT)
def timestamp_at(epoch_s: int) -> bytes:
    """The eight bytes of a time in seconds since 1970-01-01; errors come in bursts, so the last ones are kept."""
    return timestamp_bytes(at_epoch_ns(epoch_s * _NS_PER_S))


def at_epoch_ns(epoch_ns: int) -> Timestamp:
    """The moment (precise, seconds rounded down) of a time in ns since 1970-01-01."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch_ns // _NS_PER_S)
    return Timestamp(
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, precise=True
    )
