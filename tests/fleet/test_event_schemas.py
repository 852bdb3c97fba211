"""What was published stays readable: the schemas of events and commands against those in ``tests/golden``."""

import copy

import pytest

from fleet.codec import decode_command, decode_event, encode
from tests.facts import COMMANDS, HEAD, KINDS, every_kind, fields_of, tag_of
from tests.pin_events import HOW, broken_promises, declared, merged, pinned, values_in

BY_TAG = {tag_of(kind): kind for kind in KINDS}
EXAMPLES = [(schema["tag"], example) for schema in pinned() for example in schema["examples"]]
every_example = pytest.mark.parametrize(
    ("tag", "example"), EXAMPLES, ids=[f"{BY_TAG[tag].__name__ if tag in BY_TAG else tag}" for tag, _ in EXAMPLES]
)


def test_no_published_schema_was_changed():
    assert broken_promises(pinned(), declared()) == [], HOW


def test_every_schema_is_published():
    assert merged(pinned(), declared()) == pinned(), HOW


@every_example
def test_published_bytes_are_read_as_what_they_were(tag, example):
    kind = BY_TAG[tag]
    decode = decode_command if kind in COMMANDS else decode_event

    assert decode(bytes.fromhex(example["bytes"])) == kind(*values_in(example))


@pytest.mark.parametrize("schema", pinned(), ids=lambda schema: schema["name"])
def test_the_newest_published_bytes_are_what_is_written_now(schema):
    newest = schema["examples"][-1]

    assert encode(BY_TAG[schema["tag"]](*values_in(newest))).hex() == newest["bytes"]


@every_kind
def test_the_head_is_the_same_for_all(kind):
    assert [field.name for field in fields_of(kind)[: len(HEAD)]] == HEAD


def changed(change):
    schemas = declared()
    change(schemas)
    return broken_promises(declared(), schemas)


def swap_fields(schemas):
    fields = schemas[-2]["fields"]
    fields[-1], fields[-2] = fields[-2], fields[-1]


@pytest.mark.parametrize(
    "change",
    [
        swap_fields,
        lambda schemas: schemas[3]["fields"].pop(),
        lambda schemas: schemas[3]["fields"].append("further: int"),
        lambda schemas: schemas[3]["fields"].__setitem__(4, "origin: str"),
        lambda schemas: schemas[3].update(name="Other"),
        lambda schemas: schemas[3].update(topic="ras.other.v1"),
        lambda schemas: schemas[3].update(level="el3"),
        lambda schemas: schemas.pop(3),
        lambda schemas: schemas.append(copy.deepcopy(schemas[3])),
    ],
    ids=["reordered", "removed", "no default", "retyped", "renamed", "topic", "level", "gone", "tag reused"],
)
def test_a_change_that_an_old_log_would_be_misread_by_is_found(change):
    assert len(changed(change)) == 1


def test_a_field_may_be_appended_with_a_default_and_old_examples_stay():
    schemas = declared()
    old = copy.deepcopy(schemas)
    schemas[3]["fields"].append("further: int = 0")
    schemas[3]["examples"] = [{"values": [], "bytes": "90"}]

    assert broken_promises(old, schemas) == []
    assert merged(old, schemas)[3]["examples"] == old[3]["examples"] + schemas[3]["examples"]
    assert merged(old, schemas) != old
