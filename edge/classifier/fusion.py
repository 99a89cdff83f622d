"""How the members' answers become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Votes:
    """The weighted sum of the members' log-probabilities for each face.

    Attributes:
        heard: How many members had something to say of each face, ``(faces,)``.
    """

    def __init__(self, faces: int) -> None:
        self._sum = np.zeros((faces, len(Emotion)), np.float64)
        self._weight = np.zeros(faces, np.float64)
        self.heard = np.zeros(faces, np.intp)

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
        self.heard[rows] += 1

    def probs(self, complete: int | None = None) -> NDArray[np.float32]:
        """Return the fused probabilities, ``(faces, len(Emotion))``, float32.

        Faces of which ``complete`` members were heard keep the weights as they are; for the others
        the weights that were heard are scaled to sum to one. A face nobody was heard of gets equal
        probabilities.
        """
        whole = self.heard == complete
        scale = np.where(whole | (self._weight == 0), 1.0, self._weight)
        fused = self._sum / scale[:, None]
        fused = np.exp(fused - fused.max(axis=1, keepdims=True))
        probs: NDArray[np.float32] = (fused / fused.sum(axis=1, keepdims=True)).astype(np.float32)
        return probs
