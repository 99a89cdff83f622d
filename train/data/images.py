"""What a picture net is trained and scored on: FER2013 crops under both label sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.features.standardise import INPUT_SCALE, MIDDLE, standardise_crop
from train.augment import augment
from train.data.annotated import read_annotated
from train.data.fer2013 import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.sampling import Draw
    from train.experiments.targets import Targets
    from train.recipe import Phase, Recipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Rows of one split.

    Attributes:
        rows: Row numbers in FER2013, ``(n,)``.
        crops: ``(n, 48, 48)``, uint8 grey.
        votes: FER+ vote distribution, ``(n, 8)``; zeros where no annotator saw an emotion.
        trust: Share of the votes that went to an emotion, ``(n,)``.
        majority: FER+ label under the majority rule, ``(n,)``; -1 where there is none.
        plurality: FER+ label by most votes, ``(n,)``; -1 where the top vote is no emotion.
        labels: FER2013 label, ``(n,)``.
    """

    rows: NDArray[np.intp]
    crops: NDArray[np.uint8]
    votes: NDArray[np.float32]
    trust: NDArray[np.float32]
    majority: NDArray[np.int8]
    plurality: NDArray[np.int8]
    labels: NDArray[np.int8]

    def class_shares(self) -> dict[str, NDArray[np.float64]]:
        """Return each head's class frequencies, ``(8,)`` from the votes and ``(7,)``."""
        votes = (self.votes * self.trust[:, None]).sum(axis=0, dtype=np.float64)
        labels = np.bincount(self.labels, minlength=CLASSES).astype(np.float64)
        return {"ferplus": votes / votes.sum(), "fer2013": labels / labels.sum()}


def read_pictures(data: Path, cache: Path, usage: str) -> Pictures:
    """Read one split of FER2013 with its FER+ votes from ``data/fer2013``."""
    annotated = read_annotated(data / "fer2013", cache)
    fer, votes = annotated.fer, annotated.votes
    rows = fer.rows(usage)
    return Pictures(
        rows=rows,
        crops=fer.pixels[rows],
        votes=votes.distribution()[rows],
        trust=votes.weight()[rows],
        majority=votes.majority()[rows],
        plurality=votes.plurality()[rows],
        labels=fer.labels[rows],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """One training step's worth.

    Attributes:
        crops: ``(n, side, side, 1)``, float32, as the net reads them.
        targets: ``ferplus`` ``(n, 8)`` and ``fer2013`` ``(n, 7)``, float32 distributions.
        weights: Per head, ``(n,)``, float32.
    """

    crops: NDArray[np.float32]
    targets: dict[str, NDArray[np.float32]]
    weights: dict[str, NDArray[np.float32]]


def as_input(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn standardised crops ``(n, h, w)`` into the net's input ``(n, h, w, 1)``."""
    values = (crops.astype(np.float32) - np.float32(MIDDLE)) * np.float32(INPUT_SCALE)
    return values[..., None]


def view(crops: NDArray[np.uint8], side_px: int, *, mirrored: bool = False) -> NDArray[np.float32]:
    """Bring grey crops ``(n, h, w)`` to the net's input without chance."""
    if mirrored:
        crops = crops[:, :, ::-1]
    if crops.shape[1] != side_px:
        how = cv2.INTER_AREA if side_px < crops.shape[1] else cv2.INTER_LINEAR
        sized = [cv2.resize(c, (side_px, side_px), interpolation=how) for c in crops]
        crops = np.stack(sized)
    return as_input(standardise_crop(crops))


def epoch_batches(
    crops: NDArray[np.uint8],
    targets: Targets,
    recipe: Recipe,
    phase: Phase,
    epoch: int,
    *,
    draw: Draw,
) -> Iterator[Batch]:
    """Yield an epoch of augmented batches; the same for the same seed and epoch."""
    rng = np.random.default_rng([recipe.seed, epoch])
    order = draw.order(rng)
    for start in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
        chosen = order[start : start + recipe.batch_size]
        changed = augment(
            crops[chosen],
            recipe.augmentation,
            rng,
            side_px=phase.side_px,
            strength=phase.strength,
        )
        yield Batch(
            crops=as_input(standardise_crop(changed)),
            targets={head: values[chosen] for head, values in targets.truth.items()},
            weights={head: values[chosen] for head, values in targets.weights.items()},
        )
