"""The YuNet face detector (Wu, Peng, Yu, MIR 2023) through OpenCV; the only module naming it."""

from __future__ import annotations

import contextlib
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from edge.faces.tracker import Detection
from edge.values import Box, frozen
from emoshift.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.faces.detector import Region

SCORE: Final = 0.3
"""Faint faces are returned too; the tracker lets them continue a track only."""
OVERLAP: Final = 0.3
MOST: Final = 400
"""Candidates kept before duplicates are removed."""
KEPT: Final = 4
"""Most input sizes whose network is kept: near, whole, tile at one level of effort, and one more. A
network of 640x360 weighs 9 MB, and every size of the frame and level of effort has its own."""
IDLE_S: Final = 5.0
"""A network that was not used for so long is dropped with the next search: the picture's size, the
faces' distance or the effort has changed. Making it again takes some milliseconds."""
# YuNet's box reaches higher than the dense landmarks' box, and its points lie a little higher:
# mean over six clips of six people, so that either way of seeing a face places it alike.
WIDER: Final = 1.02
LOWER: Final = 0.91
BOX_DOWN: Final = 0.055
POINTS_DOWN: Final = 0.025


@dataclass(slots=True, eq=False)
class _Network:
    """One input size: the network, the picture scaled for it, when it was used last (seconds)."""

    detector: Any
    scaled: NDArray[np.uint8]
    used_s: float = 0.0


class YuNet:
    """YuNet at any input size, one network for each of the sizes used last.

    Args:
        model: Path of the ONNX file with a symbolic input size.
        clock: Seconds that never go back.

    Raises:
        InputError: The file is missing, or not a model OpenCV can load.
        UnavailableError: This OpenCV has no ``FaceDetectorYN``.
    """

    smallest_px: float = 10.0
    tiled = True
    name = "yunet"

    def __init__(self, model: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not model.is_file():
            raise InputError(f"{model}: no such file; fetch it with: edge assets fetch")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise UnavailableError("this OpenCV has no FaceDetectorYN: install 4.10 or later")
        self._model = model
        self._clock = clock
        self._networks: OrderedDict[tuple[int, int], _Network] = OrderedDict()  # oldest use first
        self._network((320, 192))  # a file that cannot be read is refused at once

    @property
    def networks(self) -> int:
        """How many are in memory."""
        return len(self._networks)

    def search(self, image: NDArray[np.uint8], region: Region) -> list[Detection]:
        """Return the faces in ``region`` of a BGR picture."""
        part = image[region.y : region.y + region.height, region.x : region.x + region.width]
        size = (
            max(round(region.width * region.scale), 32),
            max(round(region.height * region.scale), 32),
        )
        network = self._network(size)
        if size == (region.width, region.height):
            seen = np.ascontiguousarray(part)
        else:
            seen = cv2.resize(part, size, dst=network.scaled, interpolation=cv2.INTER_AREA)
        _, rows = network.detector.detect(seen)
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

    def _network(self, size: tuple[int, int]) -> _Network:
        """Return the network of a size; others go first, so that never more are there at a time."""
        now_s = self._clock()
        found = self._networks.pop(size, None)
        while self._networks:
            oldest = next(iter(self._networks.values()))
            if len(self._networks) < KEPT and now_s - oldest.used_s < IDLE_S:
                break
            self._networks.popitem(last=False)
        if found is None:
            try:
                with _quiet():
                    detector = cv2.FaceDetectorYN.create(
                        str(self._model), "", size, SCORE, OVERLAP, MOST
                    )
            except cv2.error as why:
                raise InputError(
                    f"{self._model}: not a model OpenCV {cv2.__version__} can load: {why}"
                ) from why
            found = _Network(detector, np.empty((size[1], size[0], 3), dtype=np.uint8))
        found.used_s = now_s
        self._networks[size] = found
        return found


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
    """OpenCV 5 warns at each network that its new engine knows no targets."""
    log = cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        log.setLogLevel(before)
