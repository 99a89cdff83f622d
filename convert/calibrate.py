"""Choose the images that show the converter the range of every activation."""

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

    from convert.datasets import SplitImages
    from convert.recipe import Calibration


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSet:
    """Images of the training split.

    Attributes:
        crops: Shape ``(n, 48, 48)``, uint8, standardised.
        described: What they are, for the manifest.
    """

    crops: NDArray[np.uint8]
    described: str


def choose(images: SplitImages, how: Calibration) -> CalibrationSet:
    """Draw equal shares of every emotion, all of an emotion where there are fewer.

    Args:
        images: The training split and no other.
        how: How many, and the seed.

    Raises:
        InputError: Another split, or too few images with a label.
    """
    if images.split != CALIBRATION_SPLIT:
        raise InputError(
            f"calibration takes images of {CALIBRATION_SPLIT} only, never of {images.split}"
        )
    labelled = int((images.labels >= 0).sum())
    wanted = min(how.pictures, labelled)
    if labelled < FEWEST_PICTURES:
        raise InputError(
            f"{labelled} labelled images in {images.split}; calibration needs at least"
            f" {FEWEST_PICTURES}, give the whole set with --calibration"
        )
    rng = np.random.default_rng(how.seed)
    shuffled = [rng.permutation(np.flatnonzero(images.labels == i)) for i in range(len(LABELS))]
    chosen: list[int] = []
    for turn in range(max(map(len, shuffled))):
        chosen += [int(rows[turn]) for rows in shuffled if turn < len(rows)]
        if len(chosen) >= wanted:
            break
    chosen = sorted(chosen[:wanted])
    counts = np.bincount(images.labels[chosen], minlength=len(LABELS))
    shares = ", ".join(f"{name} {count}" for name, count in zip(LABELS, counts, strict=True))
    return CalibrationSet(
        crops=images.crops[chosen],
        described=f"{len(chosen)} pictures of FER2013 {images.split}, seed {how.seed}: {shares}",
    )
