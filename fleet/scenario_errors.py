"""Errors of a scenario in one line: the key, its value, what was expected, what it may have meant."""

import re
from difflib import get_close_matches
from typing import Any, Final

from msgspec import inspect

_PATH: Final = re.compile(r"^(.*?)(?: - at `(key` in `)?\$?(.*?)`)?$", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(.*)`")
_MISSING_FIELD: Final = re.compile(r"missing required field `(.*)`")
_PLACE: Final = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_SHOWN_MAX: Final = 60  # characters of a value in a message


class ScenarioError(ValueError):
    """A scenario cannot be used: one line for the user."""


def explained(message: str, tables: dict[str, Any], kind: type) -> str:
    """msgspec's message with the key, its value, and the nearest word that would have been right."""
    found = _PATH.match(message)
    assert found is not None, message
    reason, key_itself, path = found[1], found[2], found[3] or ""
    steps: list[str | int] = [
        name or (int(number) if number.isdigit() else 0) for name, number in _PLACE.findall(path)
    ]
    place = path.removeprefix(".")
    unknown = _UNKNOWN_FIELD.search(reason)
    if unknown:
        where = f"{place}.{unknown[1]}" if place else unknown[1]
        return f"{where}: unknown key{_meant(unknown[1], _keys_at(steps, tables, kind))}"
    missing = _MISSING_FIELD.search(reason)
    if missing:
        return f"{place}{'.' if place else ''}{missing[1]}: missing, and it has no default"
    value = _value_at(steps, tables)
    choices = _choices_at(steps, tables, kind)
    reason = reason.removeprefix("Invalid enum value ").strip()
    if key_itself and isinstance(value, dict):
        wrong = next((key for key in value if key not in choices), "")
        return f"{place}.{wrong}: unknown{_meant(wrong, choices)}"
    expected = f"expected one of {', '.join(choices)}" if choices else reason[:1].lower() + reason[1:]
    meant = _meant(value, choices) if isinstance(value, str) else ""
    return f"{place or 'the file'}{_shown(value)}: {expected}{meant}"


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return ""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return f" = {text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + '...'}"


def _meant(word: str, words: list[str]) -> str:
    near = get_close_matches(word, words, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _value_at(steps: list[str | int], tables: Any) -> Any:
    for step in steps:
        try:
            tables = tables[step]
        except (KeyError, IndexError, TypeError):
            return {}
    return tables


def _union_at(steps: list[str | int], tables: Any, kind: type) -> inspect.UnionType | None:
    declared = _declared_at(steps, tables, kind)
    return declared if isinstance(declared, inspect.UnionType) else None


def _type_at(steps: list[str | int], tables: Any, kind: type) -> inspect.Type:
    """The declared type at a place; a union of tables is resolved by what stands there."""
    return _resolved(_declared_at(steps, tables, kind), _value_at(steps, tables))


def _declared_at(steps: list[str | int], tables: Any, kind: type) -> inspect.Type:
    declared: inspect.Type = inspect.type_info(kind)
    for step in steps:
        declared = _resolved(declared, tables)
        if isinstance(declared, inspect.StructType):
            field = next((f for f in declared.fields if f.encode_name == step), None)
            declared = field.type if field is not None else inspect.AnyType()
        elif isinstance(declared, inspect.ListType):
            declared = declared.item_type
        elif isinstance(declared, inspect.DictType):
            declared = declared.value_type
        tables = _value_at([step], tables)
    return declared


def _resolved(declared: inspect.Type, value: Any) -> inspect.Type:
    if isinstance(declared, inspect.Metadata):
        declared = declared.type
    if isinstance(declared, inspect.UnionType):
        tables = [t for t in declared.types if isinstance(t, inspect.StructType)]
        if tables and isinstance(value, dict):
            return next((t for t in tables if t.tag == value.get(t.tag_field)), tables[0])
        return next((t for t in declared.types if isinstance(t, inspect.EnumType)), declared.types[0])
    return declared


def _keys_at(steps: list[str | int], tables: Any, kind: type) -> list[str]:
    declared = _type_at(steps, tables, kind)
    return [field.encode_name for field in declared.fields] if isinstance(declared, inspect.StructType) else []


def _choices_at(steps: list[str | int], tables: Any, kind: type) -> list[str]:
    declared = _type_at(steps, tables, kind)
    if isinstance(declared, inspect.DictType):
        declared = _resolved(declared.key_type, "")
    if isinstance(declared, inspect.EnumType):
        return [str(member.value) for member in declared.cls]
    return _tags_at(steps, tables, kind)


def _tags_at(steps: list[str | int], tables: Any, kind: type) -> list[str]:
    """What a table can be when the place is the key that says so."""
    declared = _union_at(steps[:-1], tables, kind)
    tables_of = [t for t in declared.types if isinstance(t, inspect.StructType)] if declared else []
    return [str(t.tag) for t in tables_of if t.tag_field == steps[-1]]
