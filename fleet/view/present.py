"""Events for people and for scripts: every field by its name, codes as words, addresses and registers as hex.

Numbers that stand for registers or addresses are strings of lower-case hex with ``0x``, blocks are hex without;
``guest`` is null where no guest is meant.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from fleet.codec import UnknownEvent
from fleet.log.protocol import Entry
from nodes.events import (
    NO_GUEST,
    CallFailed,
    CommandRefused,
    Event,
    Level,
    NotificationRefused,
    PcieRecoveryQueued,
    Receiver,
    RecordLost,
    Refusal,
    RegisterWritten,
    Signal,
    SignalCode,
    Why,
)
from nodes.events.commands import InjectFault, WriteErrorRegister
from nodes.hardware.fault import FAULTS
from nodes.hardware.ras_nodes import Lines, ras_node_text
from nodes.hardware.record import RecordRegister
from nodes.ledger import Account
from nodes.linux.memory_failure import ActionResult, PageType
from nodes.spec.hest import NotificationType
from nodes.spec.mm import EFI_STATUS, MmReturn
from nodes.spec.severity import Severity

Json = Any
HEAD: Final = ("n", "host", "sequence", "time_ns")
_ABSENT: Final = -1  # a register that is not there


class AerSeverity(IntEnum):
    """Severity of a PCIe error as Linux's AER driver numbers it. Source: include/linux/aer.h."""

    NON_FATAL = 0
    FATAL = 1
    CORRECTABLE = 2


def hex_of(value: int) -> str | None:
    """A register or an address; None for one that is not there."""
    return None if value == _ABSENT else f"0x{value:x}"


def _word(kind: type[IntEnum]) -> Callable[[int], str]:
    def word(value: int) -> str:
        known = kind._value2member_map_.get(value)
        return str(value) if known is None else known.name.lower()

    return word


def _words(kind: type[IntEnum]) -> Callable[[int], str]:
    """Names of the set bits of a mask."""
    return lambda value: "|".join(flag.name.lower() for flag in kind if value & flag)


def _exact(kind: type[IntEnum]) -> Callable[[int], str]:
    """A name that is written in capitals wherever people meet it."""
    return lambda value: kind(value).name if value in kind._value2member_map_ else str(value)


def _call_end(code: int) -> str:
    """How a call of MM_COMMUNICATE failed, and what MmCommunicationDxe makes of that."""
    if code not in EFI_STATUS or not code:
        return "deadline expired" if not code else str(code)
    return f"{code} {MmReturn(code).name}, {EFI_STATUS[MmReturn(code)]}"


def _device(value: int) -> str:
    return f"{value >> 16:04x}:{value >> 8 & 0xFF:02x}:{value >> 3 & 0x1F:02x}.{value & 7}"


def _guest(value: int) -> int | None:
    return None if value == NO_GUEST else value


def _octets(value: bytes) -> str:
    return value.hex()


_BY_NAME: Final[Mapping[str, Callable[[Any], Json]]] = MappingProxyType(
    {
        "guest": _guest,
        "ras_node": ras_node_text,
        "lines": _words(Lines),
        "block": _octets,
        "device": _device,
        "notification": _word(NotificationType),
        "page_type": _word(PageType),
        "result": _word(ActionResult),
        "receiver": _word(Receiver),
        "signal": _exact(Signal),
        "code": _exact(SignalCode),
        "severity": _word(Severity),
        **dict.fromkeys(
            ("notified_by", "read_by", "logged_by", "lost_by", "by", "sent_by", "cleared_by", "written_by"),
            _word(Level),
        ),
        **dict.fromkeys(
            (
                "address",
                "addr",
                "iss",
                "overwritten",
                "pfn",
                "hest",
                "esr",
                "far",
                "serror_esr",
                "status",
                "misc0",
            ),
            hex_of,
        ),
    }
)
_BY_EVENT: Final[Mapping[tuple[type[Event], str], Callable[[Any], Json]]] = MappingProxyType(
    {
        (RecordLost, "reason"): _word(Account),
        (NotificationRefused, "reason"): _word(Refusal),
        (CallFailed, "code"): _call_end,
        (CommandRefused, "reason"): _word(Why),
        (CommandRefused, "key"): lambda key: key.decode(errors="backslashreplace"),
        (CommandRefused, "value"): _octets,
        (PcieRecoveryQueued, "severity"): _word(AerSeverity),
        (InjectFault, "fault"): lambda index: FAULTS[index].name if index < len(FAULTS) else index,
        **{(kind, "register"): _exact(RecordRegister) for kind in (RegisterWritten, WriteErrorRegister)},
        **{(kind, "value"): hex_of for kind in (RegisterWritten, WriteErrorRegister)},
    }
)


def _plain(value: object) -> object:
    return value


def fields_of(event: Event) -> dict[str, Json]:
    """An event's own fields, by name."""
    kind = type(event)
    return {name: shown(kind, name)(getattr(event, name)) for name in kind.__struct_fields__ if name not in HEAD}


def shown(kind: type[Event], name: str) -> Callable[[Any], Json]:
    """What makes of a field's value what is shown."""
    if name in kind.registers:
        return hex_of
    return _BY_EVENT.get((kind, name)) or _BY_NAME.get(name, _plain)


def registers_of(event: Event) -> dict[str, int]:
    """The registers whose values an event carries, by name; those that are not there are left out."""
    level = str(getattr(event, "target_el", ""))
    return {
        register.replace("<t>", level): value
        for name, register in type(event).registers.items()
        if (value := getattr(event, name)) != _ABSENT
    }


def level_of(event: Event) -> Level | None:
    """The level that an event speaks of; None for the clock and for commands."""
    kind = type(event)
    if kind.level is not None:
        return kind.level
    own = [name for name in kind.__struct_fields__ if name not in HEAD]
    return Level(getattr(event, own[0])) if own and own[0].endswith("by") else None


def guest_of(event: Event) -> int | None:
    """The guest that an event concerns."""
    return _guest(getattr(event, "guest", NO_GUEST))


def entry_object(entry: Entry, event: Event | UnknownEvent) -> dict[str, Json]:
    """One record of a topic as a JSON object."""
    head = {
        "topic": entry.topic,
        "partition": entry.partition,
        "event": type(event).__name__,
        "n": event.n,
        "host": event.host,
        "sequence": event.sequence,
        "time_ns": event.time_ns,
    }
    if isinstance(event, UnknownEvent):
        return head | {
            "tag": event.tag,
            "fields": [_octets(f) if isinstance(f, bytes) else f for f in event.fields],
        }
    level = level_of(event)
    return head | ({} if level is None else {"level": level.name.lower()}) | fields_of(event)
