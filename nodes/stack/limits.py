"""What the fields of a command may hold on a host of some shape.

A scenario's plan stays within these by itself. Anyone may send a command, though, and a floor takes what it is
given for true: so what a host cannot have is refused before anything is done.

Sources: Arm ARM (52 bits of a physical address, 56 with FEAT_D128; 64 of a register); ACPI 18.3.2 (16 bits of a
source id).
"""

from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from nodes.events.commands import HOST_COMMANDS, ChangePolicy, Command, WriteErrorRegister
from nodes.hardware.fault import FAULTS
from nodes.hardware.ras_nodes import INSTANCE_MASK, KIND_SHIFT, RasNodeKind
from nodes.hardware.record import RecordRegister
from nodes.policy import SwitchChanges

BLOCK_SIZE_MAX: Final = 60 * 1024  # bytes; an event that holds it has to fit into a value
_U8, _U16, _U64 = (0, 0xFF), (0, 0xFFFF), (0, (1 << 64) - 1)
_FLAG: Final = (0, 1)
_FIXED: Final = {  # by field: the least and the greatest value
    "address": (0, (1 << 56) - 1),
    "fault": (0, len(FAULTS) - 1),
    "register": (0, max(RecordRegister)),
    "el": (0, 2),
    "target_el": (0, 2),
    "source_id": _U16,
    "ras_node": _U16,
    **dict.fromkeys(("esr", "far", "value", "serror_esr", "padding"), _U64),
    **dict.fromkeys(("serror_pending", "serror_has_esr", "ext_dabt_pending"), _U8),
    **dict.fromkeys(("masked", "sdei_masked", "acknowledges", "cold"), _FLAG),
}
_NO_NUMBERS: Final = frozenset(("switches", "block"))
_HEAD: Final = frozenset(Command.__struct_fields__)


class Shape(NamedTuple):
    """How many of each a host has."""

    sockets: int
    dimms: int
    guests: int
    pes: int


def _numbers(kind: type[Command]) -> list[str]:
    return [name for name in kind.__struct_fields__ if name not in _HEAD and name not in _NO_NUMBERS]


def _getter(kind: type[Command]) -> Any:
    """Reads the numbers of a command as a tuple, also where it has one or none."""
    names = _numbers(kind)
    if not names:
        return lambda _: ()
    found = attrgetter(*names)
    return found if len(names) > 1 else lambda command: (found(command),)


_GETTERS: Final[dict[type[Command], Any]] = {kind: _getter(kind) for kind in HOST_COMMANDS}


class Limits:
    """The bounds of every command on hosts of one shape."""

    __slots__ = ("_bounds", "_instances")

    def __init__(self, shape: Shape) -> None:
        counted = _FIXED | {"guest": (-1, shape.guests - 1), "pe": (0, shape.pes - 1)}
        self._bounds: dict[type[Command], tuple[tuple[int, int], ...]] = {
            kind: tuple(counted[name] for name in _numbers(kind)) for kind in HOST_COMMANDS
        }
        self._instances = {
            RasNodeKind.MEMORY: shape.dimms,
            RasNodeKind.CACHE: shape.pes,
            RasNodeKind.TLB: shape.pes,
            RasNodeKind.BUS: shape.sockets,
            RasNodeKind.PCIE: 1,
        }

    def admit(self, command: Command) -> bool:
        """Whether the host can have everything that a command says."""
        kind = type(command)
        for value, (low, high) in zip(_GETTERS[kind](command), self._bounds[kind], strict=True):
            if not low <= value <= high:
                return False
        if isinstance(command, WriteErrorRegister):
            return self._has(command.ras_node)
        if isinstance(command, ChangePolicy):
            return _are_switches(command.switches)
        return len(getattr(command, "block", b"")) <= BLOCK_SIZE_MAX

    def refusal(self, command: Command) -> str:
        """Which bound a command breaks, in words; nothing where it is admitted."""
        kind = type(command)
        for name, value, (low, high) in zip(
            _numbers(kind), _GETTERS[kind](command), self._bounds[kind], strict=True
        ):
            if not low <= value <= high:
                return f"{name} {value}: on this host {low} to {high}"
        size = len(getattr(command, "block", b""))
        if size > BLOCK_SIZE_MAX:
            return f"a block of {size:,} bytes: a command holds at most {BLOCK_SIZE_MAX:,}"
        return "" if self.admit(command) else "it names what this host does not have"

    def _has(self, node: int) -> bool:
        return node & INSTANCE_MASK < self._instances.get(node >> KIND_SHIFT, 0)  # type: ignore[call-overload,no-any-return]


def _are_switches(switches: str) -> bool:
    try:
        msgspec.json.decode(switches, type=SwitchChanges)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
