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
    # Plain numbers: for a matrix of six they are several times as fast as arrays.
    (a, b, x), (c, d, y) = to_crop.tolist()
    x, y = x + a * left + b * top, y + c * left + d * top

    shrink = int(1 / max(math.hypot(a, c), 1e-6))
    if shrink >= 2:
        high, wide = grey.shape
        grey = cv2.resize(
            grey,
            (max(1, wide // shrink), max(1, high // shrink)),
            interpolation=cv2.INTER_AREA,
        )
        across, down = wide / grey.shape[1], high / grey.shape[0]
        off_x, off_y = (across - 1) / 2, (down - 1) / 2  # centres of pixels stay centres
        x, y = x + a * off_x + b * off_y, y + c * off_x + d * off_y
        a, b, c, d = a * across, b * down, c * across, d * down
    crop = cv2.warpAffine(
        grey,
        np.array(((a, b, x), (c, d, y))),
        (side_px, side_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
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
    # In the frame a corner (u, v) is a (u - x) + b (v - y) across and a (v - y) - b (u - x) down.
    ends_u, ends_v = (-x, side_px - x), (-y, side_px - y)
    across, across_too = sorted(a * u for u in ends_u), sorted(b * v for v in ends_v)
    down, down_too = sorted(a * v for v in ends_v), sorted(-b * u for u in ends_u)
    left = min(max(math.floor((across[0] + across_too[0]) / power) - 2, 0), width - 1)
    top = min(max(math.floor((down[0] + down_too[0]) / power) - 2, 0), height - 1)
    right = min(max(math.ceil((across[1] + across_too[1]) / power) + 2, left + 1), width)
    bottom = min(max(math.ceil((down[1] + down_too[1]) / power) + 2, top + 1), height)
    return left, top, right, bottom
