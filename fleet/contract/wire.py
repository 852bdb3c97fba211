"""What each field of an event and of a command means, in which unit: for those who read topics by themselves.

The kinds of values come from the declarations in ``nodes.events``; only the words stand here, and a test asks for
them. JSON Schemas (draft 7, which AsyncAPI has, too) are made of both: of the array on the wire, and of the object
that ``rasfleet tail --json`` prints.

Sources: MessagePack specification; JSON Schema draft 7.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_type_hints

from msgspec.structs import FieldInfo
from msgspec.structs import fields as fields_of_struct

from fleet.view.present import HEAD, hex_of, shown
from nodes.events import HOST_EVENTS, ClockAdvanced, CommandRefused, Event, Level, Why
from nodes.events.commands import HOST_COMMANDS

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
EVENTS: Final[tuple[type[Event], ...]] = (*HOST_EVENTS, CommandRefused)
COMMANDS: Final[tuple[type[Event], ...]] = (ClockAdvanced, *HOST_COMMANDS)


class Says(NamedTuple):
    """What a field means."""

    text: str
    unit: str = ""


_LEVELS: Final = ", ".join(f"{level.value} {level.name.lower()}" for level in Level)
_BY: Final = f"level that did it: {_LEVELS}"
_REGISTER: Final = Says("value of a register, 64 bits")
_ADDRESS: Final = Says("physical address; of a guest's event a guest physical one", "byte")
_FLAG: Final = "1: yes, 0: no"
SAYS: Final[dict[str, Says]] = {
    "n": Says("position in its partition of its topic, from 0; who has taken n drops every record not above it"),
    "host": Says("name of the host, and the key of the record; empty where no host is meant"),
    "sequence": Says("orders the events of one host over the topics, from 1; 0 where no host is meant"),
    "time_ns": Says("virtual time since the start of the scenario", "ns"),
    "ras_node": Says(
        "RAS node: kind << 8 | instance; kinds: 0 memory (a DIMM), 1 cache, 2 TLB (a PE), 3 bus (a socket), 4 PCIe"
    ),
    "status": Says("ERR<n>STATUS"),
    "addr": Says("ERR<n>ADDR"),
    "misc0": Says("ERR<n>MISC0"),
    "lines": Says("interrupts that rose, a mask: 1 fault handling, 2 error recovery, 4 critical error"),
    "pe": Says("PE of the host, from 0"),
    "el": Says("exception level of what ran, or runs, there"),
    "iss": Says("syndrome, the ISS of an SError"),
    "isr": Says("ISR_EL1"),
    "from_el": Says("exception level that was interrupted"),
    "target_el": Says("exception level that takes it; of a command 0 means as it is routed"),
    "esr": Says("ESR of the level that takes it: exception class and syndrome"),
    "guest": Says("guest of the host, from 0; -1: none, the host itself"),
    "disr": Says("DISR_EL1"),
    "far": Says("FAR of the level that takes it", "byte"),
    "cleared_by": Says(_BY),
    "repeats": Says("how often EL3 went back before"),
    "vsesr": Says("VSESR_EL2"),
    "hcr": Says("HCR_EL2"),
    "overwritten": Says("VSESR_EL2 of the virtual SError that was still pending; -1: none was"),
    "vdisr": Says("VDISR_EL2"),
    "address": _ADDRESS,
    "register": Says("0 FR, 1 CTLR, 2 STATUS, 3 ADDR, 4 MISC0, 5 PFGF, 6 PFGCTL, 7 PFGCDN"),
    "value": _REGISTER,
    "written_by": Says(_BY),
    "source_id": Says("error source, as the HEST numbers it"),
    "notification": Says("notification type, ACPI 18.3.2.9"),
    "block": Says("Generic Error Status Block with its data entries, ACPI 18.3.2.7.1", "octets"),
    "notified_by": Says(_BY),
    "vector": Says("SDEI event or GSIV; 0 where there is none"),
    "reason": Says("why, in words"),
    "read_by": Says(_BY),
    "severity": Says("CPER severity: 0 recoverable, 1 fatal, 2 corrected, 3 informational"),
    "sections": Says("data entries of the block"),
    "logged_by": Says(_BY),
    "printed": Says(f"whether the kernel printed it, {_FLAG}: its print limit was reached"),
    "lost_by": Says(_BY),
    "by": Says(_BY),
    "pfn": Says("page frame number, 4 KiB each"),
    "page_type": Says("kind of the page, as nodes.linux.memory_failure.PageType numbers it"),
    "result": Says("0 ignored, 1 failed, 2 delayed, 3 recovered"),
    "soft": Says(f"whether its contents were moved before, {_FLAG}"),
    "sent_by": Says(_BY),
    "receiver": Says("0 a task, 1 the VMM"),
    "signal": Says("number of the signal in Linux"),
    "code": Says("si_code of the signal; of a call that failed its negative end, 0: its deadline expired"),
    "address_lsb": Says("log2 of the range that is lost, 0 where it says nothing", "bit"),
    "hest": Says("guest physical address of the guest's HEST; 0: it has none", "byte"),
    "cold": Says(f"whether memory and error records lose what they hold, {_FLAG}: an Error Recovery reset"),
    "serror_esr": Says("the syndrome that user space gives"),
    "errno": Says("error number of Linux"),
    "device": Says("PCIe function: segment << 16 | bus << 8 | device << 3 | function"),
    "from_topic": Says("topic where it stands, without the run's name"),
    "from_partition": Says("partition where it stands"),
    "from_offset": Says("offset where it stands"),
    "key": Says("its key, cut to 256 octets", "octets"),
    "value_size": Says("size of its whole value", "octets"),
    "origin": Says("who sends: 0 the scenario, 1 faults sent to a log of files; others from 2**32 on, drawn"),
    "fault": Says("the fault, its place in the table that `rasfleet trace --list` prints, from 0"),
    "masked": Says(f"PSTATE.A, {_FLAG}"),
    "acknowledges": Says(f"whether the guest's kernel reads and acknowledges blocks, {_FLAG}"),
    "sdei_masked": Says(f"whether SDEI events are masked on the PE, {_FLAG}"),
    "switches": Says("JSON of the switches that change"),
    "serror_pending": Says("exception.serror_pending of KVM_SET_VCPU_EVENTS"),
    "serror_has_esr": Says("exception.serror_has_esr"),
    "ext_dabt_pending": Says("exception.ext_dabt_pending"),
    "padding": Says("sum of its pad and reserved fields"),
}
_OF_ONE: Final[dict[tuple[type[Event], str], Says]] = {
    (CommandRefused, "value"): Says("its value, cut to 1,024 octets", "octets"),
    (CommandRefused, "reason"): Says("why: " + ", ".join(f"{why.value} {why.name.lower()}" for why in Why)),
}
_OF_COMMANDS: Final = {
    "n": Says("number among the scenario's commands and clocks of its partition; of others it means nothing"),
    "sequence": Says("number that its origin gave it, from 1, going up; one not above the last is passed over"),
    "time_ns": Says("virtual time; one that has passed, such as 0, means now; at most 1 h ahead", "ns"),
    "host": Says("name of the host, and the key of the record"),
}


def tag_of(kind: type[Event]) -> int:
    """The integer in front of its array."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int), "tags are integers"
    return tag


