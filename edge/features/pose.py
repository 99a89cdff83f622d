"""Which way a head points, from its dense landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Landmarks that move with the skull and little with the expression, person's right and left.
RIGHT: Final = np.array((33, 133, 127, 234, 162))
LEFT: Final = np.array((263, 362, 356, 454, 389))
FOREHEAD: Final = np.array((10, 151, 9))
UNDER_NOSE: Final = np.array((2, 164))
_USED: Final = np.concatenate((RIGHT, LEFT, FOREHEAD, UNDER_NOSE))
# Where each of them stands among those used.
_RIGHT, _LEFT, _FOREHEAD, _NOSE = slice(5), slice(5, 10), slice(10, 13), slice(13, 15)
DEPTH: Final = 0.8
"""The landmarks exaggerate depth by its inverse (against MediaPipe's rigid fit on six clips)."""
_DEPTH_ALONE: Final = np.array((1.0, 1.0, DEPTH), dtype=np.float32)
SLOPE_DEG: Final = -4.2
"""Slope of the line from forehead to nose in a head held level, found in the same comparison."""


def head_pose(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Read yaw, pitch and roll from dense landmarks.

    The head is turned by roll about the line of sight last, by yaw before, by pitch first.

    Args:
        points: Shape ``(..., 478, 3)``: MediaPipe's landmarks in pixels, x to the right, y down,
            z away from the camera in the same scale.

    Returns:
        Shape ``(..., 3)``, float32, degrees. Yaw is positive where the nose points to the
        picture's right, pitch where it points down, roll where the head leans clockwise.
    """
    # Only the landmarks that are read are touched: this runs for every face in every frame.
    used = points[..., _USED, :].astype(np.float32, copy=False) * _DEPTH_ALONE
    across = (used[..., _LEFT, :] - used[..., _RIGHT, :]).sum(axis=-2) / len(RIGHT)
    across = across / np.maximum(_length(across), 1e-6)
    down = used[..., _NOSE, :].sum(axis=-2) / len(UNDER_NOSE)
    down = down - used[..., _FOREHEAD, :].sum(axis=-2) / len(FOREHEAD)
    down = down - (down * across).sum(axis=-1, keepdims=True) * across
    down = down / np.maximum(_length(down), 1e-6)
    inward_z = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    yaw = np.arcsin(np.clip(across[..., 2], -1.0, 1.0))
    pitch = np.arctan2(down[..., 2], inward_z)
    roll = np.arctan2(across[..., 1], across[..., 0])
    pose = np.degrees(np.stack((yaw, pitch, roll), axis=-1))
    pose[..., 1] -= SLOPE_DEG
    return np.asarray(pose, dtype=np.float32)


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length: NDArray[np.float32] = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return length
