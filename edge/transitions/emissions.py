"""What one frame says: the sources' probabilities to one score for each emotion.

Three laws hold, whatever the parameters (``tests/edge/transitions/test_laws.py``):

- raising an emotion's probability never lowers its evidence against any other;
- an emotion to which every source gives at least .7, the prior divided out, leads;
- a probability below the floor adds nothing to what one at the floor says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.values import EvidenceSource
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.transitions.parameters import TransitionParameters

FLOOR: Final = 1e-3
"""Added to every probability before its logarithm: below it a network's output is noise."""
INFORMATIVE: Final = 0.1
"""Nats by which the surest source of a frame differs from knowing nothing, from which on the frame
counts in full. Networks give flat probabilities where they see no face; real faces give more than
this in nearly every frame."""


class EmissionModel:
    """Pools what is said of a face, for the emotions left after merging.

    The score of an emotion is the weighted mean over the sources of ``log p - tau log prior``,
    plus a constant of the emotion: prior division (logit adjustment, Menon et al. 2021) in a
    log-linear pool. While somebody talks, the weights move to those for speech, which trust the
    pictures of the mouth less.

    Several sets of parameters give a model of as many rows; it then takes arrays whose first axis
    is as long.
    """

    def __init__(self, parameters: Sequence[TransitionParameters]) -> None:
        first = parameters[0]
        self.classes = first.classes
        self._merging = np.zeros((len(Emotion), len(self.classes)))
        for emotion in Emotion:
            target = first.merge.get(emotion, emotion)
            self._merging[emotion, self.classes.index(target)] = 1
        self._merges = len(self.classes) < len(Emotion)
        self._weights = np.array([p.weights for p in parameters])
        self._talking_weights = np.array([p.talking_weights for p in parameters])
        priors = np.array([[p.ferplus_prior, p.fer2013_prior, p.ferplus_prior] for p in parameters])
        taus = np.array([p.tau for p in parameters])
        self._prior_scores = taus[:, None, None] * np.log(priors @ self._merging)
        bias = np.array([p.bias for p in parameters])
        counts = self._merging.sum(axis=0)
        self._bias = bias @ self._merging / counts

    def scores(
        self, log_probs: NDArray[np.floating], talking: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Score emotions by what was said of them.

        Args:
            log_probs: Shape ``(rows, ..., len(EvidenceSource), len(Emotion))``; a source that says
                nothing has NaN.
            talking: Shape ``(rows, ...)``, 0 to 1.

        Returns:
            Shape ``(rows, ..., len(classes))``, nats up to a constant; all zero where no source
            says anything.
        """
        probs = np.exp(log_probs, dtype=np.float64)
        if self._merges:
            probs = probs @ self._merging
        silent = np.isnan(probs[..., 0])
        extra = (1,) * (log_probs.ndim - 3)
        at_rest, in_speech, prior, bias = (
            array.reshape(array.shape[0], *extra, *array.shape[1:])
            for array in (self._weights, self._talking_weights, self._prior_scores, self._bias)
        )
        weights = at_rest + talking[..., None] * (in_speech - at_rest)
        weights = np.where(silent, 0.0, weights)
        total = weights.sum(axis=-1, keepdims=True)
        weights = weights / np.where(total > 0, total, 1.0)
        said = np.where(silent[..., None], 0.0, np.log(probs + FLOOR) - prior)
        pooled: NDArray[np.float64] = (weights[..., None] * said).sum(axis=-2)
        return np.where(total > 0, pooled + bias, 0.0)


def information(log_probs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of a frame that counts: 0 where no source says anything, 1 where one plainly does.

    Args:
        log_probs: Shape ``(..., len(EvidenceSource), len(Emotion))``.

    Returns:
        Shape ``(...)``.
    """
    probs = np.exp(log_probs, dtype=np.float64)
    says = np.log(len(Emotion)) + (probs * np.log(np.maximum(probs, 1e-12))).sum(axis=-1)
    most: NDArray[np.float64] = np.where(np.isnan(says), 0.0, says).max(axis=-1)
    return np.minimum(np.maximum(most / INFORMATIVE, 0.0), 1.0)


def sources_alone(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Write bare probabilities ``(..., 7)`` as the only source that says anything."""
    log_probs = np.full((*probs.shape[:-1], len(EvidenceSource), len(Emotion)), np.nan, np.float32)
    log_probs[..., EvidenceSource.FERPLUS, :] = np.log(np.maximum(probs, 1e-12))
    return log_probs
