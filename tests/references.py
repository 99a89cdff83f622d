"""What is made from the code: the command, configuration and message references, the schemas.

Run ``python -m tests.references`` to write them; a test fails while they are stale.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel

from benchmarks.cli import main as edge_bench
from convert.cli import main as convert
from dashboard.cli import main as edge_dashboard
from dashboard.config import Config as DashboardConfig
from edge.cli import main as edge
from edge.config import Config
from edge.doctor.report import Check, DoctorReport, Fix, ReportedCure
from emoshift.messages import MODELS
from emoshift.settings import Table
from emoshift.topics import Kind
from train.cli import main as train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOTS: Final = {
    "edge": edge,
    "edge-bench": edge_bench,
    "edge-dashboard": edge_dashboard,
    "convert": convert,
    "train": train,
}
ROOT: Final = Path(__file__).parent.parent
TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "object by name",
}
MARKS: Final = ("<!-- made by make docs -->", "<!-- end of what make docs makes -->")


def commands(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield a command and all below it with their full names, each in its parent's context."""
    settings = {"max_content_width": 100, **command.context_settings}
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, **settings)
    yield name, command, context
    if isinstance(command, click.Group):
        for word in command.list_commands(context):  # some load what they list
            found = command.get_command(context, word)
            if found is not None and not found.hidden:
                yield from commands(found, f"{name} {word}", context)


def command_reference() -> str:
    """Every command's own help."""
    parts = ["# Commands\n\nMade from the code by `make docs`. Exit codes: docs/operations.md.\n"]
    for name, root in ROOTS.items():
        for full, command, context in commands(root, name):
            parts.append(f"## `{full}`\n\n```\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def config_reference() -> str:
    """Every table and key with type, default and meaning."""
    start = (
        "# Configuration\n\nMade from the code by `make docs`. One TOML file, by default"
        " `/etc/emoshift/edge.toml`; every table and key may be left out. `edge check FILE`"
        " reports every problem at once.\n"
    )
    dashboard = (
        "# The dashboard's configuration\n\nOne TOML file, `edge-dashboard serve --config FILE`;"
        " every table and key may be left out.\n"
    )
    return "\n".join([start, *tables(Config), dashboard, *tables(DashboardConfig)])


def tables(config: type[BaseModel]) -> Iterator[str]:
    """Every table of a configuration, each as a table of its keys."""
    for table, field in config.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        title, meanings = described(model)
        yield f"## `[{table}]`\n\n{title}\n"
        rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for key, value in model.model_fields.items():
            default = value.get_default(call_default_factory=True)
            shown = "" if default is None else f"`{toml(default)}`"
            rows.append(
                f"| `{key}` | {kind(value.annotation)} | {shown} | {meanings[key]} |".replace(
                    "``", "`"
                )
            )
        yield "\n".join(rows) + "\n"


def described(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return a docstring's title and the meaning of each attribute, inherited ones included."""
    title, _, rest = inspect.getdoc(model).partition("\n\nAttributes:\n")  # type: ignore[union-attr]
    parent = model.__base__
    meanings = described(parent)[1] if parent not in {BaseModel, Table} else {}
    names: list[str] = []
    for line in rest.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            head, _, text = line.strip().partition(": ")
            names = [name.strip() for name in head.split(",")]
            meanings.update(dict.fromkeys(names, text))
        else:
            for name in names:
                meanings[name] += f" {line.strip()}"
    return title, {name: text.strip() for name, text in meanings.items()}


def kind(annotation: Any) -> str:
    """Name a type as a reader of TOML would."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{toml(v)}`" for v in get_args(annotation))
    if origin in {Union, types.UnionType}:
        return kind(next(a for a in get_args(annotation) if a is not type(None)))
    if origin is dict:
        return "table"
    if origin is not None:
        return kind(get_args(annotation)[0])
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(annotation, "path" if annotation is Path else "text")


def toml(value: object) -> str:
    """Write a default as it would stand in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return f'"{value}"'
    return {"{}": "{}", "()": "[]"}.get(str(value), str(value))


def message_schema(of: Kind) -> dict[str, Any]:
    """The JSON Schema of a message; keys that it does not list are allowed."""
    model = MODELS[of]
    made = model.model_json_schema(mode="validation")
    title, meanings = described(model)
    for name, field in model.model_fields.items():
        if name in meanings:
            key = field.serialization_alias or name
            made["properties"][key]["description"] = meanings[name].replace("``", "")
    made["properties"]["schema"].pop("default")
    rest = {key: made[key] for key in ("not", "if", "then", "else", "$defs") if key in made}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:emoshift:{of}:1",
        "title": title.replace("``", "").rstrip("."),
        "type": "object",
        "required": ["schema", *made["required"]],
        "properties": without_titles(made["properties"]),
        **without_titles(rest),
    }


def without_titles(value: Any) -> Any:
    """Leave out the titles that pydantic gives to every key."""
    if isinstance(value, dict):
        named = not isinstance(value.get("title"), str)
        return {k: without_titles(v) for k, v in value.items() if named or k != "title"}
    return value


def schema_text(of: Kind) -> str:
    """The schema as its file."""
    return json.dumps(message_schema(of), indent=2, ensure_ascii=False) + "\n"


def doctor_schema() -> str:
    """What ``edge doctor --json`` prints."""
    made = without_titles(DoctorReport.model_json_schema(mode="serialization"))
    parts = {"Check": Check, "Fix": Fix, "ReportedCure": ReportedCure}
    for part, model in [(made, DoctorReport), *((made["$defs"][n], m) for n, m in parts.items())]:
        title, meanings = described(model)
        part["description"] = title.replace("``", "")
        for name, field in model.model_fields.items():
            key = field.serialization_alias or name
            part["properties"][key]["description"] = meanings[name].replace("``", "")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:emoshift:doctor:1",
    }
    return json.dumps(head | made, indent=2, ensure_ascii=False) + "\n"


