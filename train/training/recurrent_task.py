"""The task of the recurrent network: sequences made of FER2013's measured blendshapes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import keras
import numpy as np

from edge.features.blendshapes import LIMIT, channel_names, channels
from train.chance import step_chance
from train.data.ferplus import LABELS
from train.data.images import read_images
from train.evaluation.metrics import accuracy, softmax, vote_loss
from train.evaluation.predictions import still_logits
from train.evaluation.reports import write_report
from train.features.channel_transform import fitted, unfitted_transform
from train.features.faces import measured_table
from train.features.motion import read_motion
from train.features.single_images import read_stills
from train.features.synthetic_sequences import Director
from train.networks.recurrent import build_recurrent
from train.training.job import TrainingJob
from train.training.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.bundle.manifest import ChannelTransform
    from train.features.synthetic_sequences import Sequences, Stills
    from train.recipe import RecurrentRecipe
    from train.training.checkpoint import Checkpoint, Record
    from train.training.run_options import RunOptions
    from train.training.task import Batch

MOTION: Final = Path(__file__).parent.parent / "features" / "motion.json"
HELD_OUT: Final = 512
"""Held-out sequences that every epoch is scored on."""
FOR_CONVERSION: Final = 256
"""Sequences of each split that are kept beside the network for its conversion."""
GRID: Final = 127 / LIMIT
"""Levels of int8 a standard deviation, in the kept sequences."""


def prepare_recurrent(
    recipe: RecurrentRecipe,
    options: RunOptions,
    log: Callable[[str], None],  # noqa: ARG001 - every kind of network is prepared alike
) -> TrainingJob:
    """Read FER2013's measured blendshapes.

    The run gets ``net.keras``, ``net.json`` with the channel transform, and ``net.npz`` with
    sequences of the Training and PublicTest split and single images, which the conversion to int8
    is calibrated and judged on.

    Raises:
        InputError: The data, or the measured features, are missing.
    """
    table = measured_table(options.data_folder, options.cache)
    images = {
        split: read_images(options.data_folder, options.cache, split)
        for split in ("Training", "PublicTest", "PrivateTest")
    }
    train = read_stills(table, images["Training"], unfitted_transform(), both_sides=True)
    transform = fitted(unfitted_transform(), train.levels, train.resting)
    stills = read_stills(table, images["PublicTest"], transform)
    motion = read_motion(MOTION)
    training = Director(train, script=recipe.script, transform=transform, motion=motion)
    others = Director(stills, script=recipe.script, transform=transform, motion=motion)
    held_out = others.draw(HELD_OUT, np.random.default_rng([recipe.seed, 1 << 20]))

    def finish(state: Checkpoint, folder: Path) -> None:
        model = build_for(recipe, len(channel_names(transform)))
        model.set_weights(state.export)
        model.save(folder / "net.keras")
        probs = softmax(still_logits(model, stills, transform))
        write_report(folder, probs, stills.majority, LABELS)
        _write_card(folder / "net.json", transform, recipe, state.history[-1])
        rng = np.random.default_rng([recipe.seed, 1 << 21])
        report = read_stills(table, images["PrivateTest"], transform)
        with (folder / "net.npz").open("wb") as stream:
            np.savez_compressed(
                stream,
                calibration=_on_grid(training.draw(FOR_CONVERSION, rng).channels),
                held_out=_on_grid(others.draw(FOR_CONVERSION, rng).channels),
                origin=np.array(
                    f"train run, seed {recipe.seed}: Training and PublicTest of FER2013"
                ),
                stills=_on_grid(channels(stills.levels, transform)),
                still_rows=stills.rows.astype(np.int32),
                report=_on_grid(channels(report.levels, transform)),
                report_rows=report.rows.astype(np.int32),
            )

    task = recurrent_task(
        recipe,
        training,
        lambda model: recurrent_scores(model, stills, transform, held_out),
        width=len(channel_names(transform)),
    )
    sequences = recipe.steps_per_epoch * recipe.batch_size
    summary = f"{sequences} sequences an epoch, of {len(train.rows)} images and their mirror images"
    return TrainingJob(task=task, summary=summary, finish=finish)


def recurrent_task(
    recipe: RecurrentRecipe,
    director: Director,
    score: Callable[[keras.Model], Record],
    *,
    width: int,
) -> Task:
    """Return the task of a recipe; it exports the last weights.

    Args:
        recipe: What to do.
        director: Draws the sequences.
        score: Scores the network after every epoch.
        width: Channels.
    """
    steps = recipe.steps_per_epoch

    def batch(epoch: int, step: int) -> Batch:
        drawn = director.draw(recipe.batch_size, step_chance(recipe.seed, epoch, step))
        return drawn.channels, drawn.targets

    def learning_rate(epoch: int, share: float, history: Sequence[Record]) -> float:
        del history
        done = (epoch + share) / recipe.epochs
        return recipe.learning_rate * (0.5 + 0.5 * math.cos(math.pi * done))

    return Task(
        epochs=recipe.epochs,
        steps=steps,
        build=lambda: _compiled(recipe, width),
        batch=batch,
        learning_rate=learning_rate,
        score=lambda model, _: score(model),
        monitor="still_accuracy",
        export="last",
    )


def build_for(recipe: RecurrentRecipe, width: int) -> keras.Model:
    """Build the recipe's network, its weights drawn from the seed."""
    keras.utils.set_random_seed(recipe.seed)
    return build_recurrent(width, units=recipe.units, noise=recipe.noise, dropout=recipe.dropout)


def recurrent_scores(
    model: keras.Model, stills: Stills, transform: ChannelTransform, sequences: Sequences
) -> Record:
    """Score on single images and on held-out sequences, frame by frame."""
    logits = still_logits(model, stills, transform)
    frames = model.predict(sequences.channels, batch_size=256, verbose=0)
    flat = frames.reshape(-1, frames.shape[-1])
    targets = sequences.targets.reshape(-1, frames.shape[-1])
    majority = np.where(targets.max(axis=1) > 0.5, targets.argmax(axis=1), -1)
    return {
        "still_accuracy": accuracy(logits, stills.majority),
        "still_loss": vote_loss(logits, stills.votes, np.ones(len(stills.votes))),
        "frame_accuracy": accuracy(flat, majority),
        "frame_loss": vote_loss(flat, targets, np.ones(len(targets))),
    }


def _compiled(recipe: RecurrentRecipe, width: int) -> keras.Model:
    model = build_for(recipe, width)
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate, clipnorm=1.0),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _write_card(
    path: Path, transform: ChannelTransform, recipe: RecurrentRecipe, scores: Record
) -> None:
    """Write what the device must know beside the weights."""
    values: dict[str, Any] = {
        "channels": transform.model_dump(),
        "channel_names": channel_names(transform),
        "step_s": round(recipe.script.step_s, 6),
        "labels": LABELS,
        "clipped_at": LIMIT,
        "neutral": "median raw level less mean, zero for yaw, pitch and roll; zero if unknown",
        "public_test": {key: round(value, 4) for key, value in scores.items()},
    }
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _on_grid(values: NDArray[np.float32]) -> NDArray[np.int8]:
    return np.asarray(np.rint(values * GRID), np.int8)
