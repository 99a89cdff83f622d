"""A square of a frame in grey, sampled without aliasing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sample_grey(
    image: NDArray[np.uint8], to_crop: NDArray[np.float64], side_px: int
) -> NDArray[np.uint8]:
    """Cut a square out of a frame, in grey.

    Args:
        image: Shape ``(height, width, 3)``, uint8, BGR.
        to_crop: Shape ``(2, 3)``: a similarity from pixels of the frame to those of the square.
        side_px: Side of the square.

    Returns:
        Shape ``(side_px, side_px)``, uint8. What lies outside the frame repeats its edge.
    """
    # Only the part that is needed is turned grey, and shrunk by area first where the face is
    # large: bilinear sampling alone would alias beyond a factor of two.
    height, width = image.shape[:2]
    left, top, right, bottom = _seen(to_crop, side_px, width, height)
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY)
    matrix = to_crop.copy()
    matrix[:, 2] += matrix[:, :2] @ (left, top)

    shrink = int(1 / max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6))
    if shrink >= 2:
        before = grey.shape
        grey = cv2.resize(
            grey,
            (max(1, before[1] // shrink), max(1, before[0] // shrink)),
            interpolation=cv2.INTER_AREA,
        )
        ratio = np.array([before[1] / grey.shape[1], before[0] / grey.shape[0]])
        matrix[:, 2] += matrix[:, :2] @ ((ratio - 1) / 2)  # centres of pixels stay centres
        matrix[:, :2] *= ratio
    crop = cv2.warpAffine(
        grey, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, dtype=np.uint8)


def _seen(
    to_crop: NDArray[np.float64], side_px: int, width: int, height: int
) -> tuple[int, int, int, int]:
    """Which part of the picture the crop shows: left, top, right and bottom, never empty.

    Args:
        to_crop: Shape ``(2, 3)``: a similarity.
        side_px: Side of the crop.
        width: Of the picture, pixels.
        height: Likewise.
    """
    (a, _, x), (b, _, y) = to_crop.tolist()
    power = max(a * a + b * b, 1e-12)
    xs, ys = [], []
    for u, v in ((0, 0), (side_px, 0), (0, side_px), (side_px, side_px)):
        xs.append((a * (u - x) + b * (v - y)) / power)
        ys.append((a * (v - y) - b * (u - x)) / power)
    left = min(max(math.floor(min(xs)) - 2, 0), width - 1)
    top = min(max(math.floor(min(ys)) - 2, 0), height - 1)
    right = min(max(math.ceil(max(xs)) + 2, left + 1), width)
    bottom = min(max(math.ceil(max(ys)) + 2, top + 1), height)
    return left, top, right, bottom
