"""Commands that a host cannot have: whatever anyone sends, it is done or refused, and nothing breaks."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.codec import EVENT_SIZE_MAX, encode
from nodes.actor import Home, Hosts
from nodes.events import ClockAdvanced, Why
from nodes.events.commands import HOST_COMMANDS, ChangePolicy, InjectFault, PresentBlock, WriteErrorRegister
from nodes.hardware.fault import FAULTS
from nodes.policy import DEFAULT_SWITCHES, SwitchChanges, Switches
from nodes.stack.limits import BLOCK_SIZE_MAX, Limits, Shape
from nodes.stack.platform import HostShape, platform_of
from tests.facts import HEAD, fields_of

SHAPE = HostShape(sockets=2, memory_gib=64, guests=2, guest_memory_gib=4, pes=4)
HOUR_NS = 3600 * 10**9
near = st.sampled_from([-1, 0, 1, 2, 3, 4, 7, 8, 0xFF, 0x100, 0x103, 0x8000_0000, 0x1_8000_0000, 0xBE00_0011])
INTS = near | st.integers(-3, 20) | st.integers(-(1 << 63), (1 << 64) - 1)
POLICIES = st.sampled_from(
    [
        msgspec.json.encode(msgspec.convert({name: getattr(value, "value", value)}, SwitchChanges)).decode()
        for name, default in msgspec.structs.asdict(Switches()).items()
        for value in (type(default) if hasattr(type(default), "__members__") else [default])
    ]
)
OWN = {
    int: INTS,
    str: POLICIES | st.text(max_size=20),
    bytes: st.binary(max_size=300) | st.just(bytes(BLOCK_SIZE_MAX)),
}


@st.composite
def mail(draw):
    """Commands of anyone, numbered so that each is looked at."""
    made = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(HOST_COMMANDS), max_size=12)), 1):
        own = [draw(OWN[field.type]) for field in fields_of(kind)[len(HEAD) + 1 :]]
        made.append(kind(number, "h0", number, number * 10**6, 7, *own))
    return made


@given(mail())
def test_what_is_refused_is_said_in_a_line_and_nothing_else_is(commands):
    limits = Limits(Shape(sockets=2, dimms=16, guests=2, pes=4))

    assert [not limits.refusal(of) for of in commands] == [limits.admit(of) for of in commands]
    assert all(limits.refusal(of).isprintable() for of in commands)


class Outlet:
    def __init__(self):
        self.events = []

    def publish(self, kind, host, sequence, time_ns, fields):
        value = encode(kind(0, host, sequence, time_ns, *fields))
        assert len(value) <= EVENT_SIZE_MAX
        self.events.append(value)

    def watermark(self, time_ns):
        pass


def hosts(switches=DEFAULT_SWITCHES):
    class Roster:
        def home_of(self, host):
            return Home(0, platform_of(SHAPE, switches)) if host == "h0" else None

    outlet = Outlet()
    return Hosts(Roster(), outlet, 0), outlet


@given(mail())
def test_any_command_is_done_or_refused_and_the_host_goes_on(commands):
    partition, _ = hosts()
    found = [partition.handle(command) for command in commands]
    partition.handle(ClockAdvanced(0, "", 0, HOUR_NS))

    assert set(found) <= {None, Why.OUT_OF_RANGE}
    assert partition.checkpoint()


def fault(*fields):
    return InjectFault(1, "h0", 1, 0, 7, *fields)


@pytest.mark.parametrize(
    "command",
    [
        fault(len(FAULTS), 0x8000_0000),
        fault(-1, 0x8000_0000),
        fault(0, -1),
        fault(0, 1 << 56),
        fault(0, 0x8000_0000, 2),
        fault(0, 0x8000_0000, -2),
        fault(0, 0x8000_0000, -1, 3),
        fault(0, 0x8000_0000, -1, 0, 4),
        WriteErrorRegister(1, "h0", 1, 0, 7, 0x104, 1, 0),
        WriteErrorRegister(1, "h0", 1, 0, 7, 0x500, 1, 0),
        WriteErrorRegister(1, "h0", 1, 0, 7, 0, 8, 0),
        ChangePolicy(1, "h0", 1, 0, 7, '{"kernel": "2.4"}'),
        ChangePolicy(1, "h0", 1, 0, 7, "["),
        PresentBlock(1, "h0", 1, 0, 7, bytes(BLOCK_SIZE_MAX + 1), 0),
    ],
)
def test_what_a_host_cannot_have_is_refused_and_changes_nothing(command):
    partition, outlet = hosts()

    assert partition.handle(command) is Why.OUT_OF_RANGE
    assert (partition.faults, outlet.events) == (0, [])
