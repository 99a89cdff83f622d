"""Fine-tune a classifier on FER2013 under both label sets; every epoch can be gone on from."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from emoshift.errors import InputError
from train.data.images import epoch_batches
from train.evaluation.predictions import logits
from train.experiments.history import write_history
from train.experiments.progress import along
from train.experiments.score import scores
from train.huggingface.classifier import output_layer
from train.huggingface.scorer import scorer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.data.images import Batch, Pictures
    from train.data.sampling import Draw
    from train.experiments.targets import Targets
    from train.huggingface.classifier import Classifier
    from train.huggingface.recipe import FineTuning


@dataclass(kw_only=True)
class _State:
    """What a checkpoint holds beside the net and its optimiser."""

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def fine_tune(
    recipe: FineTuning,
    classifier: Classifier,
    train: Pictures,
    validation: Pictures,
    folder: Path,
    *,
    targets: Targets,
    draw: Draw,
    resume: Path | None = None,
    told: Callable[[dict[str, float], bool, Path], None],
) -> list[dict[str, float]]:
    """Train to the recipe's last epoch and return the history.

    Args:
        recipe: What to do.
        classifier: With both heads; changed in place.
        train: Learned from.
        validation: Scored after every epoch.
        folder: Gets ``checkpoints/epoch-NNN.pt`` and ``training_history.csv``.
        targets: What the heads are to say of ``train``, and the weight of each row.
        draw: What an epoch goes through.
        resume: A checkpoint to go on from.
        told: Told after every epoch its record, whether it is the best, and its checkpoint.
    """
    net = classifier.net
    outputs = f"{output_layer(net)[0]}."
    for name, parameter in net.named_parameters():
        parameter.requires_grad = recipe.body or name.startswith(outputs)
    optimiser = torch.optim.AdamW(
        [one for one in net.parameters() if one.requires_grad],
        lr=recipe.rate,
        weight_decay=recipe.weight_decay,
    )
    state = _State() if resume is None else _restore(resume, net, optimiser)
    while state.epoch < recipe.epochs:
        began = time.monotonic()
        torch.manual_seed(recipe.seed * 10_007 + state.epoch)
        loss = _epoch(
            recipe,
            classifier,
            optimiser,
            train=train,
            targets=targets,
            draw=draw,
            epoch=state.epoch,
        )
        found = scores(logits(scorer_of(classifier), validation.crops), validation)
        record = {
            "epoch": state.epoch + 1.0,
            "loss": loss,
            **found,
            "seconds": time.monotonic() - began,
        }
        state = _State(epoch=state.epoch + 1, history=[*state.history, record])
        path = folder / "checkpoints" / f"epoch-{state.epoch:03d}.pt"
        _save(path, state, net, optimiser)
        write_history(folder / "training_history.csv", state.history)
        best = max(one["ferplus_accuracy"] for one in state.history)
        told(record, record["ferplus_accuracy"] >= best, path)
    return state.history


def _epoch(
    recipe: FineTuning,
    classifier: Classifier,
    optimiser: torch.optim.Optimizer,
    *,
    train: Pictures,
    targets: Targets,
    draw: Draw,
    epoch: int,
) -> float:
    how = recipe.pictures
    steps = len(draw.pool) // recipe.batch_size
    if steps == 0:
        raise InputError(f"{len(draw.pool)} pictures, expected at least one batch")
    losses: list[float] = []
    classifier.net.train()
    batches = epoch_batches(train.crops, targets, how, how.phases[0], epoch, draw=draw)
    for step, batch in enumerate(along(batches, steps, f"epoch {epoch + 1}")):
        rate = recipe.rate_at((epoch + (step + 1) / (steps + 1)) / recipe.epochs)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = _loss(classifier, batch, recipe.fer2013_weight)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(classifier.net.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    classifier.net.eval()
    return float(np.mean(losses))


def _loss(classifier: Classifier, batch: Batch, fer2013_weight: float) -> torch.Tensor:
    """Return the cross entropy of both heads, each row with its weight."""
    found = classifier.logits(batch.crops)
    total = torch.zeros((), device=found["ferplus"].device)
    for head, share in (("ferplus", 1.0), ("fer2013", fer2013_weight)):
        aim = torch.from_numpy(batch.targets[head]).to(total.device)
        weight = torch.from_numpy(batch.weights[head]).to(total.device)
        rows = -(aim * torch.log_softmax(found[head], dim=1)).sum(dim=1)
        total = total + share * (rows * weight).mean()
    return total


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


def _restore(path: Path, net: Any, optimiser: torch.optim.Optimizer) -> _State:
    try:
        kept = torch.load(path, weights_only=True)
        net.load_state_dict(kept["net"])
        optimiser.load_state_dict(kept["optimiser"])
    except (OSError, RuntimeError, KeyError, ValueError) as why:
        first = str(why).strip().splitlines()[0]
        raise InputError(f"{path}: not a checkpoint of this net ({first})") from why
    return _State(epoch=kept["epoch"], history=kept["history"])
