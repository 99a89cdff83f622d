"""The dense landmarks' numbering, as far as finding faces needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.values import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS: Final = 478
BLENDSHAPES: Final = 52
# The person's right eye (both corners), left eye, tip of the nose, corners of the mouth.
_KEYPOINTS: Final = np.array(((33, 133), (263, 362), (1, 1), (61, 61), (291, 291)))


def mesh_keypoints(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce landmarks of shape ``(478, 3)`` to the five keypoints of a face: ``(5, 2)``."""
    return np.asarray(points[_KEYPOINTS, :2].mean(axis=1), dtype=np.float32)


def mesh_box(points: NDArray[np.float32]) -> Box:
    """The upright rectangle around landmarks of shape ``(478, 3)``."""
    left, upper = points[:, :2].min(axis=0).tolist()
    right, lower = points[:, :2].max(axis=0).tolist()
    return Box(x=left, y=upper, width=max(right - left, 1.0), height=max(lower - upper, 1.0))
