"""What was fitted on tuning streams and is used for the report: settings of every baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.bundle.manifest import Temporal
from edge.transitions import METHOD, TransitionParameters
from emoshift.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

TUNED: Final = Path(__file__).with_name("tuned.json")

Settings = dict[str, dict[str, Any]]


def settings_of(level: str, path: Path = TUNED) -> Settings:
    """Settings of the baselines for a level; levels c and labels use those of b."""
    settings: Settings = _read(path).get("a" if level == "a" else "b", {}).get("baselines", {})
    return settings


def level_a_parameters(path: Path = TUNED) -> TransitionParameters:
    """The device's parameters fitted for level (a), whose network is a model of one."""
    block = _read(path).get("a", {}).get("temporal")
    return TransitionParameters.from_temporal(
        None if block is None else Temporal.model_validate(block), where=str(path)
    )


def store(level: str, values: Mapping[str, Any], path: Path = TUNED) -> None:
    """Write what was fitted for one level; the other level's part stays."""
    write_json(path, {**_read(path), level: dict(values)})


def temporal(parameters: TransitionParameters, fitted_on: str) -> Temporal:
    """The manifest's block for these parameters."""
    return Temporal(
        method=METHOD,
        sensitivity=parameters.sensitivity,
        parameters=parameters.to_parameters(),
        fitted_on=fitted_on,
    )


def write_json(path: Path, values: object) -> None:
    """Write readable JSON, rows of numbers on one line, or raise `OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_pretty(values) + "\n", encoding="utf-8")
    except OSError as why:
        raise OutputError(f"{path}: cannot be written: {why}") from why


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as why:
        raise InputError(f"{path}: cannot be read: {why}") from why
    return data


def _pretty(values: object, indent: str = "") -> str:
    deeper = indent + "  "
    if isinstance(values, dict):
        lines = [f"{deeper}{json.dumps(k)}: {_pretty(v, deeper)}" for k, v in values.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}" if lines else "{}"
    if isinstance(values, list) and any(isinstance(v, list | dict) for v in values):
        return "[\n" + ",\n".join(deeper + _pretty(v, deeper) for v in values) + f"\n{indent}]"
    return json.dumps(values)
