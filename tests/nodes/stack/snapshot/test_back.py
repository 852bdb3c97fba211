"""Bringing a host back: any bytes give one or Malformed, and what is shared is shared again."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.el3.sdei import Dispatcher
from nodes.hardware.pe import SCTLR_AFTER_BOOT
from nodes.spec.layout import Malformed
from nodes.stack.machine import Machine
from nodes.stack.snapshot import SNAPSHOT_FORMAT, dismantle, glance, snapshot
from nodes.stack.snapshot.layout import StoredGuest, StoredSource
from tests.everything import COUNTS, EVERYTHING, GUEST, LINUX, RECORD, WORK
from tests.floors import Aside, brought_back, restored
from tests.garbage import collected
from tests.hosts import host
from tests.simulation.test_away import steps

BYTES = msgspec.msgpack.encode(EVERYTHING)
replace = msgspec.structs.replace


def is_host_or_malformed(found):
    try:
        return isinstance(restored(found), Machine)
    except Malformed:
        return True


@given(st.binary(max_size=200))
def test_any_bytes_give_a_host_or_malformed(found):
    assert is_host_or_malformed(found)


@given(place=st.integers(0, len(BYTES) - 1), value=st.integers(0, 255), cut=st.integers(0, len(BYTES)))
def test_a_damaged_snapshot_gives_a_host_or_malformed(place, value, cut):
    assert is_host_or_malformed(BYTES[:place] + bytes([value]) + BYTES[place + 1 :])
    assert is_host_or_malformed(BYTES[:place] + BYTES[cut:])


def test_a_beginning_of_a_snapshot_is_none():
    for size in range(len(BYTES)):
        with pytest.raises(Malformed):
            restored(BYTES[:size])


@pytest.mark.parametrize("found", [b"\x91" * 100_000, b"\xdc\xff\xff\x01", b"\xc1", b"\xa1\xff", b"\x01"])
def test_what_is_no_array_of_a_snapshot_is_malformed(found):
    with pytest.raises(Malformed):
        restored(found)


def test_what_is_nested_deeper_than_anything_here_is_malformed():
    with pytest.raises(Malformed):
        restored(bytes([BYTES[0] + 1]) + BYTES[1:] + b"\x91" * 100_000)


@pytest.mark.parametrize(
    ("before", "array"),
    [
        (1, b"\xdd"),
        (2, b"\xdd"),
        (6, b"\xdd"),
        (7, b"\x94\xdd"),
        (7, b"\x94\xc0\xc0\xdf"),
        (8, b"\xdf"),
        (9, b"\xdd"),
    ],
)
def test_a_length_that_lies_takes_no_memory(before, array):
    fields = [getattr(EVERYTHING, name) for name in EVERYTHING.__struct_fields__]
    lying = bytes([0x90 + len(fields)]) + b"".join(map(msgspec.msgpack.encode, fields[:before])) + array
    tracemalloc.start()
    with pytest.raises(Malformed):
        restored(lying + b"\x7f\xff\xff\xff")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 100_000


@pytest.mark.parametrize("number", [0, SNAPSHOT_FORMAT + 1])
@pytest.mark.parametrize("read", [restored, glance])
def test_another_layout_is_refused_by_its_number(number, read):
    for found in (msgspec.msgpack.encode([number]), msgspec.msgpack.encode(replace(EVERYTHING, format=number))):
        with pytest.raises(Malformed, match=f"layout {number}, this program reads {SNAPSHOT_FORMAT}"):
            read(found)


@pytest.mark.parametrize(
    "found",
    [
        replace(EVERYTHING, sources=(99,)),
        replace(EVERYTHING, sources=(StoredSource(-1, b""),)),
        replace(EVERYTHING, guests=(StoredGuest(4),)),
        replace(EVERYTHING, guests=(replace(GUEST, guest=-1),)),
        replace(EVERYTHING, records=(replace(RECORD, node=5 << 8),)),
        replace(EVERYTHING, ledger=[*COUNTS, 1]),
        replace(EVERYTHING, ledger=[1 << 32]),
        replace(EVERYTHING, guests_ledger=[(1 << 32) - 1, 1]),
        replace(EVERYTHING, linux=replace(LINUX, cache=())),
        replace(EVERYTHING, linux=replace(LINUX, work=replace(WORK, queue=(replace(WORK.queue[0], block=b"x"),)))),
    ],
)
def test_what_no_host_can_have_is_malformed(found):
    with pytest.raises(Malformed):
        restored(found)


def test_fields_that_a_later_program_appended_are_passed_over():
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(BYTES), "later"])

    assert snapshot(restored(longer), EVERYTHING.timers) == BYTES


def test_fields_that_an_earlier_program_did_not_have_are_as_on_a_fresh_host():
    shorter = restored(msgspec.msgpack.encode(msgspec.msgpack.decode(BYTES)[:6]))

    assert (shorter.ledger.injected, shorter.sources.made, shorter.down) == (sum(COUNTS), (), False)


def test_what_hosts_share_is_shared_again():
    machine, _ = brought_back(host())
    fresh = host().machine

    assert machine.platform is fresh.platform
    assert machine.monitor.entries is fresh.monitor.entries
    assert machine.monitor.partition.building is fresh.monitor.partition.building
    assert machine.tasks.consumers is fresh.tasks.consumers
    assert machine.board.pes.touched is fresh.board.pes.touched
    assert machine.guests.gone is fresh.guests.gone


def test_a_pe_that_nobody_set_up_is_so_again():
    struck = host()
    struck.machine.board.pe_of(1).masked = True
    machine, _ = brought_back(struck)

    assert machine.board.pe_of(1).sctlr is SCTLR_AFTER_BOOT
    machine.board.pe_of(1).masked = False
    assert machine.board.pe_of(1).idle()


def test_the_handlers_of_a_host_that_is_down_are_shared_too():
    struck = host()
    struck.machine.monitor.sdei.masked = True
    booted = Dispatcher()
    booted.boot()

    assert brought_back(struck)[0].monitor.sdei._handlers is booted._handlers


def test_timers_are_set_in_the_order_in_which_they_fire():
    world = Aside()
    restored(EVERYTHING, world)

    assert tuple(world.timers) == EVERYTHING.timers


def test_a_glance_sees_what_a_whole_look_does():
    seen = glance(BYTES)

    assert (seen.timers, seen.ledger, seen.guests_ledger) == (EVERYTHING.timers, COUNTS, COUNTS)


@pytest.mark.parametrize("seed", range(6))
def test_a_host_that_was_taken_apart_leaves_nothing_to_collect(seed):
    machines = [brought_back(one)[0] for one, _ in steps(seed)]
    with collected() as found:
        while machines:
            dismantle(machines.pop())

    assert found == []


def test_what_is_taken_apart_is_declared_to_the_compiler():
    machine = host().machine
    parts = (machine, machine.board, machine.kernel)
    dismantle(machine)

    for part in parts:
        gone = {name for name in type(part).__slots__ if not hasattr(part, name)}
        assert gone == set(type(part).__deletable__)
