"""Figures of merit of predictions, and the numbers that are fitted to held-out data.

Rows labelled -1 have no label and count in no figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax as _log_softmax
from scipy.special import softmax as _softmax

from train.data.ferplus import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS: Final = 15
HIGHEST_WEIGHT: Final = 5.0
"""Separable data would be fitted by ever larger weights, and ever lower temperatures."""
RESAMPLES: Final = 10_000
SMALLEST: Final = 1e-12
"""Probabilities below it would give an infinite loss."""


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return probabilities over the last axis."""
    return np.asarray(_softmax(np.asarray(logits, np.float64), axis=-1), np.float64)


def labelled(labels: NDArray[np.integer]) -> int:
    """Return the number of rows with a label."""
    return int((labels >= 0).sum())


def accuracy(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the share of labelled rows whose arg-max is the label.

    Args:
        scores: Logits or probabilities, ``(n, classes)``.
        labels: ``(n,)``.
    """
    known = labels >= 0
    return float((scores[known].argmax(axis=1) == labels[known]).mean())


def macro_f1(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean F1 over all classes; one that occurs nowhere counts as 0."""
    from sklearn.metrics import f1_score

    truth, guess = _known(scores, labels)
    every = list(range(scores.shape[1]))
    return float(f1_score(truth, guess, labels=every, average="macro", zero_division=0))


def macro_recall(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean recall over the classes that occur (balanced accuracy)."""
    return float(np.mean(list(recalls(scores, labels).values())))


def recalls(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[int, float]:
    """Return the recall of each class that occurs, by its number."""
    truth, guess = _known(scores, labels)
    return {int(one): float((guess[truth == one] == one).mean()) for one in np.unique(truth)}


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


def nll(probs: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean negative log-likelihood of the labels, in nats."""
    known = labels >= 0
    chosen = np.asarray(probs[known], np.float64)[np.arange(int(known.sum())), labels[known]]
    return float(-np.log(np.maximum(chosen, SMALLEST)).mean())


def vote_loss(
    logits: NDArray[np.floating], votes: NDArray[np.floating], weights: NDArray[np.floating]
) -> float:
    """Return the cross entropy against vote distributions in nats, rows weighted.

    Args:
        logits: ``(n, classes)``.
        votes: ``(n, classes)``, each row summing to 1.
        weights: ``(n,)``.
    """
    log = np.asarray(_log_softmax(np.asarray(logits, np.float64), axis=-1))
    return float(-((votes * log).sum(axis=1) * weights).sum() / weights.sum())


def ece(probs: NDArray[np.floating], truth: NDArray[np.number], bins: int = BINS) -> float:
    """Return the expected calibration error of the top class (Guo et al., 2017).

    Args:
        probs: ``(n, classes)``.
        truth: Labels ``(n,)``; or vote distributions ``(n, classes)``, and the confidence is
            compared with the share of the votes that the top class got.
        bins: Of equal width.
    """
    if truth.ndim == 1:
        probs, truth = probs[truth >= 0], truth[truth >= 0]
    top = probs.argmax(axis=1)
    rows = np.arange(len(top))
    confidence = probs[rows, top]
    right = truth[rows, top] if truth.ndim == 2 else top == truth
    which = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gaps = [
        abs(float(confidence[inside].mean() - right[inside].mean())) * float(inside.mean())
        for inside in (which == one for one in range(bins))
        if inside.any()
    ]
    return float(sum(gaps))


def fit_temperature(
    logits: NDArray[np.floating],
    truth: NDArray[np.number],
    weights: NDArray[np.floating] | None = None,
) -> float:
    """Return the divisor of logits or log-probabilities under which the truth is likeliest.

    Args:
        logits: ``(n, classes)``.
        truth: Labels ``(n,)``, or vote distributions ``(n, classes)``.
        weights: Of each row, ``(n,)``; all the same where absent.

    Returns:
        The temperature, from 0.2 to 20, rounded to four digits.
    """
    votes: NDArray[np.floating] = np.asarray(truth, np.float64)
    if truth.ndim == 1:
        known = truth >= 0
        logits, weights = logits[known], None if weights is None else weights[known]
        votes = np.eye(logits.shape[1])[truth[known]]
    rows = np.ones(len(logits)) if weights is None else weights
    found = minimize_scalar(
        lambda log_t: vote_loss(logits / np.exp(log_t), votes, rows),
        bounds=(-np.log(HIGHEST_WEIGHT), np.log(20.0)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return round(float(np.exp(found.x)), 4)


def fit_weights(
    log_probs: Sequence[NDArray[np.floating]], labels: NDArray[np.integer]
) -> tuple[float, ...]:
    """Fit the weights of a log-linear pool to labels by the least negative log-likelihood.

    The loss is convex in the weights, so there is one minimum.

    Args:
        log_probs: One ``(n, classes)`` array for each member.
        labels: The right class of each row, ``(n,)``.

    Returns:
        One weight for each member, from 0 to 5, rounded to four digits.
    """
    pool = np.stack([np.asarray(rows, np.float64) for rows in log_probs])  # (members, n, classes)
    chosen = pool[:, np.arange(len(labels)), labels]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = np.einsum("m,mnc->nc", weights, pool)
        log = np.asarray(_log_softmax(mixed, axis=-1))
        expected = np.einsum("nc,mnc->mn", np.exp(log), pool)
        value = -log[np.arange(len(labels)), labels].mean()
        return float(value), (expected - chosen).mean(axis=1)

    found = minimize(
        loss,
        np.full(len(pool), 1.0 / len(pool)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, HIGHEST_WEIGHT)] * len(pool),
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    return tuple(round(float(weight), 4) for weight in found.x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much more often one of two is right.

    Attributes:
        points: Accuracy with less accuracy without, in percentage points.
        low: Lower end of the 95 % interval, bootstrapped over images.
        high: Its upper end.
        won: Images that only the first gets right.
        lost: Images that only the second gets right.
        n: Images.
    """

    points: float
    low: float
    high: float
    won: int
    lost: int
    n: int

    def __str__(self) -> str:
        """Return it as one line."""
        return (
            f"{self.points:+.2f} points (95 % {self.low:+.2f} to {self.high:+.2f}, paired;"
            f" {self.won} images won, {self.lost} lost, n = {self.n})"
        )


def paired_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, seed: int = 0
) -> Difference:
    """Compare which images each of two gets right.

    A resample of images is a draw of how many were won, lost and neither, so nothing else is
    drawn.

    Args:
        first: Whether it is right, ``(n,)``.
        second: Likewise, of the same images.
        seed: Of the bootstrap.
    """
    n = len(first)
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    shares = np.array([won, lost, n - won - lost]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, (0.025, 0.975))
    return Difference(
        points=100.0 * (won - lost) / n,
        low=100.0 * float(low),
        high=100.0 * float(high),
        won=won,
        lost=lost,
        n=n,
    )


def _known(
    scores: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    known = labels >= 0
    return labels[known], scores[known].argmax(axis=1)
