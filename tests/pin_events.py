"""The schemas of all events and commands, pinned in ``tests/golden/events.json``.

What was published stays readable for ever: a tag keeps its name, topic, level and fields; a field may only be
appended, with a default. ``python -m tests.pin_events`` writes new tags and appended fields into the file, and
refuses everything else. Before the first release a file that was removed is written anew.
"""

import json
import sys
from pathlib import Path

import msgspec

from fleet.codec import encode
from nodes.events import COMMAND, DEAD_LETTER
from tests.facts import HEAD, KINDS, example_of, fields_of, tag_of

PINNED = Path(__file__).parent / "golden" / "events.json"
HOW = "python -m tests.pin_events writes new tags and appended fields; every other change needs a new tag"


def schema_of(kind):
    """What is promised about a kind, and one of it as bytes."""
    example = example_of(kind)
    return {
        "tag": tag_of(kind),
        "name": kind.__name__,
        "topic": kind.topic,
        "level": _level(kind),
        "fields": [_field(field) for field in fields_of(kind)],
        "examples": [{"values": _shown(msgspec.structs.astuple(example)), "bytes": encode(example).hex()}],
    }


def _level(kind):
    if kind.topic in (COMMAND, DEAD_LETTER):
        return None
    return fields_of(kind)[len(HEAD)].name if kind.level is None else kind.level.name.lower()


def _field(field):
    default = "" if field.required else f" = {field.default!r}"
    return f"{field.name}: {field.type.__name__}{default}"


def _shown(values):
    return [{"hex": value.hex()} if isinstance(value, bytes) else value for value in values]


def values_in(example):
    """The values of a pinned example."""
    return [bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in example["values"]]


def declared():
    """The schemas as the program has them now, in the order of their tags."""
    return sorted((schema_of(kind) for kind in KINDS), key=lambda schema: schema["tag"])


def pinned():
    """The schemas that were published."""
    return json.loads(PINNED.read_text())


def broken_promises(old, new):
    """What an old log would be misread by, one line each."""
    found = []
    now = {schema["tag"]: schema for schema in new}
    if len(now) < len(new):
        found.append("a tag is used twice")
    for was in old:
        schema = now.get(was["tag"])
        if schema is None:
            found.append(f"tag {was['tag']}: {was['name']} is gone")
            continue
        found += [
            f"tag {was['tag']}, {was['name']}: {what} was {was[what]}, is {schema[what]}"
            for what in ("name", "topic", "level")
            if was[what] != schema[what]
        ]
        kept, further = schema["fields"][: len(was["fields"])], schema["fields"][len(was["fields"]) :]
        if kept != was["fields"]:
            found.append(f"tag {was['tag']}, {was['name']}: fields were {was['fields']}, are {kept}")
        found += [
            f"tag {was['tag']}, {was['name']}: {field} has no default" for field in further if "=" not in field
        ]
    return found


def merged(old, new):
    """The new schemas with the examples of the old ones kept in front of their own."""
    before = {schema["tag"]: schema for schema in old}
    return [_with_examples(before.get(schema["tag"]), schema) for schema in new]


def _with_examples(was, schema):
    if was is None:
        return schema
    examples = was["examples"] + [new for new in schema["examples"] if new not in was["examples"]]
    return schema | {"examples": examples}


def _written(schemas):
    """A schema's parts on a line each, so that a difference shows what was done."""
    parts = [",\n  ".join(f'"{name}": {json.dumps(part)}' for name, part in schema.items()) for schema in schemas]
    return "[\n {" + "},\n {".join(parts) + "}\n]\n"


def main():
    old = pinned() if PINNED.exists() else []
    new = declared()
    found = broken_promises(old, new)
    if found:
        sys.exit("\n".join([*found, HOW]))
    PINNED.write_text(_written(merged(old, new)))
    print(f"{PINNED.name}: {len(new)} schemas")


if __name__ == "__main__":
    main()
