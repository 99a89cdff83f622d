"""A whole run in one file: weights, their average, optimiser, epoch and history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """The state after ``epoch`` epochs.

    All chance is drawn from the seed and the epoch's number, and the dropout state is among the
    variables, so nothing else is needed to go on.

    Attributes:
        epoch: Epochs done.
        variables: Every variable of the net, random state included.
        optimiser: Every variable of the optimiser.
        average: The weights to export: their moving average, or those of the best epoch.
        history: One record an epoch.
    """

    epoch: int
    variables: list[NDArray[Any]]
    optimiser: list[NDArray[Any]]
    average: list[NDArray[Any]]
    history: list[dict[str, float]]


_GROUPS = ("variables", "optimiser", "average")


def save_checkpoint(path: Path, state: Checkpoint) -> None:
    """Write atomically: a kill leaves the old file or the new one, never half of one."""
    arrays: dict[str, NDArray[Any]] = {
        f"{group}.{i}": array for group in _GROUPS for i, array in enumerate(getattr(state, group))
    }
    told = json.dumps({"epoch": state.epoch, "history": state.history})
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, allow_pickle=False, told=np.array(told), **arrays)
    part.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote."""
    with np.load(path) as arrays:
        told = json.loads(str(arrays["told"]))
        groups: dict[str, list[NDArray[Any]]] = {}
        for group in _GROUPS:
            count = sum(name.startswith(f"{group}.") for name in arrays.files)
            groups[group] = [arrays[f"{group}.{i}"] for i in range(count)]
    return Checkpoint(epoch=told["epoch"], history=told["history"], **groups)
