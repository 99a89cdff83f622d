"""Train one network on one fold of the sequences: with labels, then by rewards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import keras
import numpy as np

from edge.features.standardise import standardise_crop
from train.augment import augment
from train.data.ckplus48 import FRAMES
from train.data.images import as_input, prepared
from train.networks.reinforce import Policy
from train.networks.sequence import BUILDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        net = self.trainer.net
        reset_optimiser(net.optimizer)
        for epoch in epochs:
            losses = [float(net.train_on_batch(*batch)) for batch in self._batches(epoch)]
            self._record(phase, epoch, losses)

    def reinforced(self, epochs: range, *, phase: int) -> None:
        """Train by what decisions earn; every step is an episode."""
        policy = self.trainer.policy
        reset_optimiser(policy.optimizer)
        for epoch in epochs:
            losses: list[float] = []
            for frames, labels in self._batches(epoch):
                policy.reset_metrics()
                logs = policy.train_on_batch(frames, labels, return_dict=True)
                losses.append(float(logs["loss"]))
                self.episodes.append((float(logs["reward"]), float(logs["penalty"])))
            self._record(phase, epoch, losses)

    def _batches(self, epoch: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.integer]]]:
        return batches(self.trainer.recipe, self.fold, self.seed, epoch)

    def _record(self, phase: int, epoch: int, losses: list[float]) -> None:
        record = {"phase": float(phase), "epoch": epoch + 1.0, "loss": float(np.mean(losses))}
        self.history.append(record)


def reset_optimiser(optimiser: keras.optimizers.Optimizer) -> None:
    """Bring an optimiser back to its start, its learning rate kept."""
    for variable in optimiser.variables:
        if variable is not optimiser.learning_rate:
            variable.assign(keras.ops.zeros_like(variable))


def batches(
    recipe: SequenceRecipe, fold: Fold, seed: int, epoch: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.integer]]]:
    """Yield an epoch in a new order; the frames of a sequence are changed alike."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(fold.labels))
    frames = fold.frames.shape[1]
    for step in range(len(order) // recipe.batch_size):
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
            for frame in range(frames)
        ]
        yield np.stack(changed, axis=1), fold.labels[chosen]
