"""How far probabilities can be trusted: one temperature, expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from train.experiments.score import softmax, vote_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fit_temperature(
    logits: NDArray[np.floating], votes: NDArray[np.floating], trust: NDArray[np.floating]
) -> float:
    """Return the divisor of the logits with the least cross entropy against the votes."""
    found = minimize_scalar(
        lambda log_t: vote_loss(logits / np.exp(log_t), votes, trust),
        bounds=(-2.0, 2.0),
        method="bounded",
    )
    return float(np.exp(found.x))


def calibration_error(
    logits: NDArray[np.floating], votes: NDArray[np.floating], bins: int = 15
) -> float:
    """Return the expected calibration error against the votes.

    The confidence of the top class is compared with the share of the votes it got, in bins of
    equal width (Guo et al., 2017, with votes in place of a single label).
    """
    probs = softmax(logits)
    top = probs.argmax(axis=1)
    rows = np.arange(len(top))
    confidence, agreed = probs[rows, top], votes[rows, top]
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for one in range(bins):
        inside = which == one
        if inside.any():
            gap = abs(float(confidence[inside].mean() - agreed[inside].mean()))
            error += gap * float(inside.mean())
    return error
