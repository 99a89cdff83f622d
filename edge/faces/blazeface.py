"""MediaPipe's BlazeFace detectors, run directly.

Short range lies in the Face Landmarker's task and sees two metres. Full range is a file of its own;
it looks at the picture in overlapping windows, so that it sees a class where YuNet is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.faces.landmarker import read_task
from edge.faces.tracker import Detection
from edge.litert import TFLiteModel
from edge.values import Box, frozen
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.faces.detector import Region

SCORE: Final = 0.5
OVERLAP: Final = 0.3
MOUTH_HALF: Final = 0.19
"""It finds the middle of the mouth only; the corners are put this share of the width beside it."""
WINDOW_OVERLAP_PX: Final = 32
"""Overlap of the full-range detector's windows, pixels of its input: a face that is cut by one is
whole enough in the next, up to twice this width. Wider faces show in the look at the whole
frame."""
SAME_FACE: Final = 0.5
"""Share of the smaller box that two windows' boxes of one face have in common at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How one of these networks differs from another.

    Attributes:
        side_px: Side of its square input.
        grids: Cells across its output, and anchors in each cell.
        wider, taller, box_up: Bring its box to that of the dense landmarks.
    """

    side_px: int
    grids: tuple[tuple[int, int], ...]
    wider: float
    taller: float
    box_up: float


# Means over six clips of six people.
SHORT: Final = _Shape(side_px=128, grids=((16, 2), (8, 6)), wider=0.95, taller=1.14, box_up=0.06)
FULL: Final = _Shape(side_px=192, grids=((48, 1),), wider=0.90, taller=1.065, box_up=0.01)


class _Network:
    """One of the networks, asked about one square of a picture at a time."""

    def __init__(self, model: bytes | Path, shape: _Shape, *, threads: int) -> None:
        self._model = TFLiteModel(model, threads=threads)
        self._shape = shape
        self._anchors = _anchors(shape.grids)
        self._input = np.empty((1, shape.side_px, shape.side_px, 3), dtype=np.float32)

    def search(
        self, image: NDArray[np.uint8], left: float, upper: float, side: float
    ) -> list[Detection]:
        """Return the faces in the square with this corner and side, pixels of the BGR picture.

        What of the square lies outside the picture is black.
        """
        side_px = self._shape.side_px
        step = side / side_px
        matrix = np.array(((step, 0.0, left), (0.0, step, upper)))
        crop = cv2.warpAffine(
            image,
            matrix,
            (side_px, side_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
        crop = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
        np.multiply(crop, np.float32(2 / 255), out=self._input[0])
        self._input -= np.float32(1.0)
        places, logits = self._model.run({0: self._input})
        logits = logits.reshape(-1)
        found = np.flatnonzero(logits > np.log(SCORE / (1 - SCORE)))
        if not len(found):
            return []
        scores = 1.0 / (1.0 + np.exp(-logits[found]))
        raw = places[0, found] / np.float32(side_px)
        raw[:, 0::2] += self._anchors[found, :1]
        raw[:, 1::2] += self._anchors[found, 1:]
        raw[:, 2:4] -= self._anchors[found]  # a size has no anchor
        return [
            _detection(
                np.average(raw[group], axis=0, weights=scores[group]).astype(np.float32)
                * np.float32(side),
                corner=(left, upper),
                score=score,
                shape=self._shape,
            )
            for group, score in _groups(raw, scores)
        ]


class ShortRangeBlazeFace:
    """The detector inside ``face_landmarker.task``: two metres at most.

    Args:
        task: Path of the bundle.
        threads: Threads the model may use.

    Raises:
        InputError: The bundle is missing or damaged.
    """

    smallest_px: float = 20.0
    tiled = False
    name = "blazeface short range"

    def __init__(self, task: Path, *, threads: int = 1) -> None:
        self._network = _Network(read_task(task, "face_detector.tflite"), SHORT, threads=threads)

    def search(self, image: NDArray[np.uint8], region: Region) -> list[Detection]:
        """Return the faces in ``region`` of a BGR picture; ``region.scale`` is not used."""
        return self._network.search(image, *_square(region))


class FullRangeBlazeFace:
    """The full-range detector, in overlapping windows of its input's size.

    Args:
        model: Path of ``face_detection_full_range_sparse.tflite``.
        threads: Threads the model may use.

    Raises:
        InputError: The file is missing.
        BundleError: It is not a model.
    """

    smallest_px: float = 16.0
    tiled = True
    name = "blazeface full range"

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        if not model.is_file():
            raise InputError(f"{model}: no such file; fetch it with: edge assets fetch")
        self._network = _Network(model, FULL, threads=threads)

    def search(self, image: NDArray[np.uint8], region: Region) -> list[Detection]:
        """Return the faces in ``region`` of a BGR picture."""
        found: list[Detection] = []
        if (region.height, region.width) == image.shape[:2]:
            found = self._network.search(image, *_square(region))
        for left, upper, side in windows(region):
            found += self._network.search(image, left, upper, side)
        return _without_duplicates(found)


def windows(region: Region) -> list[tuple[float, float, float]]:
    """Cover a region with overlapping squares of the full-range detector's input.

    Returns:
        Left, upper and side of each, pixels of the frame; none where the look at the whole region
        shows it as large. The scale may shrink by a tenth to save a row or column.
    """
    side, overlap = FULL.side_px / region.scale, WINDOW_OVERLAP_PX / region.scale
    if side * 1.1 >= max(region.width, region.height):
        return [_square(region)]
    counts = [
        max(1, math.ceil((length - overlap) / (side - overlap) - 0.1))
        for length in (region.width, region.height)
    ]
    spans = [
        (length + overlap * (count - 1)) / count
        for length, count in zip((region.width, region.height), counts, strict=True)
    ]
    side = max(side, *spans, 1.0)  # a single window too is as long as what it covers
    lefts, uppers = (
        [start + i * (length - side) / max(count - 1, 1) for i in range(count)]
        for start, length, count in (
            (region.x, region.width, counts[0]),
            (region.y, region.height, counts[1]),
        )
    )
    return [(left, upper, side) for upper in uppers for left in lefts]


def _square(region: Region) -> tuple[float, float, float]:
    """Left, upper and side of the smallest square around a region, with the same middle."""
    side = max(region.width, region.height)
    return (
        region.x + (region.width - side) / 2,
        region.y + (region.height - side) / 2,
        float(side),
    )


def _without_duplicates(found: list[Detection]) -> list[Detection]:
    """Keep the surest detection of each face that several windows show."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda d: -d.score):
        if all(_share(one.box, other.box) < SAME_FACE for other in kept):
            kept.append(one)
    return kept