def says(kind: type[Event], name: str) -> Says:
    """What a field of an event means."""
    of_command = _OF_COMMANDS.get(name) if kind in HOST_COMMANDS else None
    return _OF_ONE.get((kind, name)) or of_command or SAYS[name]


def _described(kind: type[Event], field: FieldInfo, declared: dict[str, Any]) -> dict[str, Any]:
    text, unit = says(kind, field.name)
    default = {} if field.required or isinstance(field.default, bytes) else {"default": field.default}
    return declared | {"title": field.name, "description": text} | ({"x-unit": unit} if unit else {}) | default


_ON_WIRE: Final[dict[type, dict[str, Any]]] = {
    int: {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 64) - 1},
    str: {"type": "string"},
    bytes: {"type": "string", "contentEncoding": "base64"},  # MessagePack has octets of its own, JSON has not
}


def array_schema(kind: type[Event]) -> dict[str, Any]:
    """The array on the wire, octets as base64 where it is looked at as JSON. Newer ones may be longer."""
    hints = get_type_hints(kind)
    fields = fields_of_struct(kind)
    items = [_described(kind, field, _ON_WIRE[hints[field.name]]) for field in fields]
    tag = {"title": "tag", "const": tag_of(kind), "description": "what it is; never used for anything else"}
    return {
        "title": kind.__name__,
        "description": plain(kind),
        "type": "array",
        "items": [tag, *items],
        "minItems": 1 + sum(field.required for field in fields),
        "additionalItems": True,
    }


def object_schema(kind: type[Event]) -> dict[str, Any]:
    """The object that ``rasfleet tail --json`` prints."""
    fields = fields_of_struct(kind)
    own = {field.name: _as_json(kind, field) for field in fields if field.name not in HEAD}
    head = {field.name: _described(kind, field, _ON_WIRE[field.type]) for field in fields if field.name in HEAD}
    place = {
        "topic": {"type": "string", "description": "without the run's name"},
        "partition": {"type": "integer", "minimum": 0},
        "event": {"const": kind.__name__},
    }
    level = {"level": {"enum": [level.name.lower() for level in Level]}}
    return {
        "title": kind.__name__,
        "description": plain(kind),
        "type": "object",
        "properties": place | head | level | own,
        "required": [*place, *head, *own],
        "additionalProperties": False,
    }


def _as_json(kind: type[Event], field: FieldInfo) -> dict[str, Any]:
    """A field as it is printed: what it is made of follows from what shows it."""
    show = shown(kind, field.name)
    if show is hex_of:
        declared: dict[str, Any] = {"type": ["string", "null"], "pattern": "^0x[0-9a-f]+$"}
    elif field.name == "guest":
        declared = {"type": ["integer", "null"], "minimum": 0}
    elif field.type is bytes:
        declared = {"type": "string"} if field.name == "key" else {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
    else:
        example = show(0) if field.type is int else ""
        declared = {"type": "string"} if isinstance(example, str) else {"type": "integer"}
    text, unit = says(kind, field.name)
    return declared | {"description": text} | ({"x-unit": unit} if unit else {})


def schemas(kinds: Sequence[type[Event]], name: str) -> dict[str, Any]:
    """One schema for many kinds: of each its object as JSON, and its array as it is on the wire."""
    return {
        "$schema": DRAFT,
        "$id": f"urn:rasfleet:{name}",
        "title": f"rasfleet {name}",
        "anyOf": [{"$ref": "#/definitions/json"}, {"$ref": "#/definitions/wire"}],
        "definitions": {
            "json": {"oneOf": [object_schema(kind) for kind in kinds]},
            "wire": {"oneOf": [array_schema(kind) for kind in kinds]},
        },
    }


def plain(kind: type[Event]) -> str:
    """What an event says of itself, without markup."""
    return " ".join((kind.__doc__ or "").replace("``", "").split())
