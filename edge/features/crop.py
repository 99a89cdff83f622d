"""The aligned grey crop: every face framed as the pictures the networks were trained on."""

from __future__ import annotations

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
    # Only the part that is needed is turned grey, and shrunk by area first where the face is
    # large: bilinear sampling alone would alias beyond a factor of two.
    corners = np.array([[0, 0, 1], [CROP_PX, 0, 1], [0, CROP_PX, 1], [CROP_PX, CROP_PX, 1]])
    back = cv2.invertAffineTransform(to_crop)
    inside = corners @ back.T
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(inside.min(axis=0)).astype(int) - 2, 0, (width - 1, height - 1))
    right, bottom = np.clip(
        np.ceil(inside.max(axis=0)).astype(int) + 2, (left + 1, top + 1), (width, height)
    )
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY)
    to_crop[:, 2] += to_crop[:, :2] @ (left, top)

    shrink = int(1 / max(float(np.hypot(to_crop[0, 0], to_crop[1, 0])), 1e-6))
    if shrink >= 2:
        before = grey.shape
        grey = cv2.resize(
            grey,
            (max(1, before[1] // shrink), max(1, before[0] // shrink)),
            interpolation=cv2.INTER_AREA,
        )
        ratio = np.array([before[1] / grey.shape[1], before[0] / grey.shape[0]])
        to_crop[:, 2] += to_crop[:, :2] @ ((ratio - 1) / 2)  # centres of pixels stay centres
        to_crop[:, :2] *= ratio
    crop = cv2.warpAffine(
        grey, to_crop, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return frozen(np.asarray(crop, dtype=np.uint8))


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares rotation, uniform scale and shift from one set of points to another.

    Args:
        source: Shape ``(n, 2)``, not all the same point.
        target: Shape ``(n, 2)``.

    Returns:
        Shape ``(2, 3)``: ``target ~ source @ m[:, :2].T + m[:, 2]`` (Umeyama 1991, in the plane
        without reflection).
    """
    mean_s, mean_t = source.mean(axis=0), target.mean(axis=0)
    s, t = source - mean_s, target - mean_t
    power = max(float((s * s).sum()), 1e-9)
    a = float((s * t).sum()) / power
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / power
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, mean_t - turn @ mean_s])
