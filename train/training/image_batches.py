"""Augmented batches of images for networks with two heads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edge.standardise import standardise_crop
from train.augment import augment
from train.chance import step_chance
from train.data.images import as_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from train.augment import Augmentation
    from train.data.sampling import Draw
    from train.training.targets import Targets

HeadValues = dict[str, "NDArray[np.float32]"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageBatches:
    """Batches that follow from the seed, the epoch and the step alone.

    Attributes:
        crops: ``(n, 48, 48)``, uint8 grey.
        targets: What the heads should predict, and how much each row counts.
        draw: What an epoch goes through.
        augmentation: Limits at strength 1.
        batch_size: Images a step; what is left over at an epoch's end is not used in it.
        seed: Of all chance.
    """

    crops: NDArray[np.uint8]
    targets: Targets
    draw: Draw
    augmentation: Augmentation
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Return the steps of an epoch."""
        return len(self.draw.pool) // self.batch_size

    @cached_property
    def _order(self) -> Callable[[int], NDArray[np.intp]]:
        return epoch_order(self.draw, self.seed)

    def batch(
        self, epoch: int, step: int, *, image_size: int, strength: float = 1.0
    ) -> tuple[NDArray[np.float32], HeadValues, HeadValues]:
        """Return inputs ``(n, size, size, 1)``, and targets and weights by head."""
        chosen = self._order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        changed = augment(
            self.crops[chosen],
            self.augmentation,
            step_chance(self.seed, epoch, step),
            side_px=image_size,
            strength=strength,
        )
        return (
            as_input(standardise_crop(changed)),
            {head: values[chosen] for head, values in self.targets.truth.items()},
            {head: values[chosen] for head, values in self.targets.weights.items()},
        )


def epoch_order(draw: Draw, seed: int) -> Callable[[int], NDArray[np.intp]]:
    """Return a function that gives each epoch's images in their order; it keeps the last few."""
    return lru_cache(maxsize=2)(lambda epoch: draw.order(np.random.default_rng([seed, epoch])))
