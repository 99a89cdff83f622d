"""What MediaPipe's models saw of a face beyond the small network, kept for the looks to come.

The small network follows how a face moves, at a tenth of the price, and errs from person to
person. So MediaPipe's models look at the same region now and then, and the difference is added
until they look again. Both looks are compared inside the region, upright and of one size, so that
the difference holds when the head has moved on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.faces.small_face import LOG_FLOOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.faces.roi import Roi

LEAST_GAIN: Final = 0.3
"""Share of a new difference in the mean; the first ones count as much as all before them."""


class Correction:
    """The difference of one face; nothing is added before it was learned."""

    __slots__ = ("_count", "_levels", "_points")

    def __init__(self) -> None:
        self._count = 0
        self._points: NDArray[np.float32] | None = None
        self._levels: NDArray[np.float32] | None = None

    def learn(
        self,
        roi: Roi,
        small: tuple[NDArray[np.float32], NDArray[np.float32]],
        reference: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> None:
        """Take in one look of both.

        Args:
            roi: The region that both were shown.
            small: Landmarks ``(478, 3)`` in pixels of the frame and blendshapes ``(52,)`` of the
                small network.
            reference: Those of MediaPipe's models.
        """
        points = _inside(reference[0] - small[0], roi)
        levels = np.log(reference[1] + np.float32(LOG_FLOOR))
        levels = levels - np.log(small[1] + np.float32(LOG_FLOOR))
        self._count += 1
        if self._points is None or self._levels is None:
            self._points, self._levels = points, levels
            return
        gain = np.float32(max(1 / self._count, LEAST_GAIN))
        self._points = self._points + gain * (points - self._points)
        self._levels = self._levels + gain * (levels - self._levels)

    def apply(
        self, roi: Roi, points: NDArray[np.float32], blendshapes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the small network saw in ``roi`` with the difference added."""
        if self._points is None or self._levels is None:
            return points, blendshapes
        levels = np.log(blendshapes + np.float32(LOG_FLOOR)) + self._levels
        corrected = np.minimum(np.maximum(np.exp(levels) - np.float32(LOG_FLOOR), 0.0), 1.0)
        return points + _outside(self._points, roi), corrected


def _inside(off: NDArray[np.float32], roi: Roi) -> NDArray[np.float32]:
    """Differences in pixels of the frame as sides of the region along its own axes."""
    return _turned(off, -roi.angle) / np.float32(roi.width)


def _outside(off: NDArray[np.float32], roi: Roi) -> NDArray[np.float32]:
    return _turned(off, roi.angle) * np.float32(roi.width)


def _turned(off: NDArray[np.float32], angle: float) -> NDArray[np.float32]:
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    turned = off.copy()
    turned[:, 0] = cos * off[:, 0] - sin * off[:, 1]
    turned[:, 1] = sin * off[:, 0] + cos * off[:, 1]
    return turned