def _share(one: Box, other: Box) -> float:
    """Intersection of two boxes over the smaller of them."""
    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / min(one.width * one.height, other.width * other.height)


def _anchors(grids: tuple[tuple[int, int], ...]) -> NDArray[np.float32]:
    """Centres of the anchors, shape ``(n, 2)``, 0 to 1: so many in each cell of each grid."""
    centres = []
    for cells, each in grids:
        across = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(across, across)
        centres.append(np.repeat(np.stack((x, y), axis=-1).reshape(-1, 2), each, axis=0))
    return np.concatenate(centres)


def _groups(
    raw: NDArray[np.float32], scores: NDArray[np.float32]
) -> list[tuple[NDArray[np.intp], float]]:
    """Gather overlapping candidates, best first, as MediaPipe's weighted suppression does."""
    corners = np.concatenate((raw[:, :2] - raw[:, 2:4] / 2, raw[:, :2] + raw[:, 2:4] / 2), axis=1)
    area = raw[:, 2] * raw[:, 3]
    left = np.argsort(-scores)
    groups = []
    while len(left):
        best = left[0]
        low = np.maximum(corners[best, :2], corners[left, :2])
        high = np.minimum(corners[best, 2:], corners[left, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        together = shared / (area[best] + area[left] - shared) > OVERLAP
        together[0] = True
        groups.append((left[together], float(scores[best])))
        left = left[~together]
    return groups


def _detection(
    raw: NDArray[np.float32], *, corner: tuple[float, float], score: float, shape: _Shape
) -> Detection:
    """Turn centre, size and six points (eyes, nose, mouth, ears) into a detection."""
    x, y, width, height = raw[:4].tolist()
    left, upper = corner
    right_eye, left_eye, nose, mouth = raw[4:12].reshape(4, 2)
    across = (left_eye - right_eye) / max(float(np.linalg.norm(left_eye - right_eye)), 1e-6)
    half = across * np.float32(MOUTH_HALF * width)
    keypoints = np.stack((right_eye, left_eye, nose, mouth - half, mouth + half))
    keypoints += np.array(corner, dtype=np.float32)
    y -= shape.box_up * height
    width, height = max(width * shape.wider, 1.0), max(height * shape.taller, 1.0)
    return Detection(
        box=Box(x=left + x - width / 2, y=upper + y - height / 2, width=width, height=height),
        keypoints=frozen(keypoints.astype(np.float32)),
        score=score,
    )
