"""Start a training run: read recipe and data, make the folder, train, export, report."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from emoshift.errors import InputError
from train.backend import load_keras
from train.recipe import TWO_HEAD_MODELS, FineTuneRecipe, KerasTwoHeadRecipe
from train.recipe_file import RecipeOverrides, parse_run_recipe
from train.training.checkpoint import load_checkpoint
from train.training.run_folder import (
    RunConfig,
    checkpoints,
    create_run,
    latest_checkpoint,
    read_config,
    recorded_state,
    run_of,
)
from train.training.run_options import RunOptions, check_options, recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.recipe import RunRecipe
    from train.training.checkpoint import Checkpoint
    from train.training.job import TrainingJob

__all__ = ["RecipeOverrides", "RunOptions", "export_run", "start_run"]


def start_run(options: RunOptions, log: Callable[[str], None] = print) -> Path:
    """Train as requested and return the run's folder.

    Stopped with Ctrl-C, the run leaves the network of its last checkpoint and a report of it.

    Args:
        options: What to do.
        log: Gets a line for every epoch, and some before the first.

    Raises:
        ConfigError: The recipe, or what is requested beside it, is wrong.
        InputError: The recipe, checkpoint, data or device is missing.
        UnavailableError: A library is missing.
        OutputError: The folder cannot be written.
        KeyboardInterrupt: The user stopped it.
    """
    recipe = recipe_of(options, log)
    check_options(options, recipe)
    if not isinstance(recipe, FineTuneRecipe):
        load_keras()  # where it is missing, no folder is made
    config = RunConfig(
        name=options.name,
        description=options.description,
        recipe=recipe.model_dump(mode="json"),
        resumed=_text(options.resume),
        weights=_text(options.weights),
        teacher=_text(options.teacher),
        left_out=options.leave_out,
        pictures=_text(options.images),
        device=options.device,
        precision=options.precision,
        asked=json.loads(json.dumps(options.overrides_dict())),
    )
    start = None
    if options.resume is not None and not isinstance(recipe, FineTuneRecipe):
        start = load_checkpoint(options.resume)
        if start.epoch >= recipe.epochs:
            raise InputError(
                f"{options.resume}: {start.epoch} epochs are done and the recipe asks for"
                f" {recipe.epochs}; give more --epochs, or an earlier checkpoint"
            )
    before = None if options.resume is None else read_config(run_of(options.resume))
    folder = create_run(options.runs, config, began=datetime.now().astimezone(), before=before)
    with recorded_state(folder, recipe.model):
        if isinstance(recipe, FineTuneRecipe):
            from train.training.fine_tune import train_classifier

            train_classifier(recipe, folder, options, log)
        else:
            from train.training.device import in_precision, on_device

            with on_device(options.device), in_precision(options.precision):
                job = PREPARE[recipe.model](recipe, options, log)
                _train(job, folder, options, start=start, log=log)
    return folder


def export_run(folder: Path, path: Path, *, epoch: int | None = None) -> int:
    """Write a run's network and return its epoch; the last one where none is given.

    Of a run of a network without two heads the one it ended with is copied, with what stands
    beside it.

    Raises:
        InputError: The folder holds no such checkpoint, or the run has not ended.
    """
    config = read_config(folder)
    if config.recipe.get("model") not in TWO_HEAD_MODELS:
        return _copied(folder, path, epoch)
    wanted = "epoch-" if epoch is None else f"epoch-{epoch:03d}."
    found = [one for one in checkpoints(folder) if one.name.startswith(wanted)]
    if not found:
        raise InputError(f"{folder}/checkpoints: found no {wanted}*.npz")
    state = load_checkpoint(found[-1])
    load_keras()
    from train.training.two_head_task import write_two_head

    recipe = parse_run_recipe(config.recipe, where=str(folder))
    assert isinstance(recipe, KerasTwoHeadRecipe)
    write_two_head(recipe, state.export, path)
    return state.epoch


def _train(
    job: TrainingJob,
    folder: Path,
    options: RunOptions,
    *,
    start: Checkpoint | None,
    log: Callable[[str], None],
) -> None:
    from train.saved_net import read_weights
    from train.training.learning_curves import draw_learning_curves
    from train.training.trainer import fit

    log(f"{job.summary}; {job.task.epochs} epochs; Ctrl-C stops, --resume goes on")
    try:
        state = fit(
            job.task,
            folder,
            start=start,
            weights=None if options.weights is None else read_weights(options.weights),
            keep=options.keep,
            log=log,
        )
    except KeyboardInterrupt:
        latest = latest_checkpoint(folder)
        if latest is not None:
            log(f"stopping: writing the network and the report of {latest.name}")
            job.finish(load_checkpoint(latest), folder)
            draw_learning_curves(folder)
        raise
    job.finish(state, folder)
    draw_learning_curves(folder)


def _copied(folder: Path, path: Path, epoch: int | None) -> int:
    if epoch is not None:
        raise InputError(f"--epoch {epoch}: only runs of networks with two heads keep each epoch's")
    latest = latest_checkpoint(folder)
    if latest is None or not (folder / "net.keras").exists():
        raise InputError(f"{folder}: found no net.keras; only an ended run's can be exported")
    path.parent.mkdir(parents=True, exist_ok=True)
    for beside in folder.glob("net.*"):
        shutil.copyfile(beside, path.with_suffix(beside.suffix))
    return load_checkpoint(latest).epoch


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _two_head(recipe: Any, options: RunOptions, log: Callable[[str], None]) -> TrainingJob:
    from train.training.two_head_task import prepare_two_head

    return prepare_two_head(recipe, options, log)


def _single_head(recipe: Any, options: RunOptions, log: Callable[[str], None]) -> TrainingJob:
    from train.training.single_head_task import prepare_single_head

    return prepare_single_head(recipe, options, log)


def _recurrent(recipe: Any, options: RunOptions, log: Callable[[str], None]) -> TrainingJob:
    from train.training.recurrent_task import prepare_recurrent

    return prepare_recurrent(recipe, options, log)


def _small_face(recipe: Any, options: RunOptions, log: Callable[[str], None]) -> TrainingJob:
    from train.training.small_face_task import prepare_small_face

    return prepare_small_face(recipe, options, log)


PREPARE: Final[dict[str, Callable[[RunRecipe, RunOptions, Callable[[str], None]], TrainingJob]]] = {
    "residual": _two_head,
    "mobilenet": _two_head,
    "model_x": _single_head,
    "model_y": _single_head,
    "dense": _single_head,
    "lstm_reference": _single_head,
    "recurrent": _recurrent,
    "small_face": _small_face,
}
"""How each kind of network gets from its recipe to a job for the training loop."""
