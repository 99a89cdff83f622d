"""Fuses what several members say of a face: a weighted sum of log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class LogLinearPool:
    """The weighted sum of the members' log-probabilities for each face.

    Attributes:
        contributors: How many members had something to say of each face, ``(faces,)``.
    """

    def __init__(self, faces: int) -> None:
        self._sum = np.zeros((faces, len(Emotion)), np.float64)
        self._weight = np.zeros(faces, np.float64)
        self.contributors = np.zeros(faces, np.intp)

    def add(
        self, weight: float, log_probs: NDArray[np.float32] | Sequence[NDArray[np.float32] | None]
    ) -> None:
        """Take in one member's estimates, ``None`` for a face it knows nothing of."""
        rows: slice | list[int] = slice(None)
        if not isinstance(log_probs, np.ndarray):
            rows = [row for row, vote in enumerate(log_probs) if vote is not None]
            if not rows:
                return
            log_probs = np.stack([vote for vote in log_probs if vote is not None])
        self._sum[rows] += weight * log_probs
        self._weight[rows] += weight
        self.contributors[rows] += 1

    def probs(self, complete: int | None = None) -> NDArray[np.float32]:
        """Return the fused probabilities, ``(faces, len(Emotion))``, float32.

        Faces to which ``complete`` members contributed keep the weights as they are; for the others
        the weights of those that did are scaled to sum to one. A face nobody contributed to gets
        equal probabilities.
        """
        probs: NDArray[np.float32] = np.exp(self.log_probs(complete))
        return probs

    def log_probs(self, complete: int | None = None) -> NDArray[np.float32]:
        """Return the logarithms of `probs`."""
        whole = self.contributors == complete
        scale = np.where(whole | (self._weight == 0), 1.0, self._weight)
        fused = self._sum / scale[:, None]
        fused -= fused.max(axis=1, keepdims=True)
        fused -= np.log(np.exp(fused).sum(axis=1, keepdims=True))
        log_probs: NDArray[np.float32] = fused.astype(np.float32)
        return log_probs
