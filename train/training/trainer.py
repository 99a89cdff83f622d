"""The training loop for picture nets: every epoch a checkpoint, any of which goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from train.data.images import epoch_batches, view
from train.data.sampling import draw_all
from train.experiments.ahead import ahead
from train.experiments.checkpoint import Checkpoint, save_checkpoint
from train.experiments.history import write_history
from train.experiments.progress import along, seconds_a_step
from train.experiments.score import scores
from train.experiments.targets import targets_of
from train.networks.residual import build_residual

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.images import Pictures
    from train.data.sampling import Draw
    from train.experiments.targets import Targets
    from train.recipe import Recipe

AVERAGE_EVERY = 4
HEADS = ("ferplus", "fer2013")


def build(recipe: Recipe) -> keras.Model:
    """Build and compile the recipe's net, its weights drawn from the seed."""
    keras.utils.set_random_seed(recipe.seed)
    model = build_residual(recipe.network, None)
    optimiser = keras.optimizers.SGD(
        recipe.phases[0].rate,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    optimiser.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(
        optimizer=optimiser,
        loss={head: keras.losses.CategoricalCrossentropy(from_logits=True) for head in HEADS},
        loss_weights={"ferplus": 1.0, "fer2013": recipe.fer2013_weight},
    )
    optimiser.build(model.trainable_variables)
    return model


def predict(
    model: keras.Model, crops: NDArray[np.uint8], side_px: int, *, mirrored: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Return the logits of grey crops ``(n, h, w)``; the mean over both views if ``mirrored``."""
    logits = _outputs(model, view(crops, side_px))
    if not mirrored:
        return logits
    other = _outputs(model, view(crops, side_px, mirrored=True))
    return {head: np.mean([logits[head], other[head]], axis=0) for head in logits}


def _outputs(model: keras.Model, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = model.predict(inputs, batch_size=256, verbose=0)
    return found


def fit(
    recipe: Recipe,
    train: Pictures,
    validation: Pictures,
    folder: Path,
    *,
    targets: Targets | None = None,
    draw: Draw | None = None,
    start: Checkpoint | None = None,
    weights: list[NDArray[np.float32]] | None = None,
    told: Callable[[dict[str, float], bool, Path], None],
    expected: Callable[[float], None] | None = None,
) -> Checkpoint:
    """Train to the recipe's last epoch.

    Args:
        recipe: What to do.
        train: Learned from.
        validation: Scored after every epoch, with the averaged weights.
        folder: Gets ``checkpoints/epoch-NNN.npz`` and ``training_history.csv``.
        targets: What the heads are to say of ``train``; its own votes and labels by default.
        draw: What an epoch goes through; every picture once by default.
        start: A checkpoint to go on from.
        weights: First weights in place of random ones, as ``model.get_weights()`` gives them.
        told: Told after every epoch its record, whether it is the best, and its checkpoint.
        expected: Told before the first epoch how many seconds the run will take.
    """
    model = build(recipe)
    shadow = build_residual(recipe.network, None)
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    if weights is not None:
        model.set_weights(weights)
    aims = targets_of(train) if targets is None else targets
    drawn = draw_all(len(train.crops)) if draw is None else draw
    state = _start(model) if start is None else start
    if expected is not None and state.epoch < recipe.epochs:
        expected(_forecast(model, recipe, state.epoch, crops=train.crops, targets=aims, draw=drawn))
    restore(model, state)
    while state.epoch < recipe.epochs:
        state = _epoch(
            recipe,
            state,
            model=model,
            shadow=shadow,
            crops=train.crops,
            targets=aims,
            draw=drawn,
            validation=validation,
        )
        path = checkpoints / f"epoch-{state.epoch:03d}.npz"
        save_checkpoint(path, state)
        write_history(folder / "training_history.csv", state.history)
        record = state.history[-1]
        best = max(one["ferplus_accuracy"] for one in state.history)
        told(record, record["ferplus_accuracy"] >= best, path)
    return state


def _epoch(
    recipe: Recipe,
    state: Checkpoint,
    *,
    model: keras.Model,
    shadow: keras.Model,
    crops: NDArray[np.uint8],
    targets: Targets,
    draw: Draw,
    validation: Pictures,
) -> Checkpoint:
    began = time.monotonic()
    phase, done = recipe.phase_at(state.epoch)
    if done == 0:  # a step compiled for two sizes rounds otherwise than one compiled for one
        model.make_train_function(force=True)
        shadow.make_predict_function(force=True)
    steps = len(draw.pool) // recipe.batch_size
    average = [array.copy() for array in state.average]
    losses: list[float] = []
    batches = ahead(epoch_batches(crops, targets, recipe, phase, state.epoch, draw=draw))
    for step, batch in enumerate(along(batches, steps, f"epoch {state.epoch + 1}")):
        rate = phase.rate_at((done + step / steps) / phase.epochs)
        model.optimizer.learning_rate = rate
        logs = model.train_on_batch(
            batch.crops, batch.targets, sample_weight=batch.weights, return_dict=True
        )
        losses.append(float(logs["loss"]))
        if step % AVERAGE_EVERY == 0:
            total = (state.epoch * steps + step) // AVERAGE_EVERY
            _blend(average, model, min(recipe.average, (1 + total) / (4 + total)))
    shadow.set_weights(average)
    found = scores(predict(shadow, validation.crops, phase.side_px), validation)
    record = {
        "epoch": float(state.epoch + 1),
        "side_px": float(phase.side_px),
        "rate": rate,
        "loss": float(np.mean(losses)),
        **found,
        "seconds": time.monotonic() - began,
    }
    return Checkpoint(
        epoch=state.epoch + 1,
        variables=values(model.variables),
        optimiser=values(model.optimizer.variables),
        average=average,
        history=[*state.history, record],
    )


def _forecast(
    model: keras.Model,
    recipe: Recipe,
    epoch: int,
    *,
    crops: NDArray[np.uint8],
    targets: Targets,
    draw: Draw,
) -> float:
    """Return how many seconds are left; changes the net, which is then put back.

    Some steps of the next phase are timed, the others taken to cost as their area does.
    """
    phase, _ = recipe.phase_at(epoch)
    batches = epoch_batches(crops, targets, recipe, phase, epoch, draw=draw)
    kept = [batch for batch, _ in zip(batches, range(8), strict=False)]
    if not kept:
        return 0.0
    fed = iter(kept * 8)

    def step() -> None:
        batch = next(fed)
        model.train_on_batch(batch.crops, batch.targets, sample_weight=batch.weights)

    pace = seconds_a_step(step) / phase.side_px**2
    sides = [recipe.phase_at(one)[0].side_px for one in range(epoch, recipe.epochs)]
    return pace * sum(side**2 for side in sides) * (len(draw.pool) // recipe.batch_size) * 1.1


def _blend(average: list[NDArray[Any]], model: keras.Model, decay: float) -> None:
    for kept, weight in zip(average, model.weights, strict=True):
        np.multiply(kept, decay, out=kept)
        np.add(kept, (1.0 - decay) * keras.ops.convert_to_numpy(weight), out=kept)


def _start(model: keras.Model) -> Checkpoint:
    return Checkpoint(
        epoch=0,
        variables=values(model.variables),
        optimiser=values(model.optimizer.variables),
        average=values(model.weights),
        history=[],
    )


def restore(model: keras.Model, state: Checkpoint) -> None:
    """Put net and optimiser back to where a checkpoint found them."""
    for variable, value in zip(model.variables, state.variables, strict=True):
        variable.assign(value)
    for variable, value in zip(model.optimizer.variables, state.optimiser, strict=True):
        variable.assign(value)


def values(variables: list[Any]) -> list[NDArray[Any]]:
    """Return copies of Keras variables."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
