"""Every frame of a video file, in order and without a clock: for replays and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.values import Frame, frozen
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT_FPS = 30.0


class Clip:
    """A video file that can be read through once.

    Attributes:
        fps: Its frame rate; `DEFAULT_FPS` where the file does not say.

    Raises:
        InputError: The file is missing, empty, or not a video this OpenCV can decode.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise InputError(f"{path}: no such file; give the path of a video")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; give the path of a video")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty; give the path of a video")
        self.path = path
        self._device = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._device.isOpened():
            raise InputError(f"{path}: not a video that can be decoded, or cut short")
        fps = float(self._device.get(cv2.CAP_PROP_FPS))
        self.fps = fps if np.isfinite(fps) and 0 < fps <= 1000 else DEFAULT_FPS
        self._announced = int(self._device.get(cv2.CAP_PROP_FRAME_COUNT))

    def __len__(self) -> int:
        """Number of frames the file announces; it may hold fewer."""
        return max(self._announced, 0)

    def frames(self) -> Iterator[Frame]:
        """Yield each frame, timed by its place in the clip.

        Raises:
            InputError: Not one frame can be decoded, or the file ends before its announced length
                by more than a second: it was cut short.
        """
        count = 0
        try:
            while True:
                good, image = self._device.read()
                if not good:
                    break
                yield Frame(image=frozen(image), seq=count, captured_s=count / self.fps)
                count += 1
        finally:
            self._device.release()
        if count == 0:
            raise InputError(f"{self.path}: holds no frame that can be decoded")
        if count + self.fps < self._announced:
            raise InputError(
                f"{self.path}: cut short: {count} of {self._announced} frames could be decoded"
            )
