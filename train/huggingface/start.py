"""Start a fine-tuning: read recipe, checkpoint and data, make the folder, train, report."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING

from edge.errors import ConfigError, InputError
from train.data.ferplus import LABELS
from train.experiments.folder import RunConfig, create_run, read_config, run_of
from train.experiments.pictures import read_pictures
from train.experiments.recipe import read_recipe
from train.experiments.report import draw_run, write_report
from train.experiments.score import softmax
from train.experiments.scorer import logits
from train.experiments.targets import targets_of
from train.experiments.teacher import read_teacher
from train.huggingface.classifier import open_classifier, with_both_heads
from train.huggingface.fit import fine_tune
from train.huggingface.recipe import FineTuning
from train.huggingface.scorer import scorer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def start_fine_tuning(
    *,
    name: str,
    model: str,
    recipe_path: Path,
    resume: Path | None,
    teacher: Path | None,
    seed: int | None,
    keep: int,
    description: str,
    data: Path,
    cache: Path,
    runs: Path,
    tell: Callable[[str], None],
) -> Path:
    """Fine-tune by the recipe and return the run's folder, whose ``net`` can teach.

    Raises:
        ConfigError: The recipe is wrong.
        InputError: The recipe, the net, the checkpoint or the data is missing.
    """
    recipe = read_recipe(recipe_path, FineTuning)
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    if (recipe.teacher_share > 0) is (teacher is None):
        raise ConfigError(
            str(recipe_path), ["teacher_share above 0 and --teacher FILE go together"]
        )
    if resume is not None and not resume.exists():
        raise InputError(f"{resume}: no such checkpoint; they lie in a run's checkpoints folder")
    classifier = with_both_heads(open_classifier(model), recipe.seed)
    train = read_pictures(data, cache, "Training")
    validation = read_pictures(data, cache, "PublicTest")
    taught = None if teacher is None else read_teacher(teacher, train.rows)
    config = RunConfig(
        name=name,
        description=description,
        recipe=json.loads(json.dumps(asdict(recipe))),
        resumed=None if resume is None else str(resume),
        weights=model,
        teacher=None if teacher is None else str(teacher),
    )
    before = None if resume is None else read_config(run_of(resume))
    folder = create_run(runs, config, began=datetime.now().astimezone(), before=before)

    def told(record: dict[str, float], path: Path) -> None:
        if keep:
            for old in sorted(path.parent.glob("epoch-*.pt"))[:-keep]:
                old.unlink()
        left = (recipe.epochs - record["epoch"]) * record["seconds"] / 60
        figures = " ".join(f"{key} {value:.4g}" for key, value in record.items())
        tell(f"{figures}; about {left:.0f} min left")

    tell(f"{len(train.crops)} pictures, {recipe.epochs} epochs; Ctrl-C stops, --resume goes on")
    fine_tune(
        recipe,
        classifier,
        train,
        validation,
        folder,
        targets=targets_of(train, taught, recipe.teacher_share),
        resume=resume,
        told=told,
    )
    classifier.save(folder / "net")
    found = logits(scorer_of(classifier), validation.crops)
    write_report(folder, softmax(found["ferplus"]), validation.majority, LABELS)
    draw_run(folder)
    return folder
