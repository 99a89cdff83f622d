"""Raspberry Pi camera modules through the system's picamera2."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.capture.protocol import CapturedImage
from emoshift.errors import CameraError

if TYPE_CHECKING:
    from edge.config import Camera


class PiCamera:
    """A camera module, by its number.

    Raises:
        CameraError: picamera2 is not installed, or the camera cannot be opened.
    """

    def __init__(self, number: str, camera: Camera) -> None:
        try:
            from picamera2 import Picamera2
        except ImportError as why:
            raise CameraError(
                f"picamera2 is not installed ({why}); run: sudo apt install python3-picamera2, and"
                " use a virtual environment made with --system-site-packages"
            ) from why
        try:
            self._camera: Any = Picamera2(int(number or 0))
            try:
                self._camera.configure(
                    self._camera.create_video_configuration(
                        # Its RGB888 is blue first in memory, which is OpenCV's order.
                        main={"format": "RGB888", "size": (camera.width, camera.height)},
                        controls={"FrameRate": camera.fps},
                    )
                )
                self._camera.start()
            except BaseException:
                self.close()  # the library holds it until then, and the next try would find it busy
                raise
        except (RuntimeError, IndexError, ValueError) as why:
            raise CameraError(f"picamera2:{number}: cannot be opened: {why}") from why
        self._mode = (
            f"{camera.width}x{camera.height} BGR by the camera's processor,"
            f" {camera.fps:.4g} frames a second"
        )

    @property
    def mode(self) -> str:
        """What was asked of the camera's image processor, which scales to any size."""
        return self._mode

    def read(self) -> CapturedImage | None:
        """Wait for the next picture."""
        try:
            [image], metadata = self._camera.capture_arrays(["main"])
        except (RuntimeError, TimeoutError):
            return None
        stamp_ns = metadata.get("SensorTimestamp")
        return CapturedImage(
            image=np.asarray(image, dtype=np.uint8),
            stamp_s=None if stamp_ns is None else stamp_ns / 1e9,
        )

    def close(self) -> None:
        """Let go of the camera."""
        with contextlib.suppress(RuntimeError):
            self._camera.close()
