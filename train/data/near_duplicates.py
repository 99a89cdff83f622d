"""Near-duplicate images across splits, found by a difference hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE: Final = 16
BITS: Final = 2 * SIDE * SIDE
NEAR: Final = 80
"""Differing bits of 512 up to which two images count as the same one.

Between the splits of FER2013 the counts have a gap there; by eye the pairs below it are the same
photograph, often cut or scaled otherwise.
"""


def difference_hash(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the signs of the grey slopes at 16x16, right and down.

    Args:
        crops: ``(n, height, width)``, uint8 grey.

    Returns:
        ``(n, 512)``, float32, each +1 or -1.
    """
    size = (SIDE + 1, SIDE + 1)
    small = np.stack([cv2.resize(crop, size, interpolation=cv2.INTER_AREA) for crop in crops])
    grey = small.astype(np.int16)
    right = grey[:, :-1, 1:] > grey[:, :-1, :-1]
    down = grey[:, 1:, :-1] > grey[:, :-1, :-1]
    bits = np.concatenate([right.reshape(len(crops), -1), down.reshape(len(crops), -1)], axis=1)
    return np.where(bits, np.float32(1), np.float32(-1))


def nearest(
    crops: NDArray[np.uint8], others: NDArray[np.uint8], *, block: int = 512
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Find for each crop the most similar of the others, mirror images included.

    Returns:
        Index into ``others`` and number of differing bits, both ``(n,)``.
    """
    known = difference_hash(others)
    index = np.zeros(len(crops), np.intp)
    best = np.full(len(crops), -np.inf, np.float32)
    for view in (crops, crops[:, :, ::-1]):
        asked = difference_hash(np.ascontiguousarray(view))
        for start in range(0, len(asked), block):
            rows = slice(start, start + block)
            alike = asked[rows] @ known.T
            found = alike.argmax(axis=1)
            score = alike[np.arange(len(found)), found]
            better = score > best[rows]
            index[rows] = np.where(better, found, index[rows])
            best[rows] = np.maximum(score, best[rows])
    return index, np.asarray((BITS - best) / 2, np.int32)


def fingerprint(crops: NDArray[np.uint8]) -> str:
    """Return a short name for these very images in this order."""
    return hashlib.sha256(np.ascontiguousarray(crops).tobytes()).hexdigest()[:12]


def near_duplicates(
    crops: NDArray[np.uint8], others: NDArray[np.uint8], limit: int = NEAR
) -> NDArray[np.bool_]:
    """Say which crops have a near-duplicate among the others, ``(n,)``."""
    return np.asarray(nearest(crops, others)[1] <= limit, np.bool_)
