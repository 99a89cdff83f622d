"""The aligned grey crop: every face framed as the pictures the networks were trained on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.values import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROP_PX: Final = 48

# Median place of MediaPipe's eye centres and mouth corners in the 48x48 pictures of FER2013's
# Training split (every ninth row up to 14,000, n = 1,368), made symmetric. The tip of the nose is
# left out: it moves most with head pose.
_CANONICAL: Final = np.array(
    [[15.2, 19.0], [32.6, 19.0], [16.7, 37.1], [31.1, 37.1]], dtype=np.float64
)
_USED: Final = np.array([0, 1, 3, 4])  # of Face.keypoints


def aligned_crop(image: NDArray[np.uint8], keypoints: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut one face out of a frame, upright and scaled as in FER2013.

    Args:
        image: Shape ``(height, width, 3)``, uint8, BGR.
        keypoints: Shape ``(5, 2)``, float32, pixels: right eye, left eye, nose, mouth corners.

    Returns:
        Shape ``(48, 48)``, uint8, grey, read-only. What lies outside the frame repeats its edge.
    """
    to_crop = similarity(keypoints[_USED].astype(np.float64), _CANONICAL)
    return frozen(sample_grey(image, to_crop, CROP_PX))


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


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares rotation, uniform scale and shift from one set of points to another.

    Args:
        source: Shape ``(n, 2)``, not all the same point.
        target: Shape ``(n, 2)``.

    Returns:
        Shape ``(2, 3)``: ``target ~ source @ m[:, :2].T + m[:, 2]`` (Umeyama 1991, in the plane
        without reflection).
    """
    # Plain numbers: for a handful of points they are ten times as fast as arrays.
    from_, to = source.tolist(), target.tolist()
    count = len(from_)
    from_x, from_y = (sum(column) / count for column in zip(*from_, strict=True))
    to_x, to_y = (sum(column) / count for column in zip(*to, strict=True))
    power = across = turned = 0.0
    for (sx, sy), (tx, ty) in zip(from_, to, strict=True):
        x, y, u, v = sx - from_x, sy - from_y, tx - to_x, ty - to_y
        power += x * x + y * y
        across += x * u + y * v
        turned += x * v - y * u
    power = max(power, 1e-9)
    a, b = across / power, turned / power
    return np.array(
        [[a, -b, to_x - a * from_x + b * from_y], [b, a, to_y - b * from_x - a * from_y]]
    )


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
