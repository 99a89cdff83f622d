"""Inputs and labels of nets with one head: pictures or blendshapes, of FER2013 or a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emoshift.errors import InputError
from train.data.fer2013 import CLASSES
from train.data.ferplus import LABELS
from train.data.image_folder import subject_folds
from train.data.images import read_pictures
from train.data.kept import read_kept
from train.data.sampling import Grouping, Selection, draw_of, grouping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.sampling import Draw
    from train.experiments.class_recipe import LabelSet

KNOWN = {"fer2013": LABELS[:CLASSES], "ferplus": LABELS}
"""Classes of each label set; a folder's are those of FER+."""
HELD_OUT = 5
"""One picture in so many is held out of a folder that has no test folder."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """Pictures with one label each.

    Attributes:
        rows: Their numbers in the set, ``(n,)``.
        crops: ``(n, 48, 48)``, uint8 grey.
        own: Label in the set's own classes, ``(n,)``.
        labels: Label in the run's classes, ``(n,)``.
    """

    rows: NDArray[np.intp]
    crops: NDArray[np.uint8]
    own: NDArray[np.int8]
    labels: NDArray[np.int8]

    def draw(self, selection: Selection, known: tuple[str, ...], seed: int) -> Draw:
        """Return what an epoch goes through."""
        return draw_of(selection, self.own, known, seed=seed, groups=self.labels)


def read_labelled(
    data: Path, cache: Path, usage: str, labels: LabelSet, classes: Grouping
) -> Labelled:
    """Read one split of FER2013, its labelled rows that are in the run's classes."""
    pictures = read_pictures(data, cache, usage)
    own = pictures.labels if labels == "fer2013" else pictures.majority
    return _kept(pictures.rows, pictures.crops, own, classes)


def read_folder(
    root: Path, cache: Path, classes: Grouping, *, seed: int, tell: Callable[[str], None]
) -> tuple[Labelled, Labelled]:
    """Read a folder of class-named folders as training and held-out pictures.

    Kaggle's ``train`` and ``test`` folders are taken as they are; else a fifth is held out, by
    subject where the set tells it. What could not be read is told by name and count.
    """
    if (root / "train").is_dir() and (root / "test").is_dir():
        parts = [read_kept(root / name, cache) for name in ("train", "test")]
        for name, tree in zip(("train", "test"), parts, strict=True):
            tell(f"{root / name}: {len(tree.crops)} pictures, {tree.problems.summary()}")
        found = [_kept(np.arange(len(t.crops)), t.crops, t.labels, classes) for t in parts]
        return found[0], found[1]
    tree = read_kept(root, cache)
    people = tree.subjects or tree.names
    out = subject_folds(people, HELD_OUT, seed) == 0
    by = f"{len(set(tree.subjects))} subjects" if tree.subjects else "pictures, no subjects known"
    tell(f"{root}: {len(tree.crops)} pictures, {tree.problems.summary()}; split by {by}")
    rows = np.arange(len(tree.crops))
    train, held = (
        _kept(rows[part], tree.crops[part], tree.labels[part], classes) for part in (~out, out)
    )
    return train, held


def classes_of(selection: Selection, labels: LabelSet, *, folder: bool = False) -> Grouping:
    """Return the run's classes; raises `ConfigError` for ones that are not known."""
    return grouping(selection.classes, KNOWN["ferplus" if folder else labels])


def _kept(
    rows: NDArray[np.intp], crops: NDArray[np.uint8], own: NDArray[np.int8], classes: Grouping
) -> Labelled:
    labels = classes.apply(own)
    kept = labels >= 0
    if not kept.any():
        raise InputError(f"found no picture of {', '.join(classes.names)}")
    return Labelled(rows=rows[kept], crops=crops[kept], own=own[kept], labels=labels[kept])
