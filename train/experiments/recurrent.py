"""Train the recurrent net on sequences that are drawn as they are needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import keras
import numpy as np

from edge.features.blendshapes import channels
from train.experiments.ahead import ahead
from train.experiments.checkpoint import Checkpoint, save_checkpoint
from train.experiments.history import write_history
from train.experiments.progress import along, seconds_a_step
from train.experiments.score import accuracy, vote_loss
from train.networks.recurrent import build_recurrent
from train.training.trainer import restore, values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.bundle.manifest import ChannelTransform
    from train.features.synthetic_sequences import Director, Sequences, Stills
    from train.recipe import RecurrentRecipe


def fit_recurrent(
    recipe: RecurrentRecipe,
    director: Director,
    validate: Callable[[keras.Model], dict[str, float]],
    *,
    width: int,
    folder: Path,
    start: Checkpoint | None = None,
    told: Callable[[dict[str, float], bool, Path], None],
    expected: Callable[[float], None] | None = None,
) -> tuple[keras.Model, list[dict[str, float]]]:
    """Train to the recipe's last epoch and return the net with its history.

    Args:
        recipe: What to do.
        director: Draws the sequences.
        validate: Scores the net after every epoch.
        width: Channels.
        folder: Gets ``checkpoints/epoch-NNN.npz`` and ``training_history.csv``.
        start: A checkpoint to go on from.
        told: Told after every epoch its record, whether it is the best, and its checkpoint.
        expected: Told before the first epoch how many seconds the run will take.
    """
    keras.utils.set_random_seed(recipe.seed)
    model = build_recurrent(width, units=recipe.units, noise=recipe.noise, dropout=recipe.dropout)
    total = recipe.epochs * recipe.batches
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(recipe.rate, total), clipnorm=1.0
        ),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    model.optimizer.build(model.trainable_variables)
    state = _state(model, []) if start is None else start
    if expected is not None:
        batch = director.draw(recipe.batch_size, np.random.default_rng(0))
        pace = seconds_a_step(lambda: _step(model, batch))
        expected(pace * recipe.batches * (recipe.epochs - state.epoch) * 1.1)
    restore(model, state)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    while state.epoch < recipe.epochs:
        began = time.monotonic()
        rng = np.random.default_rng([recipe.seed, state.epoch])
        drawn = (director.draw(recipe.batch_size, rng) for _ in range(recipe.batches))
        steps = along(ahead(drawn), recipe.batches, f"epoch {state.epoch + 1}")
        losses = [_step(model, batch) for batch in steps]
        record = {
            "epoch": float(state.epoch + 1),
            "loss": float(np.mean(losses)),
            **validate(model),
            "seconds": time.monotonic() - began,
        }
        state = _state(model, [*state.history, record])
        path = folder / "checkpoints" / f"epoch-{state.epoch:03d}.npz"
        save_checkpoint(path, state)
        write_history(folder / "training_history.csv", state.history)
        best = max(one["still_accuracy"] for one in state.history)
        told(record, record["still_accuracy"] >= best, path)
    return model, state.history


def _state(model: keras.Model, history: list[dict[str, float]]) -> Checkpoint:
    return Checkpoint(
        epoch=len(history),
        variables=values(model.variables),
        optimiser=values(model.optimizer.variables),
        average=values(model.weights),
        history=history,
    )


def _step(model: keras.Model, batch: Sequences) -> float:
    logs = model.train_on_batch(batch.channels, batch.targets, return_dict=True)
    return float(logs["loss"])


def still_logits(
    model: keras.Model, stills: Stills, form: ChannelTransform, steps: int = 12
) -> NDArray[np.float32]:
    """Return the logits ``(n, 8)`` after looking at each still for ``steps`` steps.

    The person's resting face is not known, as with a stranger's picture.
    """
    shown = np.repeat(channels(stills.levels, form)[:, None], steps, axis=1)
    return np.asarray(model.predict(shown, batch_size=512, verbose=0)[:, -1], np.float32)


def recurrent_scores(
    model: keras.Model, stills: Stills, form: ChannelTransform, sequences: Sequences
) -> dict[str, float]:
    """Score on single stills and on held-out sequences, frame by frame."""
    votes = stills.votes
    logits = still_logits(model, stills, form)
    frames = model.predict(sequences.channels, batch_size=256, verbose=0)
    flat = frames.reshape(-1, frames.shape[-1])
    targets = sequences.targets.reshape(-1, frames.shape[-1])
    sure = np.where(targets.max(axis=1) > 0.5, targets.argmax(axis=1), -1)
    return {
        "still_accuracy": accuracy(logits, stills.majority)[0],
        "still_loss": vote_loss(logits, votes, np.ones(len(votes))),
        "frame_accuracy": accuracy(flat, sure)[0],
        "frame_loss": vote_loss(flat, targets, np.ones(len(targets))),
    }
