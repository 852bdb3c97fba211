"""What stands before a line of a kernel's log: host, times, caller, and the number of its record.

Forms: dmesg (raw, -x, -T, ISO, coloured), /dev/kmsg, syslog (BSD and RFC 5424), journal (short, precise, ISO,
full, unix, monotonic, json), with or without the kernel's own time and the tag of its caller. A line of another
program is told apart.

Sources: Linux kernel/printk/printk.c (times, caller), drivers/acpi/apei/ghes.c (``{n}[Hardware Error]: ``);
journalctl(1), dmesg(1); RFC 3164, RFC 5424.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

_NS_PER_S: Final = 1_000_000_000
_NS_PER_US: Final = 1000
_FRACTION_DIGITS: Final = 9  # of a second in ns
_YEAR_UNKNOWN: Final = 2000  # a leap year: BSD syslog says no year
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_KERNEL: Final = "kernel"

_HOST: Final = r"(?P<host>[A-Za-z0-9][A-Za-z0-9._:-]{0,254})"
_PROGRAM: Final = r"(?P<program>[^\s:\[\]]{1,64})(?:\[\d{1,10}\])?:(?: |$)"
_ZONE: Final = r"(?: ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d))?"
_ISO: Final = r"(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)" + _ZONE
_BSD: Final = r"(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d(?:\.\d{1,9})?)"
_LEADS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6})(?P<zone>[+-]\d\d:\d\d) ",  # dmesg: only it has a comma
        r"\d{1,3},\d{1,20},(?P<us>\d{1,15}),[^;]{1,64};",  # /dev/kmsg, and its caller in a field of its own
        rf"(?:[A-Z][a-z]{{2}} )?{_ISO}(?: [A-Z]{{3,5}})? {_HOST} {_PROGRAM}",  # also short-full, with a weekday
        rf"1 {_ISO} {_HOST} (?P<program>\S{{1,48}}) \S{{1,128}} \S{{1,32}} - ",  # RFC 5424 behind its priority
        rf"{_BSD} {_HOST} {_PROGRAM}",
        rf"(?P<unix>\d{{9,11}}\.\d{{6}}) {_HOST} {_PROGRAM}",
        rf"\[ *(?P<boot>\d{{1,9}}\.\d{{6}})\] {_HOST} (?P<program>kernel): ",
        rf"{_ISO} ",  # a time alone
        r"\[[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d) (?P<year>\d{4})\] ",
        r"(?P<program>kernel): ",
    )
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]{0,16}m")  # dmesg --color
_PRIORITY: Final = re.compile(r"<\d{1,3}>")
_FACILITY: Final = re.compile(r"[a-z0-9]{3,8} *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: ")
_STAMP: Final = re.compile(r"\[ *(\d{1,9})\.(\d{6})(?: <[ 0-9.+]*>)?\] ?")
_CALLER: Final = re.compile(r"\[ *[TC]\d{1,10}\] ?")
_HARDWARE: Final = re.compile(r"(?:\{(\d{1,10})\})?\[Hardware Error\]: ?")


class Line(NamedTuple):
    """One line without what stands before it."""

    number: int  # in the file, from 1
    text: str
    host: str = ""  # empty: the line names none
    kernel_ns: int | None = None  # since the host's boot
    wall_ns: int | None = None  # since 1970; without a year since an unknown year's beginning
    sequence: int | None = None  # the n of {n}[Hardware Error]
    hardware: bool = False  # [Hardware Error] stood before it
    foreign: bool = False  # of another program than the kernel


def line_of(number: int, raw: str) -> Iterator[Line]:
    """The line, or the lines of one journal entry, with everything before the text taken apart."""
    entry = _journal_entry(raw) if raw.startswith("{") and raw.endswith("}") else None
    if entry is None:
        yield _plain(number, raw)
        return
    for text in entry.text.split("\n"):
        line = _kernel_line(Line(number, text, entry.host, entry.boot_ns, entry.wall_ns, foreign=entry.foreign))
        yield line


def _plain(number: int, raw: str) -> Line:
    text = _COLOUR.sub("", raw) if "\x1b" in raw else raw
    text = _PRIORITY.sub("", text, count=1) if text.startswith("<") else text
    text = _FACILITY.sub("", text, count=1)
    for lead in _LEADS:
        found = lead.match(text)
        if found is not None:
            break
    else:
        return _kernel_line(Line(number, text))
    parts = found.groupdict()
    boot, us = parts.get("boot"), parts.get("us")
    return _kernel_line(
        Line(
            number,
            text[found.end() :],
            host=parts.get("host") or "",
            kernel_ns=_seconds_ns(boot) if boot else int(us) * _NS_PER_US if us else None,
            wall_ns=_wall_ns(parts),
            foreign=(parts.get("program") or _KERNEL) != _KERNEL,
        )
    )


def _kernel_line(line: Line) -> Line:
    """What the kernel itself puts before its text: time, caller, record."""
    text, kernel_ns = line.text, line.kernel_ns
    stamp = _STAMP.match(text)
    if stamp is not None:
        kernel_ns = int(stamp[1]) * _NS_PER_S + int(stamp[2]) * _NS_PER_US
        text = text[stamp.end() :]
    caller = _CALLER.match(text)
    if caller is not None:
        text = text[caller.end() :]
    hardware = _HARDWARE.match(text)
    sequence = None
    if hardware is not None:
        text = text[hardware.end() :]
        sequence = int(hardware[1]) if hardware[1] else None
    return line._replace(text=text, kernel_ns=kernel_ns, sequence=sequence, hardware=hardware is not None)


def _seconds_ns(text: str) -> int:
    """Seconds with a fraction of at most nine digits, in ns."""
    whole, _, fraction = text.partition(".")
    return int(whole) * _NS_PER_S + int(fraction.ljust(_FRACTION_DIGITS, "0"))


def _wall_ns(parts: dict[str, str | None]) -> int | None:
    """The time of day; None where there is none, or no such date exists."""
    if parts.get("unix"):
        return _seconds_ns(parts["unix"] or "")
    if parts.get("iso"):
        whole, _, fraction = (parts["iso"] or "").replace(",", ".").partition(".")
        zone = (parts.get("zone") or "+00:00").replace("UTC", "+00:00").replace("Z", "+00:00")
        text = f"{whole}{zone}"
    elif parts.get("month") in _MONTHS:
        whole, _, fraction = (parts["clock"] or "").partition(".")
        month = _MONTHS.index(parts["month"] or "") + 1
        text = f"{parts.get('year') or _YEAR_UNKNOWN}-{month:02d}-{int(parts['day'] or 0):02d}T{whole}+00:00"
    else:
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        return int(moment.timestamp()) * _NS_PER_S + int((fraction or "0").ljust(_FRACTION_DIGITS, "0"))
    except (ValueError, OverflowError):
        return None


class _Entry(NamedTuple):
    """An entry of the journal in JSON."""

    text: str
    host: str
    wall_ns: int | None
    boot_ns: int | None
    foreign: bool


def _journal_entry(raw: str) -> _Entry | None:
    """The entry in one line of ``journalctl -o json``; None for anything else."""
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(fields, dict) or "MESSAGE" not in fields:
        return None
    program = fields.get("SYSLOG_IDENTIFIER", _KERNEL)
    host = fields.get("_HOSTNAME", "")
    return _Entry(
        text=_message(fields["MESSAGE"]),
        host=host if isinstance(host, str) else "",
        wall_ns=_microseconds(fields.get("__REALTIME_TIMESTAMP")),
        boot_ns=_microseconds(fields.get("_SOURCE_MONOTONIC_TIMESTAMP", fields.get("__MONOTONIC_TIMESTAMP"))),
        foreign=_KERNEL not in {program, fields.get("_TRANSPORT")},
    )


def _message(message: Any) -> str:
    """The text of an entry; one with bytes that are no characters is an array of bytes."""
    if isinstance(message, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in message):
        return bytes(message).decode("utf-8", errors="surrogateescape")
    return message if isinstance(message, str) else ""


def _microseconds(text: Any) -> int | None:
    known = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 17
    return int(text) * _NS_PER_US if known else None
