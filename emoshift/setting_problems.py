"""Says in a sentence what is wrong with a setting, what was expected, and how to write it."""

from __future__ import annotations

import json
import re
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from emoshift.credentials import mask_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST: Final = 60
_KINDS: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    Path: "a path in quotes",
    SecretStr: "text in quotes",
}
_SECRET: Final = re.compile(r"password|token|secret|key$")


def describe_problem(model: type[BaseModel], error: dict[str, Any]) -> str:
    """Turn one of pydantic's findings into a sentence with an example.

    Args:
        model: The settings that were checked.
        error: One entry of ``ValidationError.errors()``.
    """
    path = tuple(str(part) for part in error["loc"])
    name = ".".join(path) or "the file"
    if error["type"] == "value_error":
        return f"{name}: {str(error['msg']).removeprefix('Value error, ')}"
    field = find_field(model, path)
    parts = [f"{name}: found {_found(error.get('input'), path)}"]
    parts.append(f"expected {_expected(field, error)}")
    if example := _example(field, path[-1] if path else "", error.get("input")):
        parts.append(f"for example {example}")
    return "; ".join(parts)


def describe_syntax(why: ValueError) -> str:
    """Say what TOML's reader stumbled over, and what is most often the cause."""
    place = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", str(why))
    if place is None:
        return f"not TOML: {why}"
    return (
        f"not TOML: {place[1].lower()} at {place[2]};"
        ' text stands in quotes, for example name = "room-7"'
    )


def find_field(model: type[BaseModel], path: Sequence[str]) -> FieldInfo | None:
    """Return the field that a path of keys leads to; ``None`` for keys within lists and tables."""
    field: FieldInfo | None = None
    for name in path:
        inner = model if field is None else table_of(field.annotation)
        if inner is None or name not in inner.model_fields:
            return field if field is not None and inner is None else None
        field = inner.model_fields[name]
    return field


def table_of(annotation: object) -> type[BaseModel] | None:
    """Return the table that an annotation stands for, if it does."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return next((t for a in get_args(annotation) if (t := table_of(a)) is not None), None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _found(value: object, path: Sequence[str]) -> str:
    if any(_SECRET.search(part) for part in path):
        return "a value of another kind"
    if isinstance(value, dict):
        return "a table"
    text = mask_credentials(_toml(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _expected(field: FieldInfo | None, error: dict[str, Any]) -> str:
    if error["type"] == "literal_error":
        return "one of " + str(error["ctx"]["expected"]).replace("'", '"')
    if field is None:
        return str(error["msg"]).removeprefix("Input should be ")
    if (table := table_of(field.annotation)) is not None:
        return f"a table with {', '.join(table.model_fields)}"
    if field.description:
        return field.description
    kind, within = _kind(field.annotation)
    limits = [*field.metadata, *within]
    words = _KINDS.get(kind, "a list in brackets" if kind in {list, tuple} else "a table")
    if kind is str and any(getattr(m, "min_length", 0) for m in limits):
        words = "text in quotes that is not empty"
    return words + _range(limits)


def _kind(annotation: object) -> tuple[type, list[Any]]:
    """Return what a value has to be, and the limits that stand within an optional annotation."""
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return next(_kind(a) for a in get_args(annotation) if a is not type(None))
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        kind, limits = _kind(inner)
        for mark in marks:
            limits += mark.metadata if isinstance(mark, FieldInfo) else [mark]
        return kind, limits
    found = origin or annotation
    return (found if isinstance(found, type) else str), []


def _range(marks: Sequence[Any]) -> str:
    limits = {
        name: getattr(m, name)
        for m in marks
        for name in ("gt", "ge", "lt", "le", "max_length")
        if getattr(m, name, None) is not None
    }
    match limits:
        case {"ge": low, "le": high}:
            return f" from {low:g} to {high:g}"
        case {"gt": low, "le": high}:
            return f" above {low:g}, at most {high:g}"
        case {"ge": low}:
            return f" of at least {low:g}"
        case {"gt": low}:
            return f" above {low:g}"
        case {"max_length": most}:
            return f" of at most {most} characters"
    return ""


def _example(field: FieldInfo | None, key: str, found: object) -> str:
    if field is None or table_of(field.annotation) is not None or isinstance(found, dict):
        return ""
    choices = [*(field.examples or ()), field.default]
    if isinstance(found, str) and field.examples:
        near = re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")
        if near and _fits(field, near):
            choices.insert(0, near)
    value = next((c for c in choices if isinstance(c, str | int | float | Path)), None)
    return "" if value is None or value == "" else f"{key} = {_toml(value)}"


def _fits(field: FieldInfo, text: str) -> bool:
    patterns = [m.pattern for m in field.metadata if getattr(m, "pattern", None)]
    return bool(patterns) and all(re.search(pattern, text) for pattern in patterns)


def _toml(value: object) -> str:
    """Write a value as it would stand in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    return repr(value)
