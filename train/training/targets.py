"""What the two heads of an image network should predict for each training image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from train.data.fer2013 import CLASSES as FER2013_CLASSES
from train.training.distillation import blend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.data.images import Images
    from train.training.distillation import Teacher


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """By head, in the order of the images.

    Attributes:
        truth: Distributions, ``ferplus`` ``(n, 8)`` and ``fer2013`` ``(n, 7)``, float32.
        weights: Of each row, ``(n,)``, float32.
    """

    truth: dict[str, NDArray[np.float32]]
    weights: dict[str, NDArray[np.float32]]


def targets_of(images: Images, teacher: Teacher | None = None, share: float = 0.0) -> Targets:
    """Return votes and labels, mixed with a teacher's probabilities where there is one."""
    labels = np.eye(FER2013_CLASSES, dtype=np.float32)[images.labels]
    ones = np.ones(len(labels), np.float32)
    if teacher is None:
        return Targets(
            truth={"ferplus": images.votes, "fer2013": labels},
            weights={"ferplus": images.vote_weight, "fer2013": ones},
        )
    votes, vote_weight = blend(images.votes, images.vote_weight, teacher.ferplus, share)
    names, label_weight = blend(labels, ones, teacher.fer2013, share)
    return Targets(
        truth={"ferplus": votes, "fer2013": names},
        weights={"ferplus": vote_weight, "fer2013": label_weight},
    )
