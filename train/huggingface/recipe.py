"""The recipe of a fine-tuning, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from train.augment import Augmentation
from train.data.sampling import Selection
from train.recipe import Phase, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """One way to fit a checkpoint to both label sets.

    Attributes:
        seed: Decides order, augmentation, dropout and new outputs.
        epochs: How many.
        batch_size: Pictures a step.
        rate: Highest learning rate of AdamW; reached in the first tenth, then falls to 0.
        weight_decay: Of AdamW.
        body: Whether the body learns too, or the outputs alone.
        fer2013_weight: Of the FER2013 head's loss beside the FER+ head's.
        teacher_share: Of a teacher's probabilities in both heads' targets; 0 for no teacher.
        data: Counts and weights of classes, as every recipe's.
        augmentation: Limits.
    """

    model: Literal["huggingface"] = "huggingface"
    seed: int
    epochs: int = 3
    batch_size: int = 32
    rate: float = 5e-5
    weight_decay: float = 0.01
    body: bool = True
    fer2013_weight: float = 0.3
    teacher_share: float = 0.0
    data: Selection = field(default_factory=Selection)
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def pictures(self) -> Recipe:
        """Return how pictures are drawn and changed, as the project's own nets are told it."""
        return Recipe(
            seed=self.seed,
            batch_size=self.batch_size,
            phases=(Phase(epochs=self.epochs, side_px=48, rate=self.rate),),
            augmentation=self.augmentation,
        )

    def rate_at(self, share: float) -> float:
        """Return the learning rate when ``share`` of the run is done."""
        return self.rate * min(share / 0.1, (1.0 - share) / 0.9)
