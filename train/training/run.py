"""Start a run: read the recipe and the data, make the folder, train, export."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from emoshift.errors import ConfigError, InputError
from train.data.ferplus import LABELS
from train.data.images import read_pictures
from train.data.sampling import draw_of
from train.evaluation.predictions import logits, open_scorer, read_weights
from train.evaluation.reports import draw_run, write_report
from train.experiments.checkpoint import load_checkpoint
from train.experiments.class_recipe import ConvolutionRecipe
from train.experiments.classes import train_classes
from train.experiments.export import write_averaged
from train.experiments.material import KNOWN
from train.experiments.progress import forecast
from train.experiments.request import recipe_of
from train.experiments.score import softmax
from train.experiments.targets import targets_of
from train.experiments.telling import teller
from train.huggingface.names import is_classifier, require_torch
from train.huggingface.recipe import FineTuning
from train.recipe import Recipe, RecurrentRecipe
from train.training.device import on_device
from train.training.distillation import read_teacher
from train.training.run_folder import RunConfig, create_run, read_config, run_of
from train.training.trainer import fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.experiments.request import AnyRecipe, Request


def start_run(request: Request, tell: Callable[[str], None] = print) -> Path:
    """Train as asked and return the run's folder; ``tell`` gets a line for every epoch.

    Raises:
        ConfigError: The recipe, or what is asked otherwise, is wrong.
        InputError: The recipe, checkpoint, data or device is missing.
    """
    recipe = recipe_of(request)
    _check(request, recipe)
    resume = request.resume
    config = RunConfig(
        name=request.name,
        description=request.description,
        recipe=json.loads(json.dumps(asdict(recipe))),
        resumed=_text(resume),
        weights=_text(request.weights),
        teacher=_text(request.teacher),
        pictures=_text(request.pictures),
        device=request.device,
        asked=json.loads(json.dumps(request.asked())),
    )
    before = None if resume is None else read_config(run_of(resume))
    with nullcontext() if isinstance(recipe, FineTuning) else on_device(request.device):
        folder = create_run(request.runs, config, began=datetime.now().astimezone(), before=before)
        if isinstance(recipe, RecurrentRecipe):
            _train_recurrent(recipe, folder, request, tell)
        elif isinstance(recipe, Recipe):
            _train_pictures(recipe, folder, request, tell)
        elif isinstance(recipe, FineTuning):
            from train.huggingface.start import train_classifier

            train_classifier(recipe, folder, request, tell)
        else:
            train_classes(recipe, folder, request, tell)
    return folder


def _check(request: Request, recipe: AnyRecipe) -> None:
    """Refuse what does not go together before a folder is made."""
    resume = request.resume
    if resume is not None and not resume.exists():
        raise InputError(f"{resume}: no such checkpoint; they lie in a run's checkpoints folder")
    problems: list[str] = []
    if isinstance(recipe, Recipe | FineTuning):
        if (recipe.teacher_share > 0) is (request.teacher is None):
            problems.append("teacher_share above 0 and --teacher FILE go together")
        if recipe.data.classes:
            problems.append("data.classes: this net names all classes; merge its answers")
    elif request.teacher is not None or request.weights is not None:
        problems.append(f"--teacher and --weights are for residual nets, found {recipe.model}")
    if isinstance(recipe, FineTuning):
        problems += _classifier_problems(request)
    if request.pictures is not None and not isinstance(recipe, ConvolutionRecipe):
        problems.append(f"--pictures is for model_x and model_y, found {recipe.model}")
    if problems:
        raise ConfigError(str(request.recipe or request.model), problems)
    if isinstance(recipe, FineTuning):
        require_torch()


def _classifier_problems(request: Request) -> list[str]:
    problems: list[str] = []
    if request.model is None or not is_classifier(request.model):
        problems.append("--model: expected a classifier's folder or a hub name, owner/name")
    if request.weights is not None:
        problems.append("--weights is for residual nets; a classifier brings its own")
    return problems


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _train_pictures(
    recipe: Recipe, folder: Path, request: Request, tell: Callable[[str], None]
) -> None:
    train = read_pictures(request.data, request.cache, "Training")
    validation = read_pictures(request.data, request.cache, "PublicTest")
    taught = None if request.teacher is None else read_teacher(request.teacher, train.rows)
    draw = draw_of(recipe.data, train.labels, KNOWN["fer2013"], seed=recipe.seed)

    def expected(seconds: float) -> None:
        told = f"{len(draw.pool)} pictures, {recipe.epochs} epochs, {forecast(seconds)} to go"
        tell(f"{told}; Ctrl-C stops, --resume goes on")

    state = fit(
        recipe,
        train,
        validation,
        folder,
        targets=targets_of(train, taught, recipe.teacher_share),
        draw=draw,
        start=None if request.resume is None else load_checkpoint(request.resume),
        weights=None if request.weights is None else read_weights(request.weights),
        told=teller(folder, recipe.epochs, request.keep, tell),
        expected=expected,
    )
    write_averaged(recipe, state, folder / "net.keras")
    found = logits(open_scorer(folder / "net.keras"), validation.crops)
    write_report(folder, softmax(found["ferplus"]), validation.majority, LABELS)
    draw_run(folder)


def _train_recurrent(
    recipe: RecurrentRecipe, folder: Path, request: Request, tell: Callable[[str], None]
) -> None:
    from train.experiments.blendshapes import train_blendshapes

    train_blendshapes(recipe, folder, request, tell)
