"""The layout: no slot of any floor is forgotten, and every field is really stored and brought back."""

import msgspec
import pytest

from nodes.stack.machine import Machine
from nodes.stack.snapshot import snapshot
from nodes.stack.snapshot.layout import SLOTS, Stored, StoredHost
from tests.everything import EVERYTHING, GUEST, PE, RECORD
from tests.floors import Aside, differences, floors, inside, restored


def parts(kind):
    """A declared part and those that follow from it."""
    return [kind, *(part for below in kind.__subclasses__() for part in parts(below))]


def instances(value):
    """Every part in a snapshot."""
    if isinstance(value, Stored):
        yield value
        value = msgspec.structs.astuple(value)
    for item in value if isinstance(value, tuple | list) else ():
        yield from instances(item)


def touched():
    """A machine that has what EVERYTHING has, each thing as it is when it is made."""
    machine = Machine("h1", 0, restored(EVERYTHING).home, Aside())
    machine.board.record_of(RECORD.node)
    machine.board.pe_of(PE.pe)
    guest = machine.guests.guest_of(GUEST.guest)
    for sources, linux in (
        (machine.sources, machine.kernel.linux),
        (guest.vmm.sources, guest.kernel.running()),
    ):
        assert sources.source(1)
        assert sources.source(0)
        assert linux.reader
        assert linux.failure
    return machine


@pytest.mark.parametrize("kind", SLOTS, ids=lambda kind: kind.__name__)
def test_every_slot_of_a_floor_is_stored_or_follows_from_others(kind):
    stored, wired = (names.split() for names in SLOTS[kind])

    assert sorted(stored + wired) == sorted(kind.__slots__)


def test_every_floor_of_a_host_is_known():
    assert {type(floor) for floor in floors(restored(EVERYTHING))} == set(SLOTS)


def test_every_field_comes_back_as_it_was_stored():
    world = Aside()
    machine = restored(EVERYTHING, world)

    assert snapshot(machine, world.timers) == msgspec.msgpack.encode(EVERYTHING)


def test_the_test_above_gives_every_field_another_value_than_a_fresh_host_has():
    given = {type(part): part for part in instances(EVERYTHING)}

    assert set(given) == set(parts(Stored)) - {Stored, StoredHost.__base__}
    for part in given.values():
        for field in msgspec.structs.fields(part):
            assert getattr(part, field.name) != field.default, (part, field.name)


def test_every_stored_slot_is_changed_by_some_field():
    machine = restored(EVERYTHING)
    changed = set(differences(machine, touched()))

    expected = {
        f"{type(floor).__name__}.{name}"
        for floor in floors(machine)
        for name in SLOTS[type(floor)].stored.split()
        if not any(inside(getattr(floor, name)))
    }
    assert sorted(expected - changed) == []
