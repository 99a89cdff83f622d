"""The recipe of a search for settings, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From ``least`` to ``most``, both tried."""

    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is searched.

    Attributes:
        rate: Learning rate, drawn on a logarithmic scale.
        units: Widths to choose from: of the LSTM, or of the dense net's first layer.
        optimisers: To choose from: ``adam``, ``sgd``, ``rmsprop``.
        beta: First beta of Adam.
        momentum: Of SGD and RMSprop.
    """

    rate: Range = field(default_factory=lambda: Range(least=1e-4, most=1e-1))
    units: tuple[int, ...] = (16, 32, 64, 128)
    optimisers: tuple[Literal["adam", "sgd", "rmsprop"], ...] = ("adam", "sgd", "rmsprop")
    beta: Range = field(default_factory=lambda: Range(least=0.8, most=0.98))
    momentum: Range = field(default_factory=lambda: Range(least=0.0, most=0.95))


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRecipe:
    """One search.

    Attributes:
        net: ``dense`` over the blendshapes of single pictures, or ``lstm`` over sequences of them.
        seed: Decides weights, sequences, order and which settings are drawn.
        search: How settings are drawn: at random, or by a Gaussian process (``bayesian``).
        trials: Settings to try.
        epochs: Of each trial.
        batch_size: Pictures or sequences a step.
        sequences: Drawn once for all trials of an LSTM.
        space: What is searched.
    """

    model: Literal["tune"] = "tune"
    net: Literal["dense", "lstm"]
    seed: int
    search: Literal["random", "bayesian"] = "random"
    trials: int = 20
    epochs: int = 10
    batch_size: int = 128
    sequences: int = 4096
    space: Space = field(default_factory=Space)
