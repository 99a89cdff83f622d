"""What image networks are trained and scored on, and how images become their input."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.standardise import INPUT_SCALE, MIDDLE, standardise_crop
from emoshift.errors import InputError
from train.data.annotated import read_annotated
from train.data.fer2013 import CLASSES, csv_in, read_fer2013
from train.data.ferplus import LABELS
from train.data.image_folder import read_cached_folder, subject_folds
from train.data.sampling import draw_of, grouping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.ferplus import LabelSet
    from train.data.sampling import Draw, Grouping, Selection

CLASSES_OF: Final = {"fer2013": LABELS[:CLASSES], "ferplus": LABELS}
"""Classes of each label set; a folder's are those of FER+."""
HELD_OUT: Final = 5
"""One image in so many is held out of a folder that has no test folder."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """Rows of one split of FER2013, with both sets of labels.

    Attributes:
        rows: Row numbers in FER2013, ``(n,)``.
        crops: ``(n, 48, 48)``, uint8 grey.
        votes: FER+ vote distribution, ``(n, 8)``; zeros where no annotator saw an emotion.
        vote_weight: Share of the votes that went to an emotion, ``(n,)``.
        majority: FER+ label under the majority rule, ``(n,)``; -1 where there is none.
        plurality: FER+ label by most votes, ``(n,)``; -1 where the top vote is no emotion.
        labels: FER2013 label, ``(n,)``.
    """

    rows: NDArray[np.intp]
    crops: NDArray[np.uint8]
    votes: NDArray[np.float32]
    vote_weight: NDArray[np.float32]
    majority: NDArray[np.int8]
    plurality: NDArray[np.int8]
    labels: NDArray[np.int8]

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Images:
        """Return some of them."""
        arrays = {field.name: getattr(self, field.name)[chosen] for field in fields(self)}
        return Images(**arrays)

    def class_shares(self) -> dict[str, NDArray[np.float64]]:
        """Return each head's class frequencies, ``(8,)`` from the votes and ``(7,)``."""
        votes = (self.votes * self.vote_weight[:, None]).sum(axis=0, dtype=np.float64)
        labels = np.bincount(self.labels, minlength=CLASSES).astype(np.float64)
        return {"ferplus": votes / votes.sum(), "fer2013": labels / labels.sum()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledImages:
    """Images with one label each.

    Attributes:
        rows: Their numbers in the set, ``(n,)``.
        crops: ``(n, 48, 48)``, uint8 grey.
        set_labels: Label in the set's own classes, ``(n,)``.
        labels: Label in the run's classes, ``(n,)``.
    """

    rows: NDArray[np.intp]
    crops: NDArray[np.uint8]
    set_labels: NDArray[np.int8]
    labels: NDArray[np.int8]

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> LabelledImages:
        """Return some of them."""
        return replace(
            self,
            rows=self.rows[chosen],
            crops=self.crops[chosen],
            set_labels=self.set_labels[chosen],
            labels=self.labels[chosen],
        )

    def draw(self, selection: Selection, known: tuple[str, ...], seed: int) -> Draw:
        """Return what an epoch goes through."""
        return draw_of(selection, self.set_labels, known, seed=seed, groups=self.labels)


def read_images(data: Path, cache: Path, split: str) -> Images:
    """Read one split of FER2013 with its FER+ votes from ``data/fer2013``.

    Raises:
        InputError: A file is missing or cannot be read, or the two do not fit together.
    """
    annotated = read_annotated(data / "fer2013", cache)
    fer, votes = annotated.fer, annotated.votes
    rows = fer.rows(split)
    return Images(
        rows=rows,
        crops=fer.pixels[rows],
        votes=votes.distribution()[rows],
        vote_weight=votes.weight()[rows],
        majority=votes.majority()[rows],
        plurality=votes.plurality()[rows],
        labels=fer.labels[rows],
    )


def require_rows(data: Path, cache: Path, split: str) -> None:
    """Refuse a split of FER2013 of which there is no row; raises `InputError`."""
    source = csv_in(data / "fer2013")
    if not len(read_fer2013(source, cache).rows(split)):
        raise InputError(f"{source}: holds no row of {split} that can be read")


def read_labelled(
    data: Path, cache: Path, split: str, labels: LabelSet, classes: Grouping
) -> LabelledImages:
    """Read one split of FER2013: its labelled rows that are in the run's classes."""
    images = read_images(data, cache, split)
    set_labels = images.labels if labels == "fer2013" else images.majority
    return _in_classes(images.rows, images.crops, set_labels, classes)


def read_image_folder(
    root: Path, cache: Path, classes: Grouping, *, seed: int, log: Callable[[str], None]
) -> tuple[LabelledImages, LabelledImages]:
    """Read a folder of class-named folders as training and held-out images.

    Kaggle's ``train`` and ``test`` folders are taken as they are; else a fifth is held out, by
    subject where the set names subjects. What could not be read is logged by name and count.
    """
    if (root / "train").is_dir() and (root / "test").is_dir():
        parts = [read_cached_folder(root / name, cache) for name in ("train", "test")]
        for name, tree in zip(("train", "test"), parts, strict=True):
            log(f"{root / name}: {len(tree.crops)} images, {tree.problems.summary()}")
        train, held_out = (
            _in_classes(np.arange(len(t.crops)), t.crops, t.labels, classes) for t in parts
        )
        return train, held_out
    tree = read_cached_folder(root, cache)
    out = subject_folds(tree.subjects or tree.names, HELD_OUT, seed) == 0
    by = f"{len(set(tree.subjects))} subjects" if tree.subjects else "images, no subjects known"
    log(f"{root}: {len(tree.crops)} images, {tree.problems.summary()}; split by {by}")
    if out.all() or not out.any():
        whom = f"{len(set(tree.subjects))} people" if tree.subjects else f"{len(out)} images"
        raise InputError(
            f"{root}: {whom} are too few to learn from some and hold others out; give more, or"
            " folders train/ and test/"
        )
    rows = np.arange(len(tree.crops))
    train, held_out = (
        _in_classes(rows[part], tree.crops[part], tree.labels[part], classes)
        for part in (~out, out)
    )
    return train, held_out


def classes_of(selection: Selection, labels: LabelSet, *, folder: bool = False) -> Grouping:
    """Return the run's classes; raises `ConfigError` for ones that are not known."""
    return grouping(selection.classes, CLASSES_OF["ferplus" if folder else labels])


def as_input(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn standardised crops ``(n, h, w)`` into a network's input ``(n, h, w, 1)``."""
    values = (crops.astype(np.float32) - np.float32(MIDDLE)) * np.float32(INPUT_SCALE)
    return values[..., None]


def prepared(
    crops: NDArray[np.uint8], image_size: int, *, mirrored: bool = False
) -> NDArray[np.float32]:
    """Return grey crops ``(n, h, w)`` as a network's input, without augmentation."""
    if mirrored:
        crops = crops[:, :, ::-1]
    if crops.shape[1] != image_size:
        how = cv2.INTER_AREA if image_size < crops.shape[1] else cv2.INTER_LINEAR
        sized = [cv2.resize(c, (image_size, image_size), interpolation=how) for c in crops]
        crops = np.stack(sized)
    return as_input(standardise_crop(np.ascontiguousarray(crops)))


def _in_classes(
    rows: NDArray[np.intp],
    crops: NDArray[np.uint8],
    set_labels: NDArray[np.int8],
    classes: Grouping,
) -> LabelledImages:
    images = LabelledImages(
        rows=rows, crops=crops, set_labels=set_labels, labels=classes.apply(set_labels)
    )
    if not (images.labels >= 0).any():
        raise InputError(f"found no image of {', '.join(classes.names)}")
    return images.select(images.labels >= 0)
