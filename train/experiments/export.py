"""From a checkpoint to a Keras file without optimiser: what the converter reads."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from emoshift.errors import InputError
from train.experiments.checkpoint import load_checkpoint
from train.networks.residual import build_residual
from train.recipe import Recipe, recipe_from
from train.training.run_folder import checkpoints, read_config

if TYPE_CHECKING:
    from pathlib import Path

    from train.experiments.checkpoint import Checkpoint


def write_averaged(recipe: Recipe, state: Checkpoint, path: Path, side_px: int = 48) -> None:
    """Write the net with the averaged weights, for pictures of ``side_px``."""
    model = build_residual(recipe.network, side_px)
    model.set_weights(state.average)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)


def export_run(folder: Path, path: Path, *, epoch: int | None = None) -> int:
    """Write a run's net and return its epoch; the last one where none is asked for.

    Of a run of another kind than ``residual`` the net it ended with is copied, with what stands
    beside it.

    Raises:
        InputError: The folder holds no such checkpoint, or the run has not ended.
    """
    config = read_config(folder)
    if config.recipe.get("model") != "residual":
        return _copied(folder, path, epoch)
    wanted = "epoch-" if epoch is None else f"epoch-{epoch:03d}."
    found = [one for one in checkpoints(folder) if one.name.startswith(wanted)]
    if not found:
        raise InputError(f"{folder}/checkpoints: found no {wanted}*.npz")
    state = load_checkpoint(found[-1])
    write_averaged(recipe_from(config.recipe, Recipe, where=str(folder)), state, path)
    return state.epoch


def _copied(folder: Path, path: Path, epoch: int | None) -> int:
    done = checkpoints(folder)
    if epoch is not None or not done or not (folder / "net.keras").exists():
        raise InputError(f"{folder}: found no net.keras; only an ended run's net can be exported")
    path.parent.mkdir(parents=True, exist_ok=True)
    for beside in folder.glob("net.*"):
        shutil.copyfile(beside, path.with_suffix(beside.suffix))
    return load_checkpoint(done[-1]).epoch
