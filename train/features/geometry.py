"""Where the parts of a face lie in a frame of its own, so that pose and place are taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.features.pose import DEPTH, FOREHEAD, LEFT, RIGHT, UNDER_NOSE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Landmarks of brows, lids, nose, cheeks and lips that mirror each other, person's right and left.
PAIRS: Final = np.array(
    [
        *[(46, 276), (53, 283), (52, 282), (65, 295), (55, 285), (70, 300), (63, 293), (105, 334)],
        *[(66, 296), (107, 336), (33, 263), (7, 249), (163, 390), (144, 373), (145, 374)],
        *[(153, 380), (154, 381), (155, 382), (133, 362), (246, 466), (161, 388), (160, 387)],
        *[(159, 386), (158, 385), (157, 384), (173, 398), (98, 327), (129, 358), (64, 294)],
        *[(50, 280), (205, 425), (206, 426), (148, 377), (61, 291), (146, 375), (91, 321)],
        *[(181, 405), (84, 314), (185, 409), (40, 270), (39, 269), (37, 267), (78, 308)],
        *[(95, 324), (88, 318), (178, 402), (87, 317), (191, 415), (80, 310), (81, 311)],
        *[(82, 312), (468, 473)],
    ]
)
MIDDLE: Final = np.array((8, 9, 1, 2, 0, 13, 14, 17, 199, 152))
_FLIP_X: Final = np.array((-1.0, 1.0, 1.0), np.float32)
WIDTH: Final = 3 * (2 * len(PAIRS) + len(MIDDLE))


def geometry(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return pairs' means, pairs' differences and the middle line, in eye distances.

    Args:
        points: ``(n, 478, 3)``, pixels, as MediaPipe gives them.

    Returns:
        ``(n, WIDTH)``, float32. x runs across the face, y down it, z into it; a pair's mean is
        that of its left point and of its right one mirrored.
    """
    shape = points.astype(np.float32) * np.array((1.0, 1.0, DEPTH), np.float32)
    eyes = shape[:, [33, 133, 362, 263]].mean(axis=1)
    across = _unit(shape[:, LEFT].mean(axis=1) - shape[:, RIGHT].mean(axis=1))
    down = shape[:, UNDER_NOSE].mean(axis=1) - shape[:, FOREHEAD].mean(axis=1)
    down = _unit(down - (down * across).sum(axis=1, keepdims=True) * across)
    axes = np.stack([across, down, np.cross(across, down)], axis=2)
    scale = np.linalg.norm(shape[:, 263] - shape[:, 33], axis=1)[:, None, None]
    own = (shape - eyes[:, None]) @ axes / np.maximum(scale, 1e-6)
    right, left = own[:, PAIRS[:, 0]] * _FLIP_X, own[:, PAIRS[:, 1]]
    parts = [(left + right) / 2, left - right, own[:, MIDDLE]]
    return np.asarray(np.concatenate(parts, axis=1).reshape(len(points), -1), np.float32)


def mirrored_geometry(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the geometry ``(n, WIDTH)`` of the mirrored face."""
    signs = np.ones((WIDTH // 3, 3), np.float32)
    signs[len(PAIRS) : 2 * len(PAIRS)] = -1.0
    signs[2 * len(PAIRS) :] = _FLIP_X
    return np.asarray(values * signs.ravel(), np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)
