"""The folder of a run: what was asked, what changed against the run it went on from."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from emoshift.errors import InputError, OutputError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

CONFIG = "experiment_config.json"
CHANGES = "experiment_changes.log"
OUTCOMES = ("summary.json", "best.json")
"""What a comparison or a search writes last, in place of epochs of one net."""
SCORES = ("ferplus_accuracy", "still_accuracy", "val_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What decided a run.

    Attributes:
        name: Given by the user.
        description: Free text.
        recipe: The recipe as plain values.
        resumed: Checkpoint it went on from, if any.
        weights: Net whose weights it began with, if any.
        teacher: File of teacher's probabilities it learnt from, if any.
        pictures: Folder learnt from in place of FER2013, if any.
        device: Where it was computed, as asked.
        asked: What was asked otherwise than the recipe's file says; ``recipe`` holds it already.
    """

    name: str
    description: str
    recipe: dict[str, Any]
    resumed: str | None
    weights: str | None = None
    teacher: str | None = None
    pictures: str | None = None
    device: str = "auto"
    asked: dict[str, Any] = field(default_factory=dict)


def create_run(
    runs: Path, config: RunConfig, *, began: datetime, before: RunConfig | None = None
) -> Path:
    """Make the folder of a new run and write what decides it.

    Args:
        runs: Folder that holds all runs.
        config: Of this run.
        began: Start, local time; part of the folder's name.
        before: Config of the run it goes on from.

    Raises:
        OutputError: The folder exists or cannot be made.
    """
    folder = runs / f"{began:%Y%m%d-%H%M%S}-{config.name}"
    try:
        (folder / "checkpoints").mkdir(parents=True)
    except OSError as why:
        raise OutputError(f"{folder}: {why.strerror}; choose another --name or --runs") from why
    told = json.dumps(asdict(config), indent=2, sort_keys=True)
    (folder / CONFIG).write_text(told + "\n", encoding="utf-8")
    lines = [] if before is None else _changes(before, config)
    (folder / CHANGES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def _changes(before: RunConfig, after: RunConfig) -> list[str]:
    beside = ("description", "weights", "teacher", "pictures", "device")
    old, new = ({key: getattr(one, key) for key in beside} for one in (before, after))
    return [*changes(before.recipe, after.recipe), *changes(old, new)]


def read_config(folder: Path) -> RunConfig:
    """Read a run's config; raises `InputError` where there is none."""
    path = folder / CONFIG
    try:
        return RunConfig(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as why:
        raise InputError(f"{path}: not the config of a run ({why})") from why


def run_of(checkpoint: Path) -> Path:
    """Return the run's folder of one of its checkpoints, the best one's copy included."""
    beside = checkpoint.parent
    return beside if (beside / CONFIG).exists() else beside.parent


def changes(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> list[str]:
    """List every value that differs, one line each, as ``key: old -> new``."""
    lines: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines.extend(changes(old, new, f"{prefix}{key}."))
        elif _plain(old) != _plain(new):
            lines.append(f"{prefix}{key}: {_plain(old)} -> {_plain(new)}")
    return lines


def _plain(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, oldest first."""
    return sorted((folder / "checkpoints").glob("epoch-*.npz"))


def prune(folder: Path, keep: int) -> None:
    """Remove all but the last ``keep`` checkpoints."""
    for path in checkpoints(folder)[: -keep or None]:
        path.unlink()


def summaries(runs: Path) -> list[str]:
    """Return one line for every run: folder, epochs done, last score."""
    lines: list[str] = []
    for folder in sorted(path.parent for path in runs.glob(f"*/{CONFIG}")):
        history = folder / "training_history.csv"
        rows: list[dict[str, str]] = []
        if history.exists():
            with history.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
        written = [name for name in OUTCOMES if (folder / name).exists()]
        told = f"done, see {written[0]}" if written else "no epoch yet"
        if rows:
            score = next(key for key in SCORES if key in rows[-1])
            told = f"{float(rows[-1]['epoch']):.0f} epochs, {score} {float(rows[-1][score]):.4f}"
        lines.append(f"{folder.name}: {told}")
    return lines
