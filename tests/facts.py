"""Every kind of event and command, and test strategies made from their declarations."""

import msgspec
import pytest
from hypothesis import strategies as st

from nodes.events import HOST_EVENTS, ClockAdvanced, CommandRefused
from nodes.events.commands import HOST_COMMANDS

COMMANDS = (ClockAdvanced, *HOST_COMMANDS)
KINDS = tuple(dict.fromkeys((*HOST_EVENTS, CommandRefused, *HOST_COMMANDS)))
VALUES = {
    int: st.integers(-(1 << 63), (1 << 64) - 1),
    str: st.text(max_size=40),
    bytes: st.binary(max_size=200),
}
HEAD = ["n", "host", "sequence", "time_ns"]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def tag_of(kind):
    return kind.__struct_config__.tag


def fields_of(kind):
    """The fields of a kind in the order in which they are written."""
    return msgspec.structs.fields(kind)


def facts(kind):
    """Events or commands of a kind with any value in every field."""
    return st.builds(kind, *(VALUES[field.type] for field in fields_of(kind)))


def example_of(kind):
    """One of a kind, each field with a value of its own."""
    made = {int: lambda at: 100 + at, str: lambda at: f"text {at}", bytes: lambda at: bytes((at, 0, 255))}
    own = [made[field.type](at) for at, field in enumerate(fields_of(kind)[len(HEAD) :])]
    return kind(7, "host-0001", 9, 1_000_000_000, *own)
