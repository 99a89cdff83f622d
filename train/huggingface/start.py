"""A run that fine-tunes a classifier: read net and data, train, save, report."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from emoshift.errors import InputError
from train.data.ferplus import LABELS
from train.data.images import read_pictures
from train.data.sampling import draw_of
from train.evaluation.predictions import logits
from train.evaluation.reports import draw_run, write_report
from train.experiments.material import KNOWN
from train.experiments.progress import forecast
from train.experiments.score import softmax
from train.experiments.targets import targets_of
from train.huggingface.classifier import open_classifier, with_both_heads
from train.huggingface.scorer import scorer_of
from train.training.distillation import read_teacher
from train.training.fine_tune import fine_tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.experiments.request import Request
    from train.huggingface.recipe import FineTuning


def train_classifier(
    recipe: FineTuning, folder: Path, request: Request, tell: Callable[[str], None]
) -> None:
    """Fine-tune and write ``net``, a folder that can be scored and can teach.

    Raises:
        InputError: The net, the checkpoint or the data is missing.
    """
    classifier = with_both_heads(open_classifier(str(request.model)), recipe.seed)
    classifier.net.to(_device(request.device))
    train = read_pictures(request.data, request.cache, "Training")
    validation = read_pictures(request.data, request.cache, "PublicTest")
    taught = None if request.teacher is None else read_teacher(request.teacher, train.rows)
    draw = draw_of(recipe.data, train.labels, KNOWN["fer2013"], seed=recipe.seed)

    def told(record: dict[str, float], best: bool, path: Path) -> None:
        if best:
            shutil.copyfile(path, folder / "best_checkpoint.pt")
        if request.keep:
            for old in sorted(path.parent.glob("epoch-*.pt"))[: -request.keep]:
                old.unlink()
        left = (recipe.epochs - record["epoch"]) * record["seconds"]
        figures = " ".join(f"{key} {value:.4g}" for key, value in record.items())
        tell(f"{figures}; {forecast(left)} left" if left else figures)

    tell(f"{len(draw.pool)} pictures, {recipe.epochs} epochs; Ctrl-C stops, --resume goes on")
    fine_tune(
        recipe,
        classifier,
        train,
        validation,
        folder,
        targets=targets_of(train, taught, recipe.teacher_share),
        draw=draw,
        resume=request.resume,
        told=told,
    )
    classifier.save(folder / "net")
    found = logits(scorer_of(classifier), validation.crops)
    write_report(folder, softmax(found["ferplus"]), validation.majority, LABELS)
    draw_run(folder)


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "gpu" and not there:
        raise InputError("--device gpu: torch sees no GPU here; take --device auto or cpu")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
