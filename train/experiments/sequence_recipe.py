"""The recipe of the comparison on picture sequences, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from train.augment import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceNet:
    """Shape and training of one net.

    Attributes:
        name: Which of `train.networks.sequence.BUILDERS`.
        filters: Channels of each convolutional stage.
        units: Of the last hidden layer.
        dropout: Share dropped after each stage.
        rate: Adam's learning rate in the supervised phases.
    """

    name: Literal["convlstm", "cnn", "rnn"]
    filters: tuple[int, ...] = (16, 32)
    units: int = 64
    dropout: float = 0.3
    rate: float = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinforcement:
    """The policy-gradient phase.

    Attributes:
        epochs: Passes through the training folds.
        rate: Adam's learning rate.
        reward: For a right decision.
        penalty: For a wrong one, subtracted.
        decay: Of the baseline's moving average, an episode.
    """

    epochs: int = 15
    rate: float = 3e-4
    reward: float = 1.0
    penalty: float = 1.0
    decay: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRecipe:
    """How nets are compared on CK+48's sequences.

    Every net is trained for ``epochs`` with labels and then twice further from there: with the
    policy gradient, and for as many epochs with labels, so that both have seen as much.

    Attributes:
        seed: Decides weights, order, augmentation, dropout and the policy's draws.
        seeds: Whole repetitions; the second uses ``seed + 1`` and so on.
        folds: Of subjects; no person is in two.
        fold_seed: Decides who is in which fold, the same for all nets and seeds.
        side_px: Side of the pictures.
        batch_size: Sequences a step, and decisions an episode.
        epochs: Of the first phase.
        reinforcement: The policy-gradient phase.
        nets: What is compared.
        augmentation: Limits; all frames of a sequence are changed alike.
    """

    model: Literal["sequences"] = "sequences"
    seed: int
    seeds: int = 1
    folds: int = 5
    fold_seed: int = 1
    side_px: int = 48
    batch_size: int = 16
    epochs: int = 30
    reinforcement: Reinforcement = field(default_factory=Reinforcement)
    nets: tuple[SequenceNet, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
