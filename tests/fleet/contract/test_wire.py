"""The schemas of events and commands: every field has its words, and everything that is written fits."""

import base64
import json

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, ValidationError

from fleet.codec import decode_any, encode
from fleet.contract.wire import COMMANDS, EVENTS, SAYS, array_schema, object_schema, says, schemas
from fleet.log.protocol import Entry
from fleet.view.present import entry_object
from nodes.events import CommandRefused, Why
from tests.cli import rasfleet
from tests.facts import KINDS, every_kind, example_of, facts, fields_of
from tests.runs import storm

ARRAYS = {kind: Draft7Validator(array_schema(kind)) for kind in KINDS}


def as_json(value):
    """A value of MessagePack as JSON has it."""
    return [base64.b64encode(item).decode() if isinstance(item, bytes) else item for item in value]


@every_kind
def test_every_field_has_its_words(kind):
    assert all(says(kind, field.name).text for field in fields_of(kind))


def test_no_words_are_left_of_a_field_that_is_gone():
    assert set(SAYS) == {field.name for kind in KINDS for field in fields_of(kind)}


@settings(max_examples=60)
@given(st.sampled_from(KINDS).flatmap(facts))
def test_what_is_written_fits_its_schema_and_no_other(event):
    found = as_json(msgpack.unpackb(encode(event)))

    assert [kind for kind, schema in ARRAYS.items() if schema.is_valid(found)] == [type(event)]


@every_kind
def test_a_newer_array_may_be_longer_and_an_older_one_shorter_by_what_has_a_default(kind):
    found = as_json(msgpack.unpackb(encode(example_of(kind))))
    ARRAYS[kind].validate([*found, "further"])
    least = 1 + sum(field.required for field in fields_of(kind))

    assert ARRAYS[kind].is_valid(found[:least])
    assert not ARRAYS[kind].is_valid(found[: least - 1])


def test_every_line_of_tail_fits_the_schema_of_its_event(tmp_path):
    _, log = storm(tmp_path / "storm")
    objects = {kind.__name__: Draft7Validator(object_schema(kind)) for kind in KINDS}
    topics = [f"--topic={topic}" for topic in ("command", "syndrome", "cper", "outcome", "dead-letter")]
    lines = rasfleet("tail", log.folder, "--json", *topics).lines
    first = {line["event"]: line for line in reversed(lines)}
    letter = CommandRefused(0, "", 0, 0, Why.UNDECODABLE, "ras.command.v1", 1, 2, b"k\xff", b"\xc1", 1)
    first["CommandRefused"] = entry_object(Entry(letter.topic, 1, 0, 0, b"", b""), letter)

    assert len(first) >= 20
    for name, line in first.items():
        objects[name].validate(json.loads(json.dumps(line)))


@pytest.mark.parametrize(("words", "kinds"), [("event", EVENTS), ("command", COMMANDS)])
def test_the_command_prints_one_schema_that_takes_both_forms(words, kinds):
    printed = json.loads(rasfleet("schema", words).out)
    Draft7Validator.check_schema(printed)
    validator = Draft7Validator(printed)
    example = kinds[-1](
        7, "host-0001", 9, 5, *[{int: 1, str: "", bytes: b""}[f.type] for f in fields_of(kinds[-1])[4:]]
    )
    entry = Entry(example.topic, 0, 7, 0, b"", encode(example))

    assert printed == json.loads(json.dumps(schemas(kinds, words)))
    validator.validate(as_json(msgpack.unpackb(entry.value)))
    validator.validate(json.loads(json.dumps(entry_object(entry, decode_any(entry.topic, entry.value)))))
    with pytest.raises(ValidationError):
        validator.validate(["something else"])
