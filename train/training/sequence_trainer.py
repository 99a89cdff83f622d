"""Train one net on one division of the sequences: labels first, then what decisions earn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import keras
import numpy as np

from edge.features.standardise import standardise_crop
from train.augment import augment
from train.data.ckplus48 import FRAMES
from train.data.images import as_input, view
from train.networks.reinforce import Policy
from train.networks.sequence import BUILDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from train.experiments.sequence_recipe import SequenceNet, SequenceRecipe

PHASES: Final = ("supervised", "reinforced", "supervised_longer")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Division:
    """What is learned from and what is asked.

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
class Outcome:
    """What came of one net.

    Attributes:
        logits: Of the held-out sequences after each of `PHASES`, ``(m, classes)``.
        history: One record an epoch: phase (index into `PHASES`), epoch, loss.
        episodes: Reward and penalty a decision of each episode, ``(episodes, 2)``, at least 0.
    """

    logits: dict[str, NDArray[np.float32]]
    history: list[dict[str, float]]
    episodes: NDArray[np.float64]


class Pupil:
    """A net that begins anew for every division and seed, compiled once for all of them."""

    def __init__(self, recipe: SequenceRecipe, shape: SequenceNet, classes: int) -> None:
        self.recipe, self.shape, self.classes = recipe, shape, classes
        how = recipe.reinforcement
        self.net = self._fresh(0)
        self.net.compile(
            optimizer=keras.optimizers.Adam(shape.rate, clipnorm=1.0),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.policy = Policy(
            self.net, reward=how.reward, penalty=how.penalty, decay=how.decay, seed=0
        )
        self.policy.compile(optimizer=keras.optimizers.Adam(how.rate, clipnorm=1.0))

    def learn(self, division: Division, seed: int) -> Outcome:
        """Train with labels, then from there once by rewards and once longer with labels."""
        for variable, value in zip(self.net.variables, self._fresh(seed).variables, strict=True):
            variable.assign(value)
        self.policy.restart(seed)
        lessons = _Lessons(pupil=self, division=division, seed=seed)
        further = range(self.recipe.epochs, self.recipe.epochs + self.recipe.reinforcement.epochs)
        logits: dict[str, NDArray[np.float32]] = {}

        lessons.label(range(self.recipe.epochs), phase=0)
        logits[PHASES[0]] = held_out_logits(self.net, division, self.recipe.side_px)
        learned = self.net.get_weights()

        lessons.reinforce(further, phase=1)
        logits[PHASES[1]] = held_out_logits(self.net, division, self.recipe.side_px)

        self.net.set_weights(learned)
        lessons.label(further, phase=2)
        logits[PHASES[2]] = held_out_logits(self.net, division, self.recipe.side_px)
        return Outcome(
            logits=logits, history=lessons.history, episodes=np.array(lessons.episodes, np.float64)
        )

    def _fresh(self, seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        frames = (FRAMES, self.recipe.side_px)
        shape = self.shape
        return BUILDERS[shape.name](
            frames,
            classes=self.classes,
            filters=shape.filters,
            units=shape.units,
            dropout=shape.dropout,
        )


def held_out_logits(net: keras.Model, division: Division, side_px: int) -> NDArray[np.float32]:
    """Return the logits of the held-out sequences, one view, ``(m, classes)``."""
    frames = division.held_out
    flat = frames.reshape(-1, *frames.shape[2:])
    shown = view(flat, side_px).reshape(*frames.shape[:2], side_px, side_px, 1)
    return np.asarray(net.predict(shown, batch_size=64, verbose=0), np.float32)


@dataclass(kw_only=True)
class _Lessons:
    """One net's training, phase after phase, and what is kept of it."""

    pupil: Pupil
    division: Division
    seed: int
    history: list[dict[str, float]] = field(default_factory=list)
    episodes: list[tuple[float, float]] = field(default_factory=list)

    def label(self, epochs: range, *, phase: int) -> None:
        """Train with labels, with an optimiser that has seen nothing."""
        net = self.pupil.net
        forget(net.optimizer)
        for epoch in epochs:
            losses = [float(net.train_on_batch(*batch)) for batch in self._batches(epoch)]
            self._keep(phase, epoch, losses)

    def reinforce(self, epochs: range, *, phase: int) -> None:
        """Train by what decisions earn; every step is an episode."""
        policy = self.pupil.policy
        forget(policy.optimizer)
        for epoch in epochs:
            losses: list[float] = []
            for frames, labels in self._batches(epoch):
                policy.reset_metrics()
                logs = policy.train_on_batch(frames, labels, return_dict=True)
                losses.append(float(logs["loss"]))
                self.episodes.append((float(logs["reward"]), float(logs["penalty"])))
            self._keep(phase, epoch, losses)

    def _batches(self, epoch: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.integer]]]:
        return batches(self.pupil.recipe, self.division, self.seed, epoch)

    def _keep(self, phase: int, epoch: int, losses: list[float]) -> None:
        record = {"phase": float(phase), "epoch": epoch + 1.0, "loss": float(np.mean(losses))}
        self.history.append(record)


def forget(optimiser: keras.optimizers.Optimizer) -> None:
    """Bring an optimiser back to its start, its learning rate kept."""
    for variable in optimiser.variables:
        if variable is not optimiser.learning_rate:
            variable.assign(keras.ops.zeros_like(variable))


def batches(
    recipe: SequenceRecipe, division: Division, seed: int, epoch: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.integer]]]:
    """Yield an epoch in a new order; the frames of a sequence are changed alike."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(division.labels))
    frames = division.frames.shape[1]
    for step in range(len(order) // recipe.batch_size):
        chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        changed = [
            as_input(
                standardise_crop(
                    augment(
                        division.frames[chosen, frame],
                        recipe.augmentation,
                        np.random.default_rng([seed, epoch, step]),
                        side_px=recipe.side_px,
                    )
                )
            )
            for frame in range(frames)
        ]
        yield np.stack(changed, axis=1), division.labels[chosen]
