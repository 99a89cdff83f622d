"""The references that are made from the code: the commands and the configuration.

Run ``python -m tests.references`` to write them; a test fails while they are stale.
"""

from __future__ import annotations

import inspect
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel

from benchmarks.cli import main as edge_bench
from convert.cli import main as convert
from dashboard.cli import main as edge_dashboard
from edge.cli import main as edge
from edge.config import Config
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
DOCS: Final = Path(__file__).parent.parent / "docs"


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
    parts = [start]
    for table, field in Config.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        title, meanings = described(model)
        parts.append(f"## `[{table}]`\n\n{title}\n")
        rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for key, value in model.model_fields.items():
            default = value.get_default(call_default_factory=True)
            shown = "" if default is None else f"`{toml(default)}`"
            rows.append(f"| `{key}` | {kind(value.annotation)} | {shown} | {meanings[key]} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def described(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Split a docstring into its title and the meaning of each attribute."""
    title, _, rest = inspect.getdoc(model).partition("\n\nAttributes:\n")  # type: ignore[union-attr]
    meanings: dict[str, str] = {}
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
    return "{}" if value == {} else str(value)


REFERENCES: Final[dict[str, Callable[[], str]]] = {
    "commands.md": command_reference,
    "configuration.md": config_reference,
}


if __name__ == "__main__":
    for file, make in REFERENCES.items():
        (DOCS / file).write_text(make(), encoding="utf-8")
