"""The upright, rotated square that the landmark model looks at, by MediaPipe's rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.faces.mesh import mesh_corners

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN: Final = 1.5
"""Side of the region over the longer side of the landmarks' box."""
RIGHT_EYE: Final = 33
LEFT_EYE: Final = 263
# Region of a face known by its five keypoints only, in units of the mean of the distance between
# the eyes and from eyes to mouth: mean over six clips of six people, of the regions by landmarks.
KEYPOINT_SIDE: Final = 3.9
KEYPOINT_DOWN: Final = 0.39


@dataclass(frozen=True, slots=True)
class Roi:
    """A rotated rectangle in pixels of the frame.

    Attributes:
        x, y: Centre.
        width, height: Sides along the face's own axes.
        angle: Clockwise turn in the picture, radians.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float

    def moved(self, off_x: float, off_y: float, scale: float) -> Roi:
        """The region of a face that has since moved and come nearer or gone farther."""
        return Roi(
            self.x + off_x, self.y + off_y, self.width * scale, self.height * scale, self.angle
        )

    def matrix(self, side_px: int) -> NDArray[np.float64]:
        """Map pixels of a square crop with ``side_px`` to the frame: shape ``(2, 3)``."""
        across, down = self.width / side_px, self.height / side_px
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        half = side_px / 2
        return np.array(
            (
                (
                    cos * across,
                    -sin * down,
                    self.x - half * (cos * across - sin * down),
                ),
                (
                    sin * across,
                    cos * down,
                    self.y - half * (sin * across + cos * down),
                ),
            )
        )

    def to_crop(self, side_px: int) -> NDArray[np.float64]:
        """Map pixels of the frame to those of a square crop with ``side_px``: the other way."""
        across, down = side_px / self.width, side_px / self.height
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        half = side_px / 2
        return np.array(
            (
                (cos * across, sin * across, half - (cos * self.x + sin * self.y) * across),
                (-sin * down, cos * down, half - (cos * self.y - sin * self.x) * down),
            )
        )


def roi_of_landmarks(points: NDArray[np.float32]) -> Roi:
    """Where to look for a face next, from its landmarks now: shape ``(478, 3)``, pixels."""
    (left, upper), (right, lower) = (corner.tolist() for corner in mesh_corners(points))
    (x0, y0), (x1, y1) = points[(RIGHT_EYE, LEFT_EYE), :2].tolist()
    side = MARGIN * max(right - left, lower - upper, 1.0)
    angle = math.atan2(y1 - y0, x1 - x0)
    return Roi((left + right) / 2, (upper + lower) / 2, side, side, angle)


def roi_of_keypoints(keypoints: NDArray[np.float32]) -> Roi:
    """Where to look for a face of which only the five keypoints are known: shape ``(5, 2)``."""
    right, left, _, mouth_right, mouth_left = keypoints.astype(np.float64)
    eyes, mouth = (right + left) / 2, (mouth_right + mouth_left) / 2
    across, down = left - right, mouth - eyes
    unit = max((math.hypot(*across) + math.hypot(*down)) / 2, 1.0)
    angle = math.atan2(across[1], across[0])
    x, y = eyes + KEYPOINT_DOWN * unit * np.array((-math.sin(angle), math.cos(angle)))
    side = KEYPOINT_SIDE * unit
    return Roi(float(x), float(y), side, side, angle)
