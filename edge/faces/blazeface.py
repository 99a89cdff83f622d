"""The Face Landmarker's own detector (BlazeFace, short range), run directly: two metres at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.faces.landmarker import read_task
from edge.faces.tracker import Detection
from edge.litert import TFLiteModel
from edge.values import Box, frozen

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.faces.detector import Region

SIDE_PX: Final = 128
SCORE: Final = 0.5
OVERLAP: Final = 0.3
# Its box is brought to that of the dense landmarks: mean over six clips of six people.
WIDER: Final = 0.95
TALLER: Final = 1.14
BOX_UP: Final = 0.06
MOUTH_HALF: Final = 0.19
"""It finds the middle of the mouth only; the corners are put this share of the width beside it."""


def _anchors() -> NDArray[np.float32]:
    """Centres of the 896 anchors: two in each cell of 16 x 16, six in each of 8 x 8."""
    grids = []
    for cells, each in ((16, 2), (8, 6)):
        across = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(across, across)
        grids.append(np.repeat(np.stack((x, y), axis=-1).reshape(-1, 2), each, axis=0))
    return np.concatenate(grids)


class Blaze:
    """The detector inside ``face_landmarker.task``.

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
        self._model = TFLiteModel(read_task(task, "face_detector.tflite"), threads=threads)
        self._anchors = _anchors()
        self._input = np.empty((1, SIDE_PX, SIDE_PX, 3), dtype=np.float32)

    def search(self, image: NDArray[np.uint8], region: Region) -> list[Detection]:
        """Return the faces in ``region`` of a BGR picture; ``region.scale`` is not used."""
        side = max(region.width, region.height)
        left = region.x + (region.width - side) / 2
        upper = region.y + (region.height - side) / 2
        step = side / SIDE_PX
        matrix = np.array(((step, 0.0, left), (0.0, step, upper)))
        crop = cv2.warpAffine(
            image,
            matrix,
            (SIDE_PX, SIDE_PX),
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
        raw = places[0, found] / np.float32(SIDE_PX)
        raw[:, 0::2] += self._anchors[found, :1]
        raw[:, 1::2] += self._anchors[found, 1:]
        raw[:, 2:4] -= self._anchors[found]  # a size has no anchor
        return [
            _detection(
                np.average(raw[group], axis=0, weights=scores[group]) * side, left, upper, score
            )
            for group, score in _groups(raw, scores)
        ]


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


def _detection(raw: NDArray[np.float32], left: float, upper: float, score: float) -> Detection:
    """Turn centre, size and six points (eyes, nose, mouth, ears) into a detection."""
    x, y, width, height = raw[:4].tolist()
    right_eye, left_eye, nose, mouth = raw[4:12].reshape(4, 2)
    across = (left_eye - right_eye) / max(float(np.linalg.norm(left_eye - right_eye)), 1e-6)
    half = across * np.float32(MOUTH_HALF * width)
    keypoints = np.stack((right_eye, left_eye, nose, mouth - half, mouth + half))
    keypoints += np.array((left, upper), dtype=np.float32)
    y -= BOX_UP * height
    width, height = max(width * WIDER, 1.0), max(height * TALLER, 1.0)
    return Detection(
        box=Box(x=left + x - width / 2, y=upper + y - height / 2, width=width, height=height),
        keypoints=frozen(keypoints.astype(np.float32)),
        score=score,
    )
