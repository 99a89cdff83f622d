"""Scores of logits against both label sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.data.images import Pictures


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return probabilities over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    raised = np.exp(shifted)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float64)


def accuracy(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[float, int]:
    """Return the share of rows named right and their number; rows labelled -1 are left out."""
    kept = labels >= 0
    right = logits[kept].argmax(axis=1) == labels[kept]
    return float(right.mean()), int(kept.sum())


def vote_loss(
    logits: NDArray[np.floating], votes: NDArray[np.floating], trust: NDArray[np.floating]
) -> float:
    """Return the cross entropy against the votes in nats, rows weighted by ``trust``."""
    log = np.log(np.maximum(softmax(logits), 1e-12))
    return float(-((votes * log).sum(axis=1) * trust).sum() / trust.sum())


def macro_f1(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean F1 over classes; rows labelled -1 are left out."""
    kept = labels >= 0
    guess, truth = logits[kept].argmax(axis=1), labels[kept]
    scores: list[float] = []
    for one in range(logits.shape[1]):
        both = int(((guess == one) & (truth == one)).sum())
        either = int((guess == one).sum() + (truth == one).sum())
        scores.append(2 * both / either if either else 0.0)
    return float(np.mean(scores))


def scores(logits: dict[str, NDArray[np.floating]], pictures: Pictures) -> dict[str, float]:
    """Return the figures a run is chosen by."""
    return {
        "ferplus_accuracy": accuracy(logits["ferplus"], pictures.majority)[0],
        "fer2013_accuracy": accuracy(logits["fer2013"], pictures.labels)[0],
        "vote_loss": vote_loss(logits["ferplus"], pictures.votes, pictures.trust),
    }
