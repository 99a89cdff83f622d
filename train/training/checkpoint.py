"""A whole run in one file: weights, optimiser, random state, history, and the weights to export.

Any epoch's file can be gone on from, also with a changed recipe; Keras' own backups hold the last
epoch alone, and neither the averaged weights nor the history (docs/adr/0060-one-training-loop.md).
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from emoshift.errors import InputError
from train.recipe_file import renamed

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

Record: TypeAlias = dict[str, float]
"""The figures of one epoch, by name."""
_GROUPS: Final = {"variables": "variables", "optimiser": "optimiser", "export": "average"}
"""Groups of arrays, with their names in the file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """The state after ``epoch`` epochs.

    All chance is drawn from the seed and the numbers of epoch and step, and the dropout state is
    among the variables, so nothing else is needed to go on.

    Attributes:
        epoch: Epochs done.
        variables: Every variable of the network, random state included.
        optimiser: Every variable of the optimiser.
        export: The weights to export: their moving average, those of the best epoch, or the last.
        history: One record an epoch.
    """

    epoch: int
    variables: list[NDArray[Any]]
    optimiser: list[NDArray[Any]]
    export: list[NDArray[Any]]
    history: list[Record]


def save_checkpoint(path: Path, state: Checkpoint) -> None:
    """Write atomically: a kill leaves the old file or the new one, never half of one."""
    arrays: dict[str, NDArray[Any]] = {
        f"{name}.{i}": array
        for group, name in _GROUPS.items()
        for i, array in enumerate(getattr(state, group))
    }
    progress = json.dumps({"epoch": state.epoch, "history": state.history})
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, allow_pickle=False, progress=np.array(progress), **arrays)
    part.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote, also that of earlier versions.

    Raises:
        InputError: There is no such file, or it is something else.
    """
    try:
        # Opened here, because numpy leaves a file open that turns out to be broken.
        with path.open("rb") as stream, np.load(stream) as arrays:
            # Earlier versions called the entry otherwise, and some of the history's columns.
            progress = json.loads(str(arrays["progress" if "progress" in arrays else "told"]))
            groups: dict[str, list[NDArray[Any]]] = {}
            for group, name in _GROUPS.items():
                count = sum(key.startswith(f"{name}.") for key in arrays.files)
                groups[group] = [arrays[f"{name}.{i}"] for i in range(count)]
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such checkpoint; they lie in a run's folder, in checkpoints"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as why:
        raise InputError(f"{path}: not a checkpoint of a training run ({why})") from why
    history = [renamed(record) for record in progress["history"]]
    return Checkpoint(epoch=int(progress["epoch"]), history=history, **groups)


def capture(
    model: keras.Model, history: list[Record], export: list[NDArray[Any]] | None = None
) -> Checkpoint:
    """Return the state of a model in training; ``export`` is its present weights where absent."""
    return Checkpoint(
        epoch=len(history),
        variables=_values(model.variables),
        optimiser=_values(model.optimizer.variables),
        export=_values(model.weights) if export is None else [*export],
        history=[*history],
    )


def restore(model: keras.Model, state: Checkpoint) -> None:
    """Put a model and its optimiser back to where a checkpoint found them.

    Raises:
        InputError: The checkpoint is that of another network or optimiser.
    """
    for what, variables, values in (
        ("network", model.variables, state.variables),
        ("optimiser", model.optimizer.variables, state.optimiser),
    ):
        shapes, found = [tuple(v.shape) for v in variables], [value.shape for value in values]
        if shapes != found:
            raise InputError(
                f"the checkpoint is that of another {what}: found {len(found)} arrays, expected"
                f" {len(shapes)} of the recipe's shapes; go on with the recipe it was made by"
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _values(variables: list[Any]) -> list[NDArray[Any]]:
    """Return copies of Keras variables."""
    import keras

    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
