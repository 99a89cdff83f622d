"""The training loop for nets with one head: a plateau lowers the rate, the best epoch is kept."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from edge.features.standardise import standardise_crop
from train.augment import augment
from train.data.images import as_input, view
from train.experiments.ahead import ahead
from train.experiments.checkpoint import Checkpoint, save_checkpoint
from train.experiments.class_recipe import BlendshapeRecipe, ConvolutionRecipe
from train.experiments.history import write_history
from train.experiments.progress import along, seconds_a_step
from train.experiments.score import softmax
from train.networks.published import build_convolution, build_dense, build_reference_lstm
from train.training.trainer import restore, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.sampling import Draw
    from train.experiments.class_recipe import ClassRecipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What a one-headed net learns from and is judged by.

    Attributes:
        inputs: Training crops ``(n, 48, 48)`` uint8, or channels ``(n, width)`` float32.
        labels: ``(n,)``, the run's classes.
        draw: What an epoch goes through.
        held_inputs: As ``inputs``, held out.
        held_labels: As ``labels``, held out.
        classes: Names.
    """

    inputs: NDArray[np.generic]
    labels: NDArray[np.int8]
    draw: Draw
    held_inputs: NDArray[np.generic]
    held_labels: NDArray[np.int8]
    classes: tuple[str, ...]


def build_classes(recipe: ClassRecipe, *, width: int, classes: int) -> keras.Model:
    """Build the recipe's net, its weights drawn from the seed.

    Args:
        recipe: Decides the net.
        width: Channels of a blendshape net; not read for pictures.
        classes: Outputs.
    """
    keras.utils.set_random_seed(recipe.seed)
    if isinstance(recipe, ConvolutionRecipe):
        return build_convolution(recipe.network, classes, name=recipe.model)
    build = build_dense if recipe.model == "dense" else build_reference_lstm
    return build(recipe.network, width, classes)


def fit_classes(
    recipe: ClassRecipe,
    lesson: Lesson,
    folder: Path,
    *,
    start: Checkpoint | None = None,
    told: Callable[[dict[str, float], bool, Path], None],
    expected: Callable[[float], None] | None = None,
) -> Checkpoint:
    """Train to the recipe's last epoch; the checkpoint's ``average`` is the best epoch's weights.

    Args:
        recipe: What to do.
        lesson: Material.
        folder: Gets ``checkpoints/epoch-NNN.npz`` and ``training_history.csv``.
        start: A checkpoint to go on from.
        told: Told after every epoch its record, whether it is the best, and its checkpoint.
        expected: Told before the first epoch how many seconds the run will take.
    """
    model = build_classes(recipe, width=lesson.inputs.shape[-1], classes=len(lesson.classes))
    _compile(model, recipe)
    state = Checkpoint(
        epoch=0,
        variables=values(model.variables),
        optimiser=values(model.optimizer.variables),
        average=values(model.weights),
        history=[],
    )
    state = state if start is None else start
    if expected is not None:
        expected(_forecast(model, recipe, lesson) * (recipe.epochs - state.epoch))
    restore(model, state)
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    while state.epoch < recipe.epochs:
        state = _epoch(model, recipe, lesson, state)
        path = checkpoints / f"epoch-{state.epoch:03d}.npz"
        save_checkpoint(path, state)
        write_history(folder / "training_history.csv", state.history)
        told(state.history[-1], _is_best(state.history), path)
    return state


def predict_classes(model: keras.Model, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the logits of crops ``(n, 48, 48)`` uint8 or channels ``(n, width)``."""
    fed = view(np.asarray(inputs, np.uint8), inputs.shape[1]) if inputs.ndim == 3 else inputs
    return np.asarray(model.predict(fed, batch_size=512, verbose=0), np.float32)


def _compile(model: keras.Model, recipe: ClassRecipe) -> None:
    decay = recipe.weight_decay or None
    if isinstance(recipe, BlendshapeRecipe):
        optimiser = keras.optimizers.Adam(recipe.rate, clipnorm=1.0, weight_decay=decay)
    else:
        optimiser = keras.optimizers.SGD(
            recipe.rate, momentum=recipe.momentum, nesterov=True, weight_decay=decay
        )
    if decay:
        optimiser.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(
        optimizer=optimiser,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.smoothing
        ),
    )
    optimiser.build(model.trainable_variables)


def _epoch(
    model: keras.Model, recipe: ClassRecipe, lesson: Lesson, state: Checkpoint
) -> Checkpoint:
    began = time.monotonic()
    rate = _rate(recipe, state.history)
    model.optimizer.learning_rate = rate
    batches = ahead(_batches(recipe, lesson, state.epoch))
    steps = len(lesson.draw.pool) // _batch_size(recipe, lesson)
    losses = [
        float(model.train_on_batch(inputs, targets))
        for inputs, targets in along(batches, steps, f"epoch {state.epoch + 1}")
    ]
    logits = predict_classes(model, lesson.held_inputs)
    chosen = softmax(logits)[np.arange(len(logits)), lesson.held_labels]
    record = {
        "epoch": float(state.epoch + 1),
        "rate": rate,
        "loss": float(np.mean(losses)),
        "val_loss": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
        "val_accuracy": float((logits.argmax(axis=1) == lesson.held_labels).mean()),
        "seconds": time.monotonic() - began,
    }
    history = [*state.history, record]
    return Checkpoint(
        epoch=state.epoch + 1,
        variables=values(model.variables),
        optimiser=values(model.optimizer.variables),
        average=values(model.weights) if _is_best(history) else state.average,
        history=history,
    )


def _rate(recipe: ClassRecipe, history: list[dict[str, float]]) -> float:
    if isinstance(recipe, BlendshapeRecipe) and recipe.fall:
        done = (len(history) + 0.5) / recipe.epochs
        return recipe.rate * (0.5 + 0.5 * math.cos(math.pi * done))
    return recipe.plateau.rate_after(recipe.rate, [record["val_loss"] for record in history])


def _is_best(history: list[dict[str, float]]) -> bool:
    before = [record["val_accuracy"] for record in history[:-1]]
    return history[-1]["val_accuracy"] > max(before, default=-1.0)


def _batch_size(recipe: ClassRecipe, lesson: Lesson) -> int:
    return min(recipe.batch_size, len(lesson.draw.pool))


def _batches(
    recipe: ClassRecipe, lesson: Lesson, epoch: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield an epoch of inputs and targets; the same for the same seed and epoch."""
    rng = np.random.default_rng([recipe.seed, epoch])
    order = lesson.draw.order(rng)
    size = _batch_size(recipe, lesson)
    truth = np.eye(len(lesson.classes), dtype=np.float32)
    for first in range(0, len(order) - size + 1, size):
        chosen = order[first : first + size]
        inputs = lesson.inputs[chosen]
        if isinstance(recipe, ConvolutionRecipe):
            crops = np.asarray(inputs, np.uint8)
            changed = augment(crops, recipe.augmentation, rng, side_px=crops.shape[1])
            inputs = as_input(standardise_crop(changed))
        yield np.asarray(inputs, np.float32), truth[lesson.labels[chosen]]


def _forecast(model: keras.Model, recipe: ClassRecipe, lesson: Lesson) -> float:
    """Return how many seconds an epoch takes; changes the net, which is then put back."""
    batches = _batches(recipe, lesson, 0)
    kept = [batch for batch, _ in zip(batches, range(8), strict=False)]
    fed = iter(kept * 8)
    pace = seconds_a_step(lambda: model.train_on_batch(*next(fed)))
    return pace * (len(lesson.draw.pool) // _batch_size(recipe, lesson)) * 1.1
