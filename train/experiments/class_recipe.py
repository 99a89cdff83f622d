"""Recipes of nets with one head that names one class: plain convolutions, nets over blendshapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from train.augment import Augmentation
from train.data.sampling import Selection
from train.features.blendshape_inputs import Features
from train.networks.config import BlendshapeNet, ConvolutionNet

if TYPE_CHECKING:
    from collections.abc import Sequence

LabelSet: TypeAlias = Literal["fer2013", "ferplus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Lower learning rates once the held-out loss falls no more.

    Attributes:
        factor: Multiplies the rate.
        patience: Epochs without a new least loss before it does.
        least: The rate never falls below.
    """

    factor: float = 0.5
    patience: int = 3
    least: float = 1e-4

    def rate_after(self, first: float, losses: Sequence[float]) -> float:
        """Return the rate of the epoch that follows these held-out losses."""
        rate, least, waited = first, float("inf"), 0
        for loss in losses:
            waited = 0 if loss < least else waited + 1
            least = min(least, loss)
            if waited >= self.patience:
                rate, waited = max(rate * self.factor, self.least), 0
        return rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionRecipe:
    """One way to train ``model_x`` or ``model_y``.

    Attributes:
        seed: Decides weights, order, augmentation and dropout.
        epochs: At most; the best of them on held-out pictures is kept.
        batch_size: Pictures a step.
        rate: First learning rate of SGD.
        momentum: Of Nesterov's SGD.
        weight_decay: Decoupled, times the learning rate; scales and biases are spared.
        smoothing: Share of each target spread over all classes.
        plateau: How the rate falls.
        labels: FER2013's own, or FER+'s under the majority rule.
        data: Classes and counts.
        augmentation: Limits.
        network: Shape of the net.
    """

    model: Literal["model_x", "model_y"]
    seed: int
    epochs: int = 24
    batch_size: int = 128
    rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    smoothing: float = 0.0
    plateau: Plateau = field(default_factory=Plateau)
    labels: LabelSet = "fer2013"
    data: Selection = field(default_factory=Selection)
    augmentation: Augmentation = field(default_factory=Augmentation)
    network: ConvolutionNet = field(default_factory=ConvolutionNet)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendshapeRecipe:
    """One way to train a net over one picture's blendshapes.

    Attributes:
        seed: Decides weights, order and dropout.
        epochs: At most; the best of them on held-out pictures is kept.
        batch_size: Pictures a step.
        rate: First learning rate of Adam, whose gradients are clipped to norm 1.
        weight_decay: Decoupled, times the learning rate; biases are spared.
        smoothing: Share of each target spread over all classes.
        mirrored: Whether each picture is learned from as its mirror image too.
        plateau: How the rate falls.
        fall: Whether it falls along a half cosine to nought instead.
        labels: FER2013's own, or FER+'s under the majority rule.
        data: Classes and counts.
        features: What is taken of a picture.
        network: Shape of the net.
    """

    model: Literal["dense", "lstm_reference"]
    seed: int
    epochs: int = 40
    batch_size: int = 128
    rate: float = 1e-3
    weight_decay: float = 0.0
    smoothing: float = 0.0
    mirrored: bool = False
    plateau: Plateau = field(default_factory=Plateau)
    fall: bool = False
    labels: LabelSet = "fer2013"
    data: Selection = field(default_factory=Selection)
    features: Features = field(default_factory=Features)
    network: BlendshapeNet = field(default_factory=BlendshapeNet)


ClassRecipe: TypeAlias = ConvolutionRecipe | BlendshapeRecipe
