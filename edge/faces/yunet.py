"""The YuNet face detector (Wu, Peng, Yu, MIR 2023) through OpenCV; the only module naming it."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.faces.tracker import Detection
from edge.values import Box, frozen
from emoshift.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.faces.detector import Region

SCORE: Final = 0.3
"""Faint faces are returned too; the tracker lets them continue a track only."""
OVERLAP: Final = 0.3
MOST: Final = 400
"""Candidates kept before duplicates are removed."""
# YuNet's box reaches higher than the dense landmarks' box, and its points lie a little higher:
# mean over six clips of six people, so that either way of seeing a face places it alike.
WIDER: Final = 1.02
LOWER: Final = 0.91
BOX_DOWN: Final = 0.055
POINTS_DOWN: Final = 0.025


class YuNet:
    """YuNet at any input size: one network, whose working memory is that of the present size.

    Args:
        model: Path of the ONNX file with a symbolic input size.

    Raises:
        InputError: The file is missing, or not a model OpenCV can load.
        UnavailableError: This OpenCV has no ``FaceDetectorYN``.
    """

    smallest_px: float = 10.0
    tiled = True
    name = "yunet"

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise InputError(f"{model}: no such file; fetch it with: edge assets fetch")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise UnavailableError("this OpenCV has no FaceDetectorYN: install 4.10 or later")
        try:
            with _quiet():
                self._network = cv2.FaceDetectorYN.create(
                    str(model), "", (320, 192), SCORE, OVERLAP, MOST
                )
        except cv2.error as why:
            raise InputError(
                f"{model}: not a model OpenCV {cv2.__version__} can load: {why}"
            ) from why

    def search(self, image: NDArray[np.uint8], region: Region) -> list[Detection]:
        """Return the faces in ``region`` of a BGR picture."""
        part = image[region.y : region.y + region.height, region.x : region.x + region.width]
        size = (
            max(round(region.width * region.scale), 32),
            max(round(region.height * region.scale), 32),
        )
        if size == (region.width, region.height):
            seen = np.ascontiguousarray(part)
        else:
            seen = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        self._network.setInputSize(size)
        _, rows = self._network.detect(seen)
        if rows is None:
            return []
        across, down = region.width / size[0], region.height / size[1]
        rows = np.asarray(rows, dtype=np.float32)
        boxes = rows[:, :4] * np.array((across, down, across, down), dtype=np.float32)
        points = rows[:, 4:14].reshape(-1, 5, 2) * np.array((across, down), dtype=np.float32)
        corner = np.array((region.x, region.y), dtype=np.float32)
        boxes[:, :2] += corner
        points += corner
        sound = (boxes[:, 2] > 1) & (boxes[:, 3] > 1)
        return [
            _detection(box, keypoints, score)
            for box, keypoints, score in zip(
                boxes[sound].tolist(), points[sound], rows[sound, 14].tolist(), strict=True
            )
        ]


def _detection(raw: list[float], keypoints: NDArray[np.float32], score: float) -> Detection:
    """Bring one face to the dense landmarks' convention."""
    x, y, width, height = raw
    size = math.sqrt(width * height)
    middle_x, middle_y = x + width / 2, y + height / 2 + BOX_DOWN * size
    width, height = width * WIDER, height * LOWER
    return Detection(
        box=Box(x=middle_x - width / 2, y=middle_y - height / 2, width=width, height=height),
        keypoints=frozen(keypoints + np.array((0.0, POINTS_DOWN * size), dtype=np.float32)),
        score=score,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV 5 warns at each network that its new engine knows no targets; OpenCV 4 does not."""
    log = getattr(cv2.utils, "logging", None)
    if log is None:
        yield
        return
    before = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        log.setLogLevel(before)
