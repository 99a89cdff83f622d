"""Start a run: read the recipe and the data, make the folder, train, export."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, InputError
from train.data.ferplus import LABELS
from train.experiments.checkpoint import load_checkpoint
from train.experiments.export import write_averaged
from train.experiments.fit import fit
from train.experiments.folder import RunConfig, create_run, prune, read_config, run_of
from train.experiments.pictures import read_pictures
from train.experiments.recipe import Recipe, RecurrentRecipe, read_recipe, recipe_kind
from train.experiments.report import draw_run, write_report
from train.experiments.score import softmax
from train.experiments.scorer import logits, open_scorer, read_weights
from train.experiments.targets import targets_of
from train.experiments.teacher import read_teacher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def start_run(
    *,
    name: str,
    recipe_path: Path,
    resume: Path | None,
    weights: Path | None = None,
    teacher: Path | None = None,
    seed: int | None,
    keep: int,
    description: str,
    data: Path,
    cache: Path,
    runs: Path,
    tell: Callable[[str], None],
) -> Path:
    """Train by the recipe and return the run's folder.

    Raises:
        ConfigError: The recipe is wrong.
        InputError: The recipe, checkpoint or data is missing.
    """
    kinds: dict[str, type[Recipe | RecurrentRecipe]] = {
        "residual": Recipe,
        "recurrent": RecurrentRecipe,
    }
    kind = recipe_kind(recipe_path)
    if kind not in kinds:
        raise ConfigError(str(recipe_path), [f"model: found {kind!r}, expected {sorted(kinds)}"])
    recipe = read_recipe(recipe_path, kinds[kind])
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    if resume is not None and not resume.exists():
        raise InputError(f"{resume}: no such checkpoint; they lie in a run's checkpoints folder")
    if isinstance(recipe, Recipe) and (recipe.teacher_share > 0) is (teacher is None):
        raise ConfigError(
            str(recipe_path), ["teacher_share above 0 and --teacher FILE go together"]
        )
    config = RunConfig(
        name=name,
        description=description,
        recipe=json.loads(json.dumps(asdict(recipe))),
        resumed=None if resume is None else str(resume),
        weights=None if weights is None else str(weights),
        teacher=None if teacher is None else str(teacher),
    )
    before = None if resume is None else read_config(run_of(resume))
    folder = create_run(runs, config, began=datetime.now().astimezone(), before=before)
    if isinstance(recipe, RecurrentRecipe):
        _train_recurrent(recipe, folder, data=data, cache=cache, tell=tell)
    else:
        _train_pictures(
            recipe,
            folder,
            resume=resume,
            weights=weights,
            teacher=teacher,
            keep=keep,
            data=data,
            cache=cache,
            tell=tell,
        )
    return folder


def _train_pictures(
    recipe: Recipe,
    folder: Path,
    *,
    resume: Path | None,
    weights: Path | None,
    teacher: Path | None,
    keep: int,
    data: Path,
    cache: Path,
    tell: Callable[[str], None],
) -> None:
    train = read_pictures(data, cache, "Training")
    validation = read_pictures(data, cache, "PublicTest")
    taught = None if teacher is None else read_teacher(teacher, train.rows)
    tell(f"{len(train.crops)} pictures, {recipe.epochs} epochs; Ctrl-C stops, --resume goes on")
    best = folder / "best_checkpoint.npz"

    def told(record: dict[str, Any], best_so_far: bool, path: Path) -> None:
        if best_so_far:
            shutil.copyfile(path, best)
        if keep:
            prune(folder, keep)
        left = (recipe.epochs - record["epoch"]) * record["seconds"] / 60
        figures = " ".join(f"{key} {value:.4g}" for key, value in record.items())
        tell(f"{figures}; about {left:.0f} min left")

    state = fit(
        recipe,
        train,
        validation,
        folder,
        targets=targets_of(train, taught, recipe.teacher_share),
        start=None if resume is None else load_checkpoint(resume),
        weights=None if weights is None else read_weights(weights),
        told=told,
    )
    write_averaged(recipe, state, folder / "net.keras")
    found = logits(open_scorer(folder / "net.keras"), validation.crops)
    write_report(folder, softmax(found["ferplus"]), validation.majority, LABELS)
    draw_run(folder)


def _train_recurrent(
    recipe: RecurrentRecipe,
    folder: Path,
    *,
    data: Path,
    cache: Path,
    tell: Callable[[str], None],
) -> None:
    from train.experiments.blendshapes import train_blendshapes  # noqa: PLC0415 - needs pyarrow

    train_blendshapes(recipe, folder, data=data, cache=cache, tell=tell)
