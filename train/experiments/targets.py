"""What a picture net's two heads are to say of each training picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from train.data.fer2013 import CLASSES as FER2013_CLASSES
from train.training.distillation import blend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.data.images import Pictures
    from train.training.distillation import Teacher


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """Per head, in the order of the pictures.

    Attributes:
        truth: Distributions, ``ferplus`` ``(n, 8)`` and ``fer2013`` ``(n, 7)``, float32.
        weights: Of each row, ``(n,)``, float32.
    """

    truth: dict[str, NDArray[np.float32]]
    weights: dict[str, NDArray[np.float32]]


def targets_of(pictures: Pictures, teacher: Teacher | None = None, share: float = 0.0) -> Targets:
    """Return votes and labels, mixed with a teacher's probabilities where there is one."""
    labels = np.eye(FER2013_CLASSES, dtype=np.float32)[pictures.labels]
    ones = np.ones(len(labels), np.float32)
    if teacher is None:
        return Targets(
            truth={"ferplus": pictures.votes, "fer2013": labels},
            weights={"ferplus": pictures.trust, "fer2013": ones},
        )
    votes, trust = blend(pictures.votes, pictures.trust, teacher.ferplus, share)
    names, certain = blend(labels, ones, teacher.fer2013, share)
    return Targets(
        truth={"ferplus": votes, "fer2013": names},
        weights={"ferplus": trust, "fer2013": certain},
    )
