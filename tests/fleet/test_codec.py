"""Events and commands as bytes: each is read as it was written; any bytes are a value or Malformed."""

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.codec import EVENT_SIZE_MAX, UnknownEvent, decode_command, decode_event, encode
from nodes.events import HOST_EVENTS, CommandRefused, ErrorRecorded, Event, PoisonStored
from nodes.events.commands import HOST_COMMANDS, Command, InjectFault
from nodes.spec.layout import Malformed
from tests.declared import mutated
from tests.facts import COMMANDS, KINDS, every_kind, example_of, facts, fields_of, tag_of

few = settings(max_examples=15)
every_decode = pytest.mark.parametrize("decode", [decode_event, decode_command])
DEEP = b"\x91" * 50_000  # arrays in arrays
HUGE = b"\xdd\xff\xff\xff\xff"  # an array that says it has 2^32 - 1 items
NOT_UTF8 = b"\xa2\xc3\x28"


def decoder_of(kind):
    return decode_command if kind in COMMANDS else decode_event


def as_array(*items):
    """An array of items that are encoded already, or not yet."""
    parts = [item if isinstance(item, bytes) else encode(item) for item in items]
    return bytes((0x90 | len(parts),)) + b"".join(parts)


def poison(*further):
    return as_array(tag_of(PoisonStored), 1, "h", 2, 3, 0x80000000, *further)


@every_kind
@few
@given(data=st.data())
def test_what_was_encoded_is_decoded(kind, data):
    fact = data.draw(facts(kind))

    assert decoder_of(kind)(encode(fact)) == fact


@every_kind
def test_an_event_is_an_array_of_tag_and_fields(kind):
    fact = example_of(kind)

    assert msgspec.msgpack.decode(encode(fact)) == [tag_of(kind), *msgspec.structs.astuple(fact)]


@every_kind
@given(further=st.lists(st.integers(-(1 << 63), 1 << 63) | st.text() | st.none(), max_size=3))
@few
def test_fields_that_a_newer_program_appended_are_passed_over(kind, further):
    fact = example_of(kind)
    stored = encode([tag_of(kind), *msgspec.structs.astuple(fact), *further])

    assert decoder_of(kind)(stored) == fact


@every_kind
def test_fields_that_an_older_program_did_not_write_take_their_defaults(kind):
    fields = fields_of(kind)
    required = sum(field.required for field in fields)
    values = msgspec.structs.astuple(example_of(kind))
    stored = encode([tag_of(kind), *values[:required]])

    assert decoder_of(kind)(stored) == kind(*values[:required])
    with pytest.raises(Malformed):
        decoder_of(kind)(encode([tag_of(kind), *values[: required - 1]]))


@every_kind
def test_a_field_of_another_type_is_malformed(kind):
    for index in range(len(fields_of(kind))):
        values = list(msgspec.structs.astuple(example_of(kind)))
        values[index] = 1.5

        with pytest.raises(Malformed):
            decoder_of(kind)(encode([tag_of(kind), *values]))


@every_decode
def test_an_unknown_tag_is_no_fault(decode):
    stored = encode([999, 4, "host-0001", 5, 6, "new", [b"thing"]])

    assert decode(stored) == UnknownEvent(999, 4, "host-0001", 5, 6, ("new", [b"thing"]))


def test_a_command_is_no_event_and_an_event_is_no_command():
    with pytest.raises(Malformed):
        decode_event(encode(example_of(InjectFault)))
    with pytest.raises(Malformed):
        decode_command(encode(example_of(ErrorRecorded)))


REFUSED = {
    "nothing": b"",
    "no array": encode({"tag": 32}),
    "an array that is too short": encode([999, 1, "h", 2]),
    "a tag that is text": encode(["32", 1, "h", 2, 3]),
    "a tag that is true": encode([True, 1, "h", 2, 3]),
    "a position that is true": encode([999, True, "h", 2, 3]),
    "a host that is a number": encode([999, 1, 7, 2, 3]),
    "bytes behind the event": poison() + b"\x00",
    "an event that ends early": poison()[:-1],
    "a host that is not UTF-8": as_array(tag_of(PoisonStored), 1, NOT_UTF8, 2, 3, 4),
    "an unknown event that is not UTF-8": as_array(999, 1, "h", 2, 3, NOT_UTF8),
    "arrays in arrays": DEEP,
    "arrays in arrays, complete, where nobody looks": poison(DEEP + b"\xc0"),
    "arrays in arrays where nobody looks": poison(DEEP),
    "arrays in arrays in an unknown event": as_array(999, 1, "h", 2, 3, DEEP + b"\xc0"),
    "more items than bytes": HUGE,
    "more items than bytes where nobody looks": poison(HUGE),
    "more items than bytes, over and over": as_array(999, 1, "h", 2, 3, b"\xdd\x00\x00\xff\xff" * 300),
    "a map whose key is a map": as_array(999, 1, "h", 2, 3, b"\x81\x80\x01"),
    "a time that cannot be": as_array(999, 1, "h", 2, 3, b"\xd7\xff" + b"\xff" * 8),
    "bytes beyond the limit": encode([999, 1, "h", 2, 3, bytes(EVENT_SIZE_MAX)]),
}


@every_decode
@pytest.mark.parametrize("stored", REFUSED.values(), ids=REFUSED)
def test_what_is_no_event_is_malformed(decode, stored):
    with pytest.raises(Malformed) as refused:
        decode(stored)

    assert refused.value.what == "event"
    assert refused.value.reason


def test_an_event_may_be_as_large_as_the_limit():
    stored = encode([999, 1, "h", 2, 3, bytes(EVENT_SIZE_MAX - 12)])

    assert len(stored) == EVENT_SIZE_MAX
    assert isinstance(decode_event(stored), UnknownEvent)


@every_decode
@settings(max_examples=300)
@given(stored=st.binary(max_size=300) | mutated([encode(example_of(kind)) for kind in KINDS]))
@example(stored=b"\x96\x20\x00\xa1\xff\x01\x02\x05")
def test_any_bytes_are_an_event_or_malformed(decode, stored):
    try:
        fact = decode(stored)
    except Malformed:
        return

    assert isinstance(fact, (UnknownEvent, *KINDS))


@every_decode
@given(head=st.lists(st.none() | st.booleans() | st.integers(-9, 99) | st.text(max_size=3), max_size=8))
def test_any_array_is_an_event_or_malformed(decode, head):
    try:
        fact = decode(encode(head))
    except Malformed:
        return

    assert [type(item) for item in head[:5]] == [int, int, str, int, int]
    assert isinstance(fact, UnknownEvent) == (head[0] not in [tag_of(kind) for kind in KINDS])


def test_every_declared_event_can_be_decoded():
    declared = {*Event.__subclasses__(), *Command.__subclasses__()} - {Command}

    assert declared == set(KINDS)
    assert {*HOST_EVENTS, CommandRefused} == {kind for kind in declared if not issubclass(kind, Command)}
    assert set(HOST_COMMANDS) == {kind for kind in declared if issubclass(kind, Command)}
