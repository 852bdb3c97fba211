"""The JSON Schema of a scenario, and the table of its keys: both from the declarations in fleet.scenario.tables.

The schema says what a single key may hold, and which keys of ``[[faults]]`` exclude one another. What else several
keys tell together (which of two says where, labels that must exist, bounds of 64 bits) is said when a scenario is
read: ``rasfleet validate``.

Sources: JSON Schema draft 2020-12; Taplo's directive ``#:schema`` for editors.
"""

from collections.abc import Collection, Iterator
from itertools import combinations
from typing import Any, Final

import msgspec

from fleet.scenario.script import Step
from fleet.scenario.selecting import SelectingTable, Table
from fleet.scenario.tables import SIZES, Scenario

ID: Final = "urn:rasfleet:scenario"
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_PARTS: Final[dict[str, tuple[type[Table], str]]] = {  # what several tables have, told once
    "Selecting hosts": (
        SelectingTable,
        "Keys of the tables below that are about some hosts: all of them must hold.",
    ),
    "Every step": (
        Step,
        "A step says what to `do`. It names one host, or selects hosts and is done to each of them.",
    ),
}
_TABLES: Final = {  # heading -> table, in the order of the document
    "`[[hosts]]`": "HostsTable",
    "`[[firmware]]`": "FirmwareTable",
    "`[[dimm_batches]]`": "DimmBatchTable",
    "`[[overrides]]`": "OverrideTable",
    "`[[faults]]`": "FaultsTable",
    "`met_by` of `[[faults]]`": "MetByTable",
    "`[switches]`": "Switches",
    "`[expect]`": "ExpectTable",
}
_ALONE: Final = {"FaultsTable": (SIZES, ("preset", "mix"))}  # of each of these a table has one key at most


def schema() -> dict[str, Any]:
    """The JSON Schema of a scenario."""
    declared = msgspec.json.schema(Scenario, ref_template="#/$defs/{name}")
    tables = {name: _named(name, table) for name, table in sorted(declared["$defs"].items())}
    whole = tables.pop("Scenario")
    return {"$schema": DRAFT, "$id": ID} | whole | {"title": "rasfleet scenario", "$defs": tables}


def _named(name: str, table: dict[str, Any]) -> dict[str, Any]:
    """A table as editors show it: its name, and its description without markup."""
    said = table.get("description", "").replace("``", "`")
    found: dict[str, Any] = _beside(table) | {"title": name} | ({"description": said} if said else {})
    pairs = [pair for keys in _ALONE.get(name, ()) for pair in combinations(keys, 2)]
    return found | ({"allOf": [{"not": {"required": [*pair]}} for pair in pairs]} if pairs else {})


def _beside(part: Any) -> Any:
    """References in a form in which editors of older drafts see what is said beside them."""
    if isinstance(part, list):
        return [_beside(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part and len(part) > 1:
        return {"allOf": [{"$ref": part["$ref"]}]} | {key: part[key] for key in part if key != "$ref"}
    closed = {"additionalProperties": False} if {"properties", "additionalProperties"} <= set(part) else {}
    return {key: _beside(item) for key, item in part.items()} | closed


def keys() -> str:
    """Every key as Markdown, a table for each table of a scenario."""
    whole = schema()
    tables = whole["$defs"] | {"Scenario": whole}
    steps = [reference["$ref"].rpartition("/")[2] for reference in whole["properties"]["script"]["items"]["anyOf"]]
    lines = [*_table("The scenario", whole, tables)]
    told = {"do"}
    for heading, (part, said) in _PARTS.items():
        declared = msgspec.json.schema(part, ref_template="#/$defs/{name}")["$defs"][part.__name__]
        lines += _table(heading, _beside(declared | {"description": said}), tables, without=told)
        told |= {field.encode_name for field in msgspec.structs.fields(part)}
    selecting = {field.encode_name for field in msgspec.structs.fields(SelectingTable)}
    for heading, name in _TABLES.items():
        has_all = selecting <= set(tables[name]["properties"])
        lines += _table(heading, tables[name], tables, without=selecting if has_all else set())
    for name in steps:
        lines += _table(f'`[[script]]`, `do = "{_do(tables[name])}"`', tables[name], tables, without=told)
    return "\n".join(lines)


def _do(step: dict[str, Any]) -> str:
    found: str = step["properties"]["do"]["enum"][0]
    return found


def _table(
    heading: str, table: dict[str, Any], tables: dict[str, Any], *, without: Collection[str] = ()
) -> Iterator[str]:
    yield f"### {heading}\n"
    yield f"{table['description'].partition('`: ')[2] or table['description']}\n"
    shown = {key: declared for key, declared in table["properties"].items() if key not in without}
    if not shown:
        return
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, declared in shown.items():
        default = _default(declared, required=key in table.get("required", ()))
        yield f"| `{key}` | {_value(declared, tables)} | {default} | {_meaning(declared, tables)} |"
    yield ""


def _resolved(declared: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    for reference in (declared, *declared.get("allOf", ())):
        if "$ref" in reference:
            found: dict[str, Any] = tables[reference["$ref"].rpartition("/")[2]]
            return found
    return declared


def _meaning(declared: dict[str, Any], tables: dict[str, Any]) -> str:
    if declared.get("properties"):
        return f"{declared['description']}: {', '.join(f'`{key}`' for key in declared['properties'])}"
    found: str = declared.get("description") or _resolved(declared, tables).get("description", "")
    return found.rstrip(".").replace("|", "\\|")


def _default(declared: dict[str, Any], *, required: bool) -> str:
    if required:
        return "must be said"
    default = declared.get("default")
    if default is None or not any(default.values() if isinstance(default, dict) else [default != []]):
        return ""
    return f"`{_toml(default)}`"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())} }}"
    return (
        str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value}"
    )


def _value(declared: dict[str, Any], tables: dict[str, Any]) -> str:
    """What a key may hold, in words."""
    found = _resolved(declared, tables)
    if "anyOf" in found:
        return " or ".join(_value(choice, tables) for choice in found["anyOf"])
    if "enum" in found:
        many = len(found["enum"]) > _ENUM_MAX
        return f"one of {len(found['enum'])} names" if many else ", ".join(f"`{name}`" for name in found["enum"])
    words = {"integer": "whole number", "object": "table", "string": "text", "boolean": "`true`, `false`"}
    kind: str = words.get(found.get("type", ""), found.get("type", "value"))
    if found.get("type") == "array":
        items = _resolved(found["items"], tables).get("type", "object")
        return f"array of {words[items]}s"
    return kind + _bounds(found)


_ENUM_MAX: Final = 8  # names that the table of keys lists


def _bounds(declared: dict[str, Any]) -> str:
    low, high = declared.get("minimum"), declared.get("maximum")
    above, below = declared.get("exclusiveMinimum"), declared.get("exclusiveMaximum")
    parts = [
        f"{word} {bound:g}" if isinstance(bound, float) else f"{word} {bound}"
        for word, bound in (("from", low), ("above", above), ("to", high), ("below", below))
        if bound is not None
    ]
    return f" {' '.join(parts)}" if parts else ""
