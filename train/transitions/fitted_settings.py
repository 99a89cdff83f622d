"""Writes what was fitted: the manifest's block for the detector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge.bundle.manifest import Temporal
from edge.transitions import METHOD
from emoshift.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.transitions import TransitionParameters


def temporal(
    parameters: TransitionParameters, fitted_on: str, *, false_changes_per_min: float | None
) -> Temporal:
    """The manifest's block for these parameters."""
    return Temporal(
        method=METHOD,
        sensitivity=parameters.sensitivity,
        parameters=parameters.to_parameters(),
        fitted_on=fitted_on,
        false_changes_per_min=false_changes_per_min,
    )


def write_json(path: Path, values: object) -> None:
    """Write readable JSON, rows of numbers on one line, or raise `OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_pretty(values) + "\n", encoding="utf-8")
    except OSError as why:
        raise OutputError(f"{path}: cannot be written: {why}") from why


def _pretty(values: object, indent: str = "") -> str:
    deeper = indent + "  "
    if isinstance(values, dict):
        lines = [f"{deeper}{json.dumps(k)}: {_pretty(v, deeper)}" for k, v in values.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}" if lines else "{}"
    if isinstance(values, list) and any(isinstance(v, list | dict) for v in values):
        return "[\n" + ",\n".join(deeper + _pretty(v, deeper) for v in values) + f"\n{indent}]"
    return json.dumps(values)
