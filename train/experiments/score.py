"""Scores of logits against both label sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from train.data.ferplus import LABELS

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


def macro_recall(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean recall over the classes that occur (balanced accuracy); -1 is left out."""
    kept = labels >= 0
    guess, truth = scores[kept].argmax(axis=1), labels[kept]
    return float(np.mean([(guess[truth == one] == one).mean() for one in np.unique(truth)]))


def without_prior(
    logits: NDArray[np.floating], prior: NDArray[np.floating], tau: float
) -> NDArray[np.floating]:
    """Divide the probabilities by ``prior ** tau``, as logits (Menon et al., 2021).

    Args:
        logits: ``(n, classes)``.
        prior: Share of each class in training, ``(classes,)``.
        tau: 0 leaves the logits; 1 takes the prior out wholly, as if all classes were equally
            frequent.
    """
    return np.asarray(logits - tau * np.log(np.maximum(prior, 1e-6)), logits.dtype)


def without_contempt(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Set the labels of FER+'s eighth class, which the device does not know, to -1."""
    return np.where(labels == LABELS.index("contempt"), -1, labels)


def scores(logits: dict[str, NDArray[np.floating]], pictures: Pictures) -> dict[str, float]:
    """Return the figures a run is chosen by."""
    return {
        "ferplus_accuracy": accuracy(logits["ferplus"], pictures.majority)[0],
        "fer2013_accuracy": accuracy(logits["fer2013"], pictures.labels)[0],
        "ferplus_recall": macro_recall(
            logits["ferplus"][:, :-1], without_contempt(pictures.majority)
        ),
        "vote_loss": vote_loss(logits["ferplus"], pictures.votes, pictures.trust),
    }
