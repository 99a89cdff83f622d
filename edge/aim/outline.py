"""Outlines of a picture with the faces left out: what a technician may see of a room.

A dot says that there is an edge, not how bright or what colour anything is. Outlines wait for a
while before they go out, so that a face that the detector finds a moment later is left out of the
earlier picture too.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.aim.report import LONGER_SIDE, Outline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.values import Box

DELAY_S: Final = 1.5
"""Age at which an outline goes out; the detector looks at every part of a picture within it."""
MARGIN: Final = 0.5
"""Share of a face's box that is left out around it on every side: hair, chin and ears."""
MARGIN_PX: Final = 8.0
"""The least that is left out around a face, pixels of the frame."""

_WEAK, _STRONG = 60, 140
"""Thresholds of the Canny detector for grey levels of 0 to 255."""


class OutlineDelay:
    """Keeps the outlines of the last moments back until their faces are known."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, NDArray[np.bool_]]] = deque()
        self._faces: deque[tuple[float, tuple[tuple[float, float, float, float], ...]]] = deque()
        self._size = (0, 0)

    def add_faces(self, boxes: Iterable[Box], *, at_s: float, size: tuple[int, int]) -> None:
        """Note where faces are.

        Args:
            boxes: In pixels of the frame.
            at_s: Capture time, seconds.
            size: Width and height of the frame, pixels.
        """
        if size != self._size:
            self.clear()
            self._size = size
        wide = tuple(_with_margin(box, size) for box in boxes)
        self._faces.append((at_s, wide))
        while self._faces[0][0] < at_s - 3 * DELAY_S:
            self._faces.popleft()

    def add_picture(self, image: NDArray[np.uint8], *, at_s: float) -> None:
        """Take in one picture (BGR); its faces come by `add_faces`."""
        self._waiting.append((at_s, edges_of(image)))

    def take(self, *, now_s: float, seconds_left: int) -> Outline | None:
        """Return the newest outline that is old enough, with every face left out; or ``None``.

        A place counts as a face's if a face was there from `DELAY_S` before the picture until now.
        """
        dots = None
        while self._waiting and self._waiting[0][0] <= now_s - DELAY_S:
            at_s, dots = self._waiting.popleft()
        if dots is None:
            return None
        rows, columns = dots.shape
        for seen_s, boxes in self._faces:
            if seen_s < at_s - DELAY_S:
                continue
            for left, top, right, bottom in boxes:
                across = slice(_floor(left * columns), _ceil(right * columns))
                down = slice(_floor(top * rows), _ceil(bottom * rows))
                dots[down, across] = False
        return Outline(
            seconds_left=seconds_left,
            columns=columns,
            rows=rows,
            bits=np.packbits(dots).tobytes(),
        )

    def clear(self) -> None:
        """Forget every picture and face."""
        self._waiting.clear()
        self._faces.clear()


def edges_of(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where edges are, shape ``(rows, columns)`` with `LONGER_SIDE` dots at most."""
    height, width = image.shape[:2]
    scale = LONGER_SIDE / max(height, width)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.Canny(grey, _WEAK, _STRONG) > 0)


def _with_margin(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is left out, as shares of the picture, within it."""
    across = max(MARGIN * box.width, MARGIN_PX)
    down = max(MARGIN * box.height, MARGIN_PX)
    width, height = size
    return (
        min(max((box.x - across) / width, 0.0), 1.0),
        min(max((box.y - down) / height, 0.0), 1.0),
        min(max((box.x + box.width + across) / width, 0.0), 1.0),
        min(max((box.y + box.height + down) / height, 0.0), 1.0),
    )


def _floor(value: float) -> int:
    return int(value)


def _ceil(value: float) -> int:
    return -int(-value // 1)
