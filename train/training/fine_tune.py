"""Fine-tune a Hugging Face classifier on FER2013 under both label sets, in torch's own loop."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch

from emoshift.errors import InputError
from train.data.ferplus import LABELS
from train.data.images import CLASSES_OF, read_images
from train.data.sampling import draw_of
from train.evaluation.metrics import accuracy, softmax, vote_loss
from train.evaluation.predictions import image_logits
from train.evaluation.reports import write_report
from train.huggingface.classifier import (
    open_classifier,
    output_layer,
    with_both_heads,
)
from train.training.distillation import read_teacher
from train.training.durations import duration
from train.training.image_batches import ImageBatches
from train.training.learning_curves import draw_learning_curves
from train.training.run_folder import HISTORY, checkpoints, latest_checkpoint, write_rows
from train.training.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.images import Images
    from train.huggingface.classifier import Classifier
    from train.recipe import FineTuneRecipe
    from train.training.image_batches import HeadValues
    from train.training.run_options import RunOptions

IMAGE_SIZE = 48
"""Side of the augmented images in pixels; the classifier enlarges them to its own."""


@dataclass(kw_only=True)
class _State:
    """What a checkpoint holds beside the network and its optimiser."""

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def train_classifier(
    recipe: FineTuneRecipe, folder: Path, options: RunOptions, log: Callable[[str], None]
) -> None:
    """Fine-tune and write ``net``, a folder that can be scored and can teach.

    Raises:
        InputError: The classifier, the checkpoint or the data is missing.
    """
    classifier = with_both_heads(open_classifier(str(options.model)), recipe.seed)
    classifier.net.to(_device(options.device))
    train, held_out = (
        read_images(options.data_folder, options.cache, split)
        for split in ("Training", "PublicTest")
    )
    teacher = None if options.teacher is None else read_teacher(options.teacher, train.rows)
    batches = ImageBatches(
        crops=train.crops,
        targets=targets_of(train, teacher, recipe.teacher_share),
        draw=draw_of(recipe.data, train.labels, CLASSES_OF["fer2013"], seed=recipe.seed),
        augmentation=recipe.augmentation,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    if not batches.steps:
        raise InputError(f"{len(batches.draw.pool)} images, expected at least one batch")
    log(f"{len(batches.draw.pool)} images; {recipe.epochs} epochs; Ctrl-C stops, --resume goes on")
    try:
        _fit(recipe, classifier, batches, held_out, folder, options=options, log=log)
    except KeyboardInterrupt:
        latest = latest_checkpoint(folder)
        if latest is not None:
            _restore(latest, classifier.net, None)
            _finish(classifier, held_out, folder)
        raise
    _finish(classifier, held_out, folder)


def _fit(
    recipe: FineTuneRecipe,
    classifier: Classifier,
    batches: ImageBatches,
    held_out: Images,
    folder: Path,
    *,
    options: RunOptions,
    log: Callable[[str], None],
) -> None:
    net = classifier.net
    outputs = f"{output_layer(net)[0]}."
    for name, parameter in net.named_parameters():
        parameter.requires_grad = recipe.body or name.startswith(outputs)
    optimiser = torch.optim.AdamW(
        [one for one in net.parameters() if one.requires_grad],
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    state = _State() if options.resume is None else _restore(options.resume, net, optimiser)
    while state.epoch < recipe.epochs:
        began_s = time.monotonic()
        torch.manual_seed(recipe.seed * 10_007 + state.epoch)
        loss = _epoch(recipe, classifier, optimiser, batches, state.epoch)
        logits = image_logits(classifier.predict, held_out.crops)
        record = {
            "epoch": state.epoch + 1.0,
            "loss": loss,
            "ferplus_accuracy": accuracy(logits["ferplus"], held_out.majority),
            "fer2013_accuracy": accuracy(logits["fer2013"], held_out.labels),
            "vote_loss": vote_loss(logits["ferplus"], held_out.votes, held_out.vote_weight),
            "seconds": time.monotonic() - began_s,
        }
        earlier = [one["ferplus_accuracy"] for one in state.history]
        state = _State(epoch=state.epoch + 1, history=[*state.history, record])
        path = folder / "checkpoints" / f"epoch-{state.epoch:03d}.pt"
        _save(path, state, net, optimiser)
        write_rows(folder / HISTORY, state.history)
        if record["ferplus_accuracy"] > max(earlier, default=-1.0):
            shutil.copyfile(path, folder / "best_checkpoint.pt")
        if options.keep:
            for old in checkpoints(folder)[: -options.keep]:
                old.unlink()
        left_s = (recipe.epochs - state.epoch) * record["seconds"]
        figures = ", ".join(f"{key} {value:.4g}" for key, value in record.items() if key != "epoch")
        left = f"; {duration(left_s)} left" if left_s else ""
        log(f"epoch {state.epoch}/{recipe.epochs}: {figures}{left}")


def _epoch(
    recipe: FineTuneRecipe,
    classifier: Classifier,
    optimiser: torch.optim.Optimizer,
    batches: ImageBatches,
    epoch: int,
) -> float:
    losses: list[float] = []
    classifier.net.train()
    label = f"epoch {epoch + 1}/{recipe.epochs}"
    with click.progressbar(range(batches.steps), label=label, file=sys.stderr) as bar:
        for step in bar:
            rate = recipe.learning_rate_at(
                (epoch + (step + 1) / (batches.steps + 1)) / recipe.epochs
            )
            for group in optimiser.param_groups:
                group["lr"] = rate
            batch = batches.batch(epoch, step, image_size=IMAGE_SIZE)
            loss = _loss(classifier, *batch, fer2013_weight=recipe.fer2013_weight)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(classifier.net.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
    classifier.net.eval()
    return float(np.mean(losses))


def _loss(
    classifier: Classifier,
    inputs: NDArray[np.float32],
    targets: HeadValues,
    weights: HeadValues,
    *,
    fer2013_weight: float,
) -> torch.Tensor:
    """Return the cross entropy of both heads, each row with its weight."""
    logits = classifier.logits(inputs)
    total = torch.zeros((), device=logits["ferplus"].device)
    for head, share in (("ferplus", 1.0), ("fer2013", fer2013_weight)):
        target = torch.from_numpy(targets[head]).to(total.device)
        weight = torch.from_numpy(weights[head]).to(total.device)
        rows = -(target * torch.log_softmax(logits[head], dim=1)).sum(dim=1)
        total = total + share * (rows * weight).mean()
    return total


def _finish(classifier: Classifier, held_out: Images, folder: Path) -> None:
    classifier.save(folder / "net")
    logits = image_logits(classifier.predict, held_out.crops)
    write_report(folder, softmax(logits["ferplus"]), held_out.majority, LABELS)
    draw_learning_curves(folder)


def _device(name: str) -> torch.device:
    available = torch.cuda.is_available()
    if name == "gpu" and not available:
        raise InputError("--device gpu: torch sees no GPU here; use --device auto or cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _save(path: Path, state: _State, net: Any, optimiser: torch.optim.Optimizer) -> None:
    """Write atomically: a kill leaves the old file or the new one, never half of one."""
    part = path.with_suffix(".part")
    torch.save(
        {
            "epoch": state.epoch,
            "history": state.history,
            "net": net.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
        part,
    )
    part.replace(path)


def _restore(path: Path, net: Any, optimiser: torch.optim.Optimizer | None) -> _State:
    try:
        kept = torch.load(path, weights_only=True)
        net.load_state_dict(kept["net"])
        if optimiser is not None:
            optimiser.load_state_dict(kept["optimiser"])
    except (OSError, RuntimeError, KeyError, ValueError) as why:
        first = str(why).strip().splitlines()[0]
        raise InputError(f"{path}: not a checkpoint of this network ({first})") from why
    return _State(epoch=kept["epoch"], history=kept["history"])
