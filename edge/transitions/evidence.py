"""What one frame says: calibrated class probabilities to log-likelihoods of each emotion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.transitions.parameters import TransitionParameters

FLOOR: Final = 2e-3
"""Added to every probability before its logarithm: below it a network's output is noise, which the
calibration matrix would blow up."""


class Emissions:
    """The emission model of the filter, for the emotions left after merging.

    A frame's calibrated posterior ``r`` gives the log-likelihood ``log(r / prior)``, the only part
    of it that is news. With probability ``outlier`` the frame shows nothing, so one frame never
    says more than about ``log(1 / outlier)``.
    """

    def __init__(self, parameters: TransitionParameters) -> None:
        self._matrix = np.array(parameters.calibration_matrix)
        self._bias = np.array(parameters.calibration_bias)
        classes = parameters.classes
        self._merging = np.zeros((len(classes), len(Emotion)))
        for emotion in Emotion:
            self._merging[classes.index(parameters.merge.get(emotion, emotion)), emotion] = 1
        self._merges = len(classes) < len(Emotion)
        self._prior = self._merging @ np.array(parameters.prior)
        self._kept = (1 - parameters.outlier) / self._prior
        self._outlier = parameters.outlier
        self._two_noise_times_s = 2 * parameters.noise_time_s

    def merged(self, probs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the emotions left after merging; shape ``(n,)``."""
        return self._merging @ probs if self._merges else probs.astype(np.float64)

    def log_likelihoods(self, probs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-likelihood of each emotion, nats, zero for a frame without news; shape ``(n,)``."""
        z = self._matrix @ np.log(probs + FLOOR) + self._bias
        r = np.exp(z - z.max())
        r /= r.sum()
        if self._merges:
            r = self._merging @ r
        evidence: NDArray[np.float64] = np.log(r * self._kept + self._outlier)
        return evidence

    def weight(self, dt_s: float) -> float:
        """Share of a frame that is new, ``dt_s`` after the one before; 0 to 1."""
        return math.tanh(dt_s / self._two_noise_times_s)
