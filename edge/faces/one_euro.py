"""Smoothing landmarks over time: the one-euro filter (Casiez, Roussel, Vogel, CHI 2012)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.faces.mesh import mesh_corners

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_CUTOFF_HZ: Final = 0.05
BETA: Final = 80.0
SPEED_CUTOFF_HZ: Final = 1.0
"""MediaPipe's settings for a single face; here every face gets them."""


class OneEuro:
    """Filter of one face's landmarks: steady while it rests, prompt while it moves."""

    __slots__ = ("_at_s", "_raw", "_smooth", "_speed")

    def __init__(self) -> None:
        self._at_s = -math.inf
        self._raw: NDArray[np.float32] | None = None
        self._smooth: NDArray[np.float32] | None = None
        self._speed: NDArray[np.float32] | None = None

    def apply(self, points: NDArray[np.float32], measured_s: float) -> NDArray[np.float32]:
        """Smooth the next landmarks.

        Args:
            points: Shape ``(478, 3)``, float32, pixels; kept, so not to be written later.
            measured_s: When they were measured; must be later than the last.

        Returns:
            Smoothed landmarks of the same shape, not to be written.
        """
        step = measured_s - self._at_s
        if self._raw is None or self._smooth is None or self._speed is None or step <= 0:
            self._raw = self._smooth = points
            self._speed, self._at_s = np.zeros_like(points), measured_s
            return points
        corner, opposite = mesh_corners(points)
        spread = opposite - corner
        size = max(float(spread[0] + spread[1]) / 2, 1e-6)
        speed_share = np.float32(_share(SPEED_CUTOFF_HZ, step))
        speed = (points - self._raw) * np.float32(1.0 / (size * step))
        self._speed += speed_share * (speed - self._speed)
        # share = 1 / (1 + 1 / (2 pi cutoff step)), for each coordinate
        turns = np.abs(self._speed)
        turns *= np.float32(BETA)
        turns += np.float32(MIN_CUTOFF_HZ)
        turns *= np.float32(2 * math.pi * step)
        share = turns / (turns + np.float32(1.0))
        self._smooth = self._smooth + share * (points - self._smooth)
        self._raw, self._at_s = points, measured_s
        return self._smooth


def _share(cutoff_hz: float, step_s: float) -> float:
    """Weight of the newest value in a low-pass filter of ``cutoff_hz``."""
    turns = 2 * math.pi * cutoff_hz * step_s
    return turns / (1.0 + turns)
