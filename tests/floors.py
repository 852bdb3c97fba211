"""The floors of a host as objects: walked, compared, and a host put away and brought back."""

from array import array
from enum import Enum

import msgspec

from nodes.policy import Switches
from nodes.stack.look import state_of
from nodes.stack.platform import HostShape, Platform, platform_of
from nodes.stack.snapshot import restore, snapshot
from nodes.stack.snapshot.layout import SLOTS

_SHARED = Enum | int | array | Platform | msgspec.Struct  # values, and what is never changed


def floors(thing):
    """Every object with state of its own that can be reached without going back up, and without what is shared."""
    yield thing
    slots = SLOTS.get(type(thing))
    for name in type(thing).__slots__:
        if slots is None or name not in slots.wired.split():
            yield from inside(getattr(thing, name, None))


def inside(value):
    """Every floor that a slot holds."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, tuple | list | frozenset):
        for item in value:
            yield from inside(item)
    elif type(value).__module__.startswith("nodes.") and not isinstance(value, _SHARED):
        yield from floors(value)


def differences(one, other, place=""):
    """Which slots differ, as class and name: of two machines every stored one, and of the wired ones no floor."""
    if isinstance(one, int) and isinstance(other, int):  # a register is an int that knows its fields
        pairs = []
        differ = one != other
    else:
        pairs = list(_pairs(one, other, place)) if type(one) is type(other) else []
        differ = not pairs and one != other
    if differ:
        yield place
    for first, second, where in pairs:
        yield from differences(first, second, where)


def _pairs(one, other, place):
    """What is inside two values of one type, side by side, each with its place."""
    if type(one) in SLOTS:
        stored, wired = (names.split() for names in SLOTS[type(one)])
        below = [name for name in wired if name != "world" and type(getattr(one, name)) not in SLOTS]
        for name in stored + below:
            yield getattr(one, name), getattr(other, name), f"{type(one).__name__}.{name}"
    elif isinstance(one, dict) and one.keys() == other.keys():
        yield from ((value, other[key], place) for key, value in one.items())
    elif isinstance(one, tuple | list) and len(one) == len(other):
        yield from ((first, second, place) for first, second in zip(one, other, strict=True))


def told_apart(one, other):
    """Where two machines differ, once everything that looking makes is made."""
    if state_of(one) != state_of(other):
        return ["state_of"]
    return list(differences(one, other))


class Aside:
    """A world that keeps the timers that are set in it."""

    def __init__(self):
        self.timers = []

    def set_timer(self, time_ns, machine, timer, numbers):
        self.timers.append((time_ns, timer, numbers))


def timers_of(host):
    """The timers of a host alone, as they fire."""
    return [(time_ns, timer, numbers) for time_ns, _, timer, numbers in sorted(host._timers)]


def stored(host):
    return snapshot(host.machine, timers_of(host))


def brought_back(host):
    """Another machine from the snapshot of a host alone, and the timers that it set."""
    machine, world = host.machine, Aside()
    return restore(stored(host), machine.name, machine.index, machine.home, world, machine.epoch_ns), world.timers


def put_away(host):
    """A host alone is put away and comes back."""
    machine, timers = brought_back(host)
    host.machine = machine
    machine.world = host
    host._timers = []
    for time_ns, timer, numbers in timers:
        host.set_timer(time_ns, machine, timer, numbers)


def restored(found, world=None):
    """A machine from bytes that may be no snapshot, or from what is stored, on the default platform."""
    if not isinstance(found, bytes):
        found = msgspec.msgpack.encode(found)
    return restore(found, "h1", 0, platform_of(HostShape(), Switches()), world or Aside(), 0)
