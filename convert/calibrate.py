"""Choose the pictures that show the converter the range of every activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.datasets import CALIBRATION_SPLIT
from convert.recipe import FEWEST_PICTURES
from emoshift.errors import InputError
from train.data.ferplus import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.datasets import Pictures
    from convert.recipe import Calibration


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSet:
    """Pictures of the training split.

    Attributes:
        crops: Shape ``(n, 48, 48)``, uint8, standardised.
        described: What they are, for the manifest.
    """

    crops: NDArray[np.uint8]
    described: str


def choose(pictures: Pictures, how: Calibration) -> CalibrationSet:
    """Draw equal shares of every emotion, all of an emotion where there are fewer.

    Args:
        pictures: The training split and no other.
        how: How many, and the seed.

    Raises:
        InputError: Another split, or too few pictures with a label.
    """
    if pictures.split != CALIBRATION_SPLIT:
        raise InputError(
            f"calibration takes pictures of {CALIBRATION_SPLIT} only, never of {pictures.split}"
        )
    labelled = int((pictures.labels >= 0).sum())
    wanted = min(how.pictures, labelled)
    if labelled < FEWEST_PICTURES:
        raise InputError(
            f"{labelled} labelled pictures in {pictures.split}; calibration needs at least"
            f" {FEWEST_PICTURES}, give the whole set with --calibration"
        )
    rng = np.random.default_rng(how.seed)
    shuffled = [rng.permutation(np.flatnonzero(pictures.labels == i)) for i in range(len(LABELS))]
    chosen: list[int] = []
    for turn in range(max(map(len, shuffled))):
        chosen += [int(rows[turn]) for rows in shuffled if turn < len(rows)]
        if len(chosen) >= wanted:
            break
    chosen = sorted(chosen[:wanted])
    counts = np.bincount(pictures.labels[chosen], minlength=len(LABELS))
    shares = ", ".join(f"{name} {count}" for name, count in zip(LABELS, counts, strict=True))
    return CalibrationSet(
        crops=pictures.crops[chosen],
        described=f"{len(chosen)} pictures of FER2013 {pictures.split}, seed {how.seed}: {shares}",
    )
