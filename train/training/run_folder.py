"""The folder of a run: its recipe, what changed against an earlier run, how far it has come."""

from __future__ import annotations

import csv
import fcntl
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from emoshift.errors import InputError, OutputError
from train.recipe_file import renamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

CONFIG: Final = "experiment_config.json"
CHANGES: Final = "experiment_changes.log"
HISTORY: Final = "training_history.csv"
STATE: Final = "run_state.json"
OUTCOMES: Final = ("summary.json", "best.json")
"""What a comparison or a search writes last, in place of epochs of one network."""
SCORES: Final = ("ferplus_accuracy", "still_accuracy", "val_accuracy", "shapes_32")
"""Scores by which a run's best epoch is chosen, one for each kind of network."""
State: TypeAlias = Literal["running", "finished", "stopped", "failed", "interrupted", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What decided a run.

    Attributes:
        name: Given by the user.
        description: Free text.
        recipe: The recipe as plain values.
        resumed: Checkpoint it went on from, if any.
        weights: Network whose weights it began with, if any.
        teacher: File of a teacher's probabilities it learned from, if any.
        left_out: Part of Training that it did not learn from, if any.
        pictures: Folder of images learned from in place of FER2013, if any.
        device: Where it was computed, as requested.
        precision: Of its convolutions.
        asked: What was requested otherwise than the recipe's file says; ``recipe`` holds it.
    """

    name: str
    description: str
    recipe: dict[str, Any]
    resumed: str | None
    weights: str | None = None
    teacher: str | None = None
    left_out: str | None = None
    pictures: str | None = None
    device: str = "auto"
    precision: str = "float32"
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
    text = json.dumps(asdict(config), indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    lines = [] if before is None else _changes(before, config)
    (folder / CHANGES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def _changes(before: RunConfig, after: RunConfig) -> list[str]:
    beside = ("description", "weights", "teacher", "left_out", "pictures", "device", "precision")
    old, new = ({key: getattr(one, key) for key in beside} for one in (before, after))
    return [*changes(before.recipe, after.recipe), *changes(old, new)]


def read_config(folder: Path) -> RunConfig:
    """Read a run's config, also of earlier versions; raises `InputError` where there is none."""
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return RunConfig(**{**values, "recipe": renamed(values["recipe"])})
    except OSError as why:
        raise InputError(f"{path}: {why.strerror}; give the folder of a run") from why
    except (ValueError, TypeError, KeyError) as why:
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
    found = (folder / "checkpoints").glob("epoch-*")
    # By length first: epoch-1000 comes after epoch-999.
    return sorted(
        (path for path in found if path.suffix in {".npz", ".pt"}),
        key=lambda path: (len(path.stem), path.stem),
    )


def prune(folder: Path, keep: int) -> None:
    """Remove all but the last ``keep`` checkpoints."""
    for path in checkpoints(folder)[: -keep or None]:
        path.unlink()


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint of a run, if it has one."""
    return next(reversed(checkpoints(folder)), None)


@contextmanager
def recorded_state(folder: Path, model: str) -> Iterator[None]:
    """Keep in the run's folder whether it is running, finished, stopped or failed.

    While it runs it holds a lock on the file, so that one that was killed is known by its absence.
    """
    with (folder / STATE).open("w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)

        def write(state: State) -> None:
            stream.seek(0)
            stream.truncate()
            stream.write(json.dumps({"model": model, "state": state}) + "\n")
            stream.flush()

        write("running")
        try:
            yield
        except KeyboardInterrupt:
            write("stopped")
            raise
        except BaseException:
            write("failed")
            raise
        write("finished")


def run_state(folder: Path) -> State:
    """Return how a run ended, or that it is running; of earlier versions' runs it is not known."""
    try:
        with (folder / STATE).open(encoding="utf-8") as stream:
            state: State = json.load(stream)["state"]
            if state != "running":
                return state
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return "interrupted"  # nobody holds the lock any more
    except BlockingIOError:
        return "running"
    except (OSError, ValueError, KeyError):
        ended = any((folder / name).exists() for name in (*OUTCOMES, "net.keras", "net"))
        return "finished" if ended else "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run in the list.

    Attributes:
        name: Of its folder.
        model: As in its recipe.
        state: Whether it is running, finished, stopped by its user, failed, or interrupted.
        epochs: Done.
        best: Name, value and epoch of its best score, where it has one.
    """

    name: str
    model: str
    state: State
    epochs: int
    best: tuple[str, float, int] | None

    @property
    def score(self) -> str:
        """Return the best score as text."""
        if self.best is None:
            return "-"
        name, value, epoch = self.best
        return f"{name} {value:.4f} (epoch {epoch})"


def summaries(runs: Path) -> list[RunSummary]:
    """Return every run below a folder, oldest first; folders that are no runs are left out."""
    found: list[RunSummary] = []
    for folder in sorted(path.parent for path in runs.glob(f"*/{CONFIG}")):
        try:
            model = str(read_config(folder).recipe.get("model", "?"))
        except InputError:
            model = "?"
        rows = read_rows(folder / HISTORY)
        score = next((key for key in SCORES if rows and rows[-1].get(key)), None)
        best = None
        if score is not None:
            row = max(rows, key=lambda one: float(one.get(score) or "-inf"))
            best = score, float(row[score]), int(float(row["epoch"]))
        found.append(
            RunSummary(
                name=folder.name,
                model=model,
                state=run_state(folder),
                epochs=int(float(rows[-1]["epoch"])) if rows else 0,
                best=best,
            )
        )
    return found


def write_rows(path: Path, rows: Sequence[Mapping[str, str | float]]) -> None:
    """Write a table as csv, six digits a figure, with the columns of all rows in their order."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read what `write_rows` wrote; nothing where there is no such file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
