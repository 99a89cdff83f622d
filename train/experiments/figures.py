"""Figures of any net's answers, each with its n, label set and protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from train.data.fer2013 import fer2013_source, read_fer2013
from train.data.images import read_pictures
from train.data.near_duplicates import fingerprint, near_duplicates
from train.evaluation.metrics import ece, nll
from train.experiments.score import macro_f1, macro_recall

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from train.experiments.answers import Answers

SETS = {"fer2013": "FER2013 labels", "ferplus": "FER+ labels, majority rule"}


def near_training(split: str, data: Path, cache: Path) -> NDArray[np.intp]:
    """Return the rows of a split that show nearly a training photograph; kept once found."""
    pictures = read_fer2013(fer2013_source(data), cache)
    rows = pictures.rows(split)
    kept = cache / f"near-training-{split}-{fingerprint(pictures.pixels[rows])}.npy"
    if not kept.exists():
        known = read_pictures(data, cache, "Training").crops
        np.save(kept, near_duplicates(pictures.pixels[rows], known))
    return np.asarray(rows[np.load(kept)], np.intp)


def figures(answers: Answers, near: NDArray[np.intp]) -> list[str]:
    """Return one line for all pictures and one without near-duplicates of training pictures."""
    fresh = answers.only(~np.isin(answers.rows, near))
    dropped = len(answers.rows) - len(fresh.rows)
    return [
        f"{answers.name}: {_told(answers)}, {'/'.join(answers.classes)}, {SETS[answers.label_set]}",
        f"{answers.name}: {_told(fresh)}, without the {dropped} near-duplicates of training",
    ]


def _told(answers: Answers) -> str:
    right = float((answers.probs.argmax(axis=1) == answers.truth).mean())
    recall = macro_recall(answers.probs, answers.truth)
    f1 = macro_f1(answers.probs, answers.truth)
    error = ece(answers.probs, answers.truth)
    loss = nll(answers.probs, answers.truth)
    return (
        f"accuracy {right:.2%}, macro recall {recall:.2%}, macro-F1 {f1:.3f}, ECE {error:.3f},"
        f" loss {loss:.4f} nats"
        f" (n = {len(answers.rows)})"
    )
