"""The hidden Markov filter: how belief in each emotion moves with time and with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.transitions.parameters import TransitionParameters


class Chain:
    """A Markov chain in continuous time over the emotions left after merging.

    An emotion ends within ``dt`` with probability ``1 - exp(-rate dt)`` and is then followed by
    another one of its row of destinations, at most one change per frame.
    """

    def __init__(self, parameters: TransitionParameters) -> None:
        classes = parameters.classes
        n = len(classes)
        share = np.array(parameters.start)
        into = np.zeros((len(Emotion), n))
        for emotion in Emotion:
            into[emotion, classes.index(parameters.merge.get(emotion, emotion))] = 1
        self.start: NDArray[np.float64] = share @ into
        rates = np.array(parameters.rates_per_s)[:, None] * np.array(parameters.destinations)
        flows = (into * share[:, None]).T @ rates @ into / self.start[:, None]
        np.fill_diagonal(flows, 0.0)  # a change within a merged emotion is none
        totals = flows.sum(axis=1)
        self._minus_rates = -totals
        self._destinations = flows / np.where(totals > 0, totals, 1.0)[:, None]

    def predict(self, belief: NDArray[np.float64], dt_s: float) -> NDArray[np.float64]:
        """Belief ``dt_s`` later, before anything new is seen; shape ``(n,)``, sums to 1."""
        ending = belief * -np.expm1(self._minus_rates * dt_s)
        moved: NDArray[np.float64] = belief - ending + ending @ self._destinations
        return moved


def update(belief: NDArray[np.float64], evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Belief after seeing ``evidence`` (log-likelihoods, nats); shape ``(n,)``, sums to 1."""
    posterior: NDArray[np.float64] = belief * np.exp(evidence - evidence.max()) + 1e-12
    posterior /= posterior.sum()
    return posterior
