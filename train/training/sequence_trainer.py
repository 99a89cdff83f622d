"""Train one network on one fold of the sequences: with labels, then by rewards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import keras
import numpy as np

from edge.standardise import standardise_crop
from train.augment import augment
from train.data.ckplus48 import FRAMES
from train.data.images import as_input, prepared
from train.networks.reinforce import Policy
from train.networks.sequence import BUILDERS
from train.training.trainer import EpochBatches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.recipe import SequenceNet, SequenceRecipe

PHASES: Final = ("supervised", "reinforced", "supervised_longer")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """What is learned from and what is held out.

    Attributes:
        frames: ``(n, frames, side, side)``, uint8 grey, to learn from.
        labels: ``(n,)``, int.
        held_out: ``(m, frames, side, side)``, of other people.
        held_out_labels: ``(m,)``.
        classes: How many.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.integer]
    held_out: NDArray[np.uint8]
    held_out_labels: NDArray[np.integer]
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequenceResult:
    """What one network reached on one fold.

    Attributes:
        logits: Of the held-out sequences after each of `PHASES`, ``(m, classes)``.
        history: One record an epoch: phase (index into `PHASES`), epoch, loss.
        episodes: Reward and penalty a decision of each episode, ``(episodes, 2)``, at least 0.
    """

    logits: dict[str, NDArray[np.float32]]
    history: list[dict[str, float]]
    episodes: NDArray[np.float64]


class SequenceTrainer:
    """Trains a network that starts afresh for every fold and seed, compiled once for all."""

    def __init__(self, recipe: SequenceRecipe, shape: SequenceNet, classes: int) -> None:
        self.recipe, self.shape, self.classes = recipe, shape, classes
        how = recipe.reinforcement
        self.net = self._fresh(0)
        self.net.compile(
            optimizer=keras.optimizers.Adam(shape.learning_rate, clipnorm=1.0),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.policy = Policy(
            self.net, reward=how.reward, penalty=how.penalty, decay=how.decay, seed=0
        )
        self.policy.compile(optimizer=keras.optimizers.Adam(how.learning_rate, clipnorm=1.0))

    def train(self, fold: Fold, seed: int) -> SequenceResult:
        """Train with labels, then from there once by rewards and once longer with labels."""
        for variable, value in zip(self.net.variables, self._fresh(seed).variables, strict=True):
            variable.assign(value)
        self.policy.restart(seed)
        phases = _Phases(trainer=self, fold=fold, seed=seed)
        further = range(self.recipe.epochs, self.recipe.epochs + self.recipe.reinforcement.epochs)
        logits: dict[str, NDArray[np.float32]] = {}

        phases.supervised(range(self.recipe.epochs), phase=0)
        logits[PHASES[0]] = held_out_logits(self.net, fold, self.recipe.image_size)
        learned = self.net.get_weights()

        phases.reinforced(further, phase=1)
        logits[PHASES[1]] = held_out_logits(self.net, fold, self.recipe.image_size)

        self.net.set_weights(learned)
        phases.supervised(further, phase=2)
        logits[PHASES[2]] = held_out_logits(self.net, fold, self.recipe.image_size)
        return SequenceResult(
            logits=logits, history=phases.history, episodes=np.array(phases.episodes, np.float64)
        )

    def _fresh(self, seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        frames = (FRAMES, self.recipe.image_size)
        shape = self.shape
        return BUILDERS[shape.name](
            frames,
            classes=self.classes,
            filters=shape.filters,
            units=shape.units,
            dropout=shape.dropout,
        )


def held_out_logits(net: keras.Model, fold: Fold, image_size: int) -> NDArray[np.float32]:
    """Return the logits of the held-out sequences, one view, ``(m, classes)``."""
    frames = fold.held_out
    flat = frames.reshape(-1, *frames.shape[2:])
    inputs = prepared(flat, image_size).reshape(*frames.shape[:2], image_size, image_size, 1)
    return np.asarray(net.predict(inputs, batch_size=64, verbose=0), np.float32)


@dataclass(kw_only=True)
class _Phases:
    """One network's training, phase after phase, and its history."""

    trainer: SequenceTrainer
    fold: Fold
    seed: int
    history: list[dict[str, float]] = field(default_factory=list)
    episodes: list[tuple[float, float]] = field(default_factory=list)

    def supervised(self, epochs: range, *, phase: int) -> None:
        """Train with labels, with an optimiser that has seen nothing."""
        self._fit(self.trainer.net, epochs, phase, _Steps())

    def reinforced(self, epochs: range, *, phase: int) -> None:
        """Train by what decisions earn; every step is an episode."""
        steps = _Steps()
        self._fit(self.trainer.policy, epochs, phase, steps)
        self.episodes += [(logs["reward"], logs["penalty"]) for logs in steps.logs]

    def _fit(self, model: keras.Model, epochs: range, phase: int, steps: _Steps) -> None:
        reset_optimiser(model.optimizer)
        recipe, fold = self.trainer.recipe, self.fold
        an_epoch = len(fold.labels) // recipe.batch_size
        batches = EpochBatches(
            an_epoch, lambda epoch, step: batch(recipe, fold, self.seed, epoch, step), epochs.start
        )
        model.fit(
            batches,
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=batches.begin), steps],
            shuffle=False,
            verbose=0,
        )
        losses = np.array([logs["loss"] for logs in steps.logs]).reshape(len(epochs), an_epoch)
        self.history += [
            {"phase": float(phase), "epoch": epoch + 1.0, "loss": float(loss)}
            for epoch, loss in zip(epochs, losses.mean(axis=1), strict=True)
        ]


class _Steps(keras.callbacks.Callback):  # type: ignore[misc]  # untyped
    """Keeps each step's figures, which Keras would average over the epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, float]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Forget the steps before."""
        del batch, logs
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep this one's."""
        del batch
        self.logs.append({name: float(value) for name, value in logs.items()})


def reset_optimiser(optimiser: keras.optimizers.Optimizer) -> None:
    """Bring an optimiser back to its start, its learning rate kept."""
    for variable in optimiser.variables:
        if variable is not optimiser.learning_rate:
            variable.assign(keras.ops.zeros_like(variable))


def batch(
    recipe: SequenceRecipe, fold: Fold, seed: int, epoch: int, step: int
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Return a step's sequences and labels; the frames of a sequence are changed alike."""
    order = np.random.default_rng([seed, epoch]).permutation(len(fold.labels))
    chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
    changed = [
        as_input(
            standardise_crop(
                augment(
                    fold.frames[chosen, frame],
                    recipe.augmentation,
                    np.random.default_rng([seed, epoch, step]),
                    side_px=recipe.image_size,
                )
            )
        )
        for frame in range(fold.frames.shape[1])
    ]
    return np.stack(changed, axis=1), fold.labels[chosen]
