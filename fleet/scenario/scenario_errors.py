"""Errors of a scenario in one line: the key, its value, what was expected, what it may have meant."""

import re
from difflib import get_close_matches
from typing import Any, Final

from msgspec import ValidationError, convert, inspect

_PATH: Final = re.compile(r"^(?:(.*) - at `(key` in `)?\$?(.*?)`|(.*))$", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(.*)`", re.DOTALL)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")  # TOML; another one is shown in quotes
_MISSING_FIELD: Final = re.compile(r"missing required field `(.*)`")
_PLACE: Final = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_SOME_KEY: Final = "..."  # how msgspec names the key of a table whose keys are not declared
_WORDS: Final = {  # msgspec's names of types, and TOML's
    "object": "a table",
    "array": "an array",
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "datetime": "a date",
    "date": "a date",
    "time": "a time",
}
_TYPES: Final = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_SHOWN_MAX: Final = 60  # characters of a value in a message


class ScenarioError(ValueError):
    """A scenario cannot be used: one line for the user."""


def explained(message: str, tables: dict[str, Any], kind: type) -> str:
    """msgspec's message with the key, its value, and the nearest word that would have been right."""
    found = _PATH.match(message)
    assert found is not None, message
    reason, key_itself, path = found[1] or found[4] or "", found[2], found[3] or ""
    steps: list[str | int] = [
        name or (number if number == _SOME_KEY else int(number)) for name, number in _PLACE.findall(path)
    ]
    if _SOME_KEY in steps:
        steps[steps.index(_SOME_KEY)] = _wrong_key(steps[: steps.index(_SOME_KEY)], tables, kind, message)
    unknown = _UNKNOWN_FIELD.search(reason)
    if unknown:
        return (
            f"{_place([*steps, unknown[1]])}: unknown key{did_you_mean(unknown[1], _keys_at(steps, tables, kind))}"
        )
    missing = _MISSING_FIELD.search(reason)
    if missing:
        return f"{_place([*steps, missing[1]])}: missing, and it has no default"
    return _wrong_value(reason.removeprefix("Invalid enum value ").strip(), steps, tables, kind, bool(key_itself))


def _wrong_value(
    reason: str,
    steps: list[str | int],
    tables: dict[str, Any],
    kind: type,
    key_itself: bool,  # noqa: FBT001
) -> str:
    value = _value_at(steps, tables)
    choices = _choices_at(steps, tables, kind)
    if key_itself:
        wrong = next((key for key in value if key not in choices), "")
        meant = did_you_mean(wrong, choices) or f"; expected one of {', '.join(choices)}"
        return f"{_place([*steps, wrong])}: unknown{meant}"
    place = f"{_place(steps) or 'the file'}{shown(value)}"
    if not choices or isinstance(value, dict | list):
        brackets = f"; written [[{_place(steps)}]]" if steps and reason.endswith("`array`, got `object`") else ""
        return f"{place}: {_in_words(reason)}{brackets}"
    if not isinstance(value, str):
        return f"{place}: expected text, one of {', '.join(_quoted(choice) for choice in choices)}"
    return f"{place}: expected one of {', '.join(choices)}{did_you_mean(value, choices)}"


def _in_words(reason: str) -> str:
    reason = _TYPES.sub(lambda found: " or ".join(_WORDS.get(n, n) for n in found[1].split(" | ")), reason)
    return f"{reason[:1].lower()}{reason[1:]}"


def _wrong_key(steps: list[str | int], tables: dict[str, Any], kind: type, message: str) -> str:
    """The key whose value msgspec means: alone in its table it gives the same message."""
    for key, value in _value_at(steps, tables).items():
        try:
            convert(_with(tables, steps, {key: value}), kind)
        except ValidationError as fault:
            if str(fault) == message:
                return str(key)
    return _SOME_KEY


def _with(tables: Any, steps: list[str | int], table: dict[str, Any]) -> Any:
    """The tables with another one in the place of one."""
    if not steps:
        return table
    changed = _with(tables[steps[0]], steps[1:], table)
    if isinstance(tables, list):
        return [changed if index == steps[0] else item for index, item in enumerate(tables)]
    return tables | {steps[0]: changed}


def _place(steps: list[str | int]) -> str:
    place = ""
    for step in steps:
        if isinstance(step, int):
            place += f"[{step}]"
        else:
            key = step if _BARE_KEY.fullmatch(step) else _quoted(step)
            place += f".{key}" if place else key
    return place


def shown(value: object) -> str:
    """A value as it stands in a scenario, on one line; a table or an array says nothing."""
    if isinstance(value, dict | list):
        return ""
    return f" = {_quoted(value) if isinstance(value, str) else _cut(str(value))}"


def _quoted(text: str) -> str:
    """Text on one line."""
    seen = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return f'"{_cut(seen)}"'


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."


def did_you_mean(word: str, words: list[str]) -> str:
    """The nearest of some words, as a question; empty when none is near."""
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
