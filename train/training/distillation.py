"""What larger or earlier networks predict for the training images, for another to learn from."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emoshift.errors import InputError
from train.data.fer2013 import CLASSES
from train.data.ferplus import LABELS
from train.data.folds import Fold
from train.data.images import read_images
from train.evaluation.metrics import softmax
from train.evaluation.predictions import image_logits
from train.saved_net import open_scorer
from train.training.run_folder import CONFIG, read_config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


HEADS = {"ferplus": len(LABELS), "fer2013": CLASSES}
"""Classes of each head."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """Probabilities for the rows of one split.

    Attributes:
        rows: Row numbers in FER2013, ``(n,)``.
        ferplus: ``(n, 8)``, float32.
        fer2013: ``(n, 7)``, float32.
    """

    rows: NDArray[np.intp]
    ferplus: NDArray[np.float32]
    fer2013: NDArray[np.float32]


def write_teacher(
    nets: Sequence[Path],
    path: Path,
    *,
    data: Path,
    cache: Path,
    weights: Sequence[float] = (),
) -> Teacher:
    """Write the mean probabilities of networks over Training, both mirror views of every image.

    A network whose run left a part of Training out (`train run --leave-out`) is asked about that
    part alone. The others have seen the images; one that remembers them teaches its own memory, so
    compare its accuracy on Training with that on PublicTest first.

    Args:
        nets: Networks with two heads.
        path: The file.
        data: Folder of the data sets.
        cache: Of decoded data.
        weights: Of each network in the mean; all alike by default.

    Raises:
        InputError: A network is missing, lacks one of the two heads, or some images have no
            teacher because no network left them out; or there are not as many weights as networks.
    """
    if weights and len(weights) != len(nets):
        raise InputError(
            f"found {len(weights)} weights for {len(nets)} networks; give each its own"
        )
    images = read_images(data, cache, "Training")
    sums = {head: np.zeros((len(images.rows), classes)) for head, classes in HEADS.items()}
    taught = np.zeros(len(images.rows))
    for net, weight in zip(nets, weights or [1.0] * len(nets), strict=True):
        fold = left_out(net)
        chosen = np.arange(len(images.rows))
        if fold is not None:
            chosen = np.flatnonzero(fold.holds(images.crops))
        logits = image_logits(open_scorer(net), images.crops[chosen], mirrored=True)
        if missing := [head for head in HEADS if head not in logits]:
            raise InputError(f"{net}: found no {missing[0]} head; a teacher needs both heads")
        for head in HEADS:
            sums[head][chosen] += weight * softmax(logits[head])
        taught[chosen] += weight
    if alone := int((taught == 0).sum()):
        raise InputError(
            f"{alone} of {len(images.rows)} images have no teacher: every part has to be left out"
            " by one of the networks; train the others with --leave-out too"
        )
    teacher = Teacher(
        rows=images.rows,
        **{head: (sums[head] / taught[:, None]).astype(np.float32) for head in HEADS},
    )
    save_teacher(teacher, path)
    return teacher


def save_teacher(teacher: Teacher, path: Path) -> None:
    """Write probabilities as float16, which is finer than any teacher is sure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        np.savez_compressed(
            stream,
            rows=teacher.rows.astype(np.int32),
            **{head: getattr(teacher, head).astype(np.float16) for head in HEADS},
        )


def left_out(net: Path) -> Fold | None:
    """Return the part of Training that a run's network has not learned from, if any."""
    if not (net.parent / CONFIG).exists():
        return None
    part = read_config(net.parent).left_out
    return None if part is None else Fold.parse(part)


def read_teacher(path: Path, rows: NDArray[np.intp]) -> Teacher:
    """Read what `write_teacher` wrote, of some rows or all.

    Raises:
        InputError: There is no such file, or it lacks some of ``rows``.
    """
    try:
        with path.open("rb") as stream, np.load(stream) as arrays:
            teacher = Teacher(
                rows=arrays["rows"].astype(np.intp),
                **{head: arrays[head].astype(np.float32) for head in HEADS},
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as why:
        raise InputError(f"{path}: not what `train teach` writes ({why})") from why
    if not np.isin(rows, teacher.rows).all():
        raise InputError(f"{path}: is about {len(teacher.rows)} rows, expected {len(rows)}")
    at = np.searchsorted(teacher.rows, rows)
    return Teacher(rows=rows, ferplus=teacher.ferplus[at], fer2013=teacher.fer2013[at])


def blend(
    truth: NDArray[np.float32],
    vote_weight: NDArray[np.float32],
    taught: NDArray[np.float32],
    share: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mix a data set's distributions with a teacher's.

    Args:
        truth: ``(n, c)``, each row summing to 1, or to 0 where the data set has no label.
        vote_weight: Weight of each row of ``truth``, ``(n,)``.
        taught: ``(n, c)``, each row summing to 1.
        share: Of the teacher, 0 to 1; a row without truth is the teacher's alone.

    Returns:
        Targets ``(n, c)`` and weights ``(n,)``, float32.
    """
    weights = (1.0 - share) * vote_weight + share
    mixed = ((1.0 - share) * vote_weight)[:, None] * truth + share * taught
    return (mixed / np.maximum(weights, 1e-9)[:, None]).astype(np.float32), weights.astype(
        np.float32
    )
