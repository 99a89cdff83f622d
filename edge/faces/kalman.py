"""Where a face will be: a Kalman filter of one box, in units of the face's own size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from edge.values import Box

DAMPING_S: Final = 1.5
"""Time in which a head's speed falls to a third when nothing is seen of it."""
PROCESS_NOISE: Final = 1.0
"""Power of the random acceleration, face sizes squared per second cubed."""
FIRST_SPEED: Final = 1.5
"""Spread of the speed of a face just found, face sizes per second."""
JITTER: Final = 0.07
"""Spread of a detector's box, face sizes."""
JITTER_PX: Final = 0.7
"""What the pixel raster adds to it, pixels."""
SHAPE_GAIN: Final = 0.35
"""Share of a measured size and proportion that is taken over at once."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where a box is expected.

    Attributes:
        x, y: Centre, pixels.
        size: Square root of the area, pixels.
        variance: Of the centre along each axis, face sizes squared.
    """

    x: float
    y: float
    size: float
    variance: float


class KalmanFilter:
    """Centre, speed and size of one face; damped constant speed between measurements.

    Both axes share one covariance, kept in units of the face size, so that near and far faces
    behave alike and a step costs the same few operations for each face.
    """

    __slots__ = (
        "_box",
        "_estimate",
        "_predicted_s",
        "at_s",
        "p00",
        "p01",
        "p11",
        "proportion",
        "size",
        "vx",
        "vy",
        "x",
        "y",
    )

    def __init__(self, box: Box, measured_s: float) -> None:
        self.x, self.y = box.centre
        self.vx = self.vy = 0.0
        self.size = math.sqrt(box.width * box.height)
        self.proportion = box.width / box.height
        self.at_s = measured_s
        self.p00 = _noise(self.size)
        self.p01 = 0.0
        self.p11 = FIRST_SPEED**2
        self._predicted_s = -math.inf
        self._estimate: Estimate | None = None
        self._box: Box | None = None

    def predict(self, now_s: float) -> Estimate:
        """Expect the box at ``now_s``, before or after the last measurement."""
        # Every stage of a frame asks for the same moment.
        if self._estimate is None or now_s != self._predicted_s:
            self._estimate, self._box, self._predicted_s = self._predict(now_s), None, now_s
        return self._estimate

    def _predict(self, now_s: float) -> Estimate:
        step = now_s - self.at_s
        if step <= 0:
            return Estimate(
                self.x + self.vx * step, self.y + self.vy * step, self.size, self.p00 + step**2
            )
        reach = DAMPING_S * (1.0 - math.exp(-step / DAMPING_S))
        variance = self.p00 + 2 * reach * self.p01 + reach * reach * self.p11
        variance += PROCESS_NOISE * step**3 / 3
        return Estimate(self.x + self.vx * reach, self.y + self.vy * reach, self.size, variance)

    def box(self, now_s: float) -> Box:
        """The expected box at ``now_s``."""
        estimate = self.predict(now_s)
        if self._box is None:
            width = estimate.size * math.sqrt(self.proportion)
            height = estimate.size * estimate.size / width
            self._box = Box(
                x=estimate.x - width / 2, y=estimate.y - height / 2, width=width, height=height
            )
        return self._box

    def innovation(self, size: float) -> float:
        """Variance that a measured box of ``size`` pixels adds, face sizes squared."""
        return _noise(size)

    def correct(self, box: Box, measured_s: float) -> None:
        """Take in a measured box; one older than the newest shifts the present state."""
        seen_x, seen_y = box.centre
        estimate = self.predict(measured_s)
        self._estimate = None
        self._advance(measured_s)
        noise = _noise(self.size)
        gain = self.p00 / (self.p00 + noise)
        speed_gain = self.p01 / (self.p00 + noise)
        off_x, off_y = seen_x - estimate.x, seen_y - estimate.y
        self.x += gain * off_x
        self.y += gain * off_y
        self.vx += speed_gain * off_x
        self.vy += speed_gain * off_y
        self.p11 -= speed_gain * self.p01
        self.p01 *= 1.0 - gain
        self.p00 *= 1.0 - gain
        seen_size = math.sqrt(box.width * box.height)
        self.size += SHAPE_GAIN * (seen_size - self.size)
        self.proportion += SHAPE_GAIN * (box.width / box.height - self.proportion)

    def _advance(self, to_s: float) -> None:
        """Move the state itself forward; never backward."""
        step = to_s - self.at_s
        if step <= 0:
            return
        kept = math.exp(-step / DAMPING_S)
        reach = DAMPING_S * (1.0 - kept)
        self.x += self.vx * reach
        self.y += self.vy * reach
        self.vx *= kept
        self.vy *= kept
        self.p00 += 2 * reach * self.p01 + reach * reach * self.p11 + PROCESS_NOISE * step**3 / 3
        self.p01 = kept * (self.p01 + reach * self.p11) + PROCESS_NOISE * step**2 / 2
        self.p11 = kept * kept * self.p11 + PROCESS_NOISE * step
        self.at_s = to_s


def _noise(size: float) -> float:
    return JITTER**2 + (JITTER_PX / size) ** 2