def message_reference() -> str:
    """docs/mqtt.md, with the table of every message made anew."""
    text = (ROOT / "docs" / "mqtt.md").read_text(encoding="utf-8")
    head, rest = text.split(MARKS[0])
    _, tail = rest.split(MARKS[1])
    tables = "\n".join(message_table(of) for of in Kind)
    return f"{head}{MARKS[0]}\n\n{tables}\n{MARKS[1]}{tail}"


def message_table(of: Kind) -> str:
    """Every key of one message with what it may be and what it means."""
    schema = message_schema(of)
    rows = ["| key | value | meaning |", "| --- | --- | --- |"]
    title, meanings = described(MODELS[of])
    meanings["schema_"] = "Names the message and its version."
    for name, field in MODELS[of].model_fields.items():
        key = field.serialization_alias or name
        optional = "" if key in schema["required"] else "; may be missing"
        words = value_words(schema["properties"][key], schema)
        rows.append(f"| `{key}` | {words}{optional} | {meanings[name]} |")
    table = "\n".join(rows)
    return f"### `/{of}`\n\n{title}\n\n{table}\n".replace("``", "`")


def value_words(value: dict[str, Any], schema: dict[str, Any]) -> str:
    """Say what a value of a schema may be."""
    if "$ref" in value:
        value = schema["$defs"][value["$ref"].rpartition("/")[2]]
    match value:
        case {"anyOf": parts}:
            words = " or ".join(value_words(part, schema) for part in parts)
        case {"const": word}:
            words = f"`{word}`"
        case {"enum": choices}:
            words = ", ".join(f"`{word}`" for word in choices)
        case {"format": "date-time"}:
            words = "date, RFC 3339"
        case {"type": "object", "properties": parts}:
            words = "object of " + ", ".join(f"`{part}`" for part in parts)
        case {"type": "string", "pattern": pattern}:
            digits = re.fullmatch(r"\^\[0-9a-f\]\{(\d+)\}\$", pattern)
            words = "text" if digits is None else f"{digits[1]} hexadecimal digits"
        case _:
            words = TYPES.get(value["type"], value["type"])
    return f"{words}, {low_to_high(value)}" if "minimum" in value else words


def low_to_high(value: dict[str, Any]) -> str:
    """The range of a number, as far as it is of use to a reader."""
    low, high = value["minimum"], value["maximum"]
    return f"{low:g} to {high:g}" if high <= 10_000 else f"at least {low:g}"


REFERENCES: Final[dict[str, Callable[[], str]]] = {
    "docs/commands.md": command_reference,
    "docs/configuration.md": config_reference,
    **{f"emoshift/schemas/{k}.json": functools.partial(schema_text, k) for k in Kind},
    "docs/mqtt.md": message_reference,
    "edge/doctor/report.schema.json": doctor_schema,
}


if __name__ == "__main__":
    for file, make in REFERENCES.items():
        (ROOT / file).parent.mkdir(exist_ok=True)
        (ROOT / file).write_text(make(), encoding="utf-8")
