"""Figures of merit of probabilities, and the numbers that are fitted to held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS: Final = 15
LEAST_WEIGHT: Final = 0.0
MOST_WEIGHT: Final = 5.0


def accuracy(scores: NDArray[np.floating], labels: NDArray[np.int8]) -> float:
    """Return the share of rows whose arg-max is the label."""
    return float((scores.argmax(axis=1) == labels).mean())


def ece(probs: NDArray[np.floating], labels: NDArray[np.int8]) -> float:
    """Return the expected calibration error of the top class, 15 bins (Guo et al., 2017)."""
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    which = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    gaps = [
        abs(float(confidence[inside].mean() - right[inside].mean())) * float(inside.mean())
        for inside in (which == one for one in range(BINS))
        if inside.any()
    ]
    return float(sum(gaps))


def nll(probs: NDArray[np.floating], labels: NDArray[np.int8]) -> float:
    """Return the mean negative log-likelihood of the labels, in nats."""
    chosen = probs[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def fit_weights(
    log_probs: Sequence[NDArray[np.floating]], labels: NDArray[np.int8]
) -> tuple[float, ...]:
    """Fit the weights of a log-linear pool to labels by the least negative log-likelihood.

    The loss is convex in the weights, so Newton's steps from equal weights find the one minimum;
    a weight never falls below zero. With one member the weight is the inverse of a temperature.

    Args:
        log_probs: One ``(n, classes)`` array for each member.
        labels: The right class of each row, ``(n,)``.

    Returns:
        One weight for each member, rounded to four digits.
    """
    pool = np.stack([np.asarray(rows, np.float64) for rows in log_probs])  # (members, n, classes)
    chosen = pool[:, np.arange(len(labels)), labels]
    weights = np.full(len(pool), 1.0 / len(pool))
    for _ in range(100):
        probs = _softmax(np.einsum("m,mnc->nc", weights, pool))
        expected = np.einsum("nc,mnc->mn", probs, pool)
        gradient = (expected - chosen).mean(axis=1)
        centred = pool - expected[..., None]
        curvature = np.einsum("nc,mnc,knc->mk", probs, centred, centred) / len(labels)
        curvature += 1e-9 * np.eye(len(pool))
        free = (weights > LEAST_WEIGHT) | (gradient < 0)
        step = np.zeros_like(weights)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        moved = np.clip(weights - step, LEAST_WEIGHT, MOST_WEIGHT)
        if np.abs(moved - weights).max() < 1e-9:
            break
        weights = moved
    return tuple(round(float(weight), 4) for weight in weights)


def fit_temperature(log_probs: NDArray[np.floating], labels: NDArray[np.int8]) -> float:
    """Return the temperature under which the labels are likeliest, rounded to four digits."""
    [weight] = fit_weights([log_probs], labels)
    return round(1.0 / max(weight, 0.05), 4)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float64)
