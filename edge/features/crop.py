"""The aligned grey crop: every face framed as the pictures the networks were trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.grey_crop import sample_grey
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
