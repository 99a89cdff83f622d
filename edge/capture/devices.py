"""Cameras, streams and files through OpenCV, and Pi cameras through picamera2."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.capture.latest_frame import NewestFrame
from edge.capture.playback import Playback
from emoshift.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.capture.protocol import Capture, Device
    from edge.config import Camera

STREAM_TIMEOUT_MS = 5000
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def open_capture(camera: Camera, *, clock: Callable[[], float] = time.monotonic) -> Capture:
    """Start reading the configured source; a device that is not there yet is waited for.

    Raises:
        InputError: The source is a file that cannot be played.
    """
    if is_clip(camera.source):
        return Playback(Path(camera.source), clock=clock)
    return NewestFrame(
        lambda: _Turned(_open(camera), camera.rotate), clock=clock, max_fps=camera.fps
    )


def is_clip(source: str) -> bool:
    """Whether a source names a file rather than a device or a stream."""
    return not (
        source.isdigit()
        or source.startswith(("/dev/", "gstreamer:", "picamera2:"))
        or "://" in source
    )


def _open(camera: Camera) -> Device:
    source = camera.source
    if source.startswith("picamera2:"):
        return _PiCamera(source.removeprefix("picamera2:"), camera)
    if source.startswith("gstreamer:"):
        return _OpenCV(source.removeprefix("gstreamer:"), cv2.CAP_GSTREAMER, ())
    if "://" in source:
        # RTSP over TCP: over UDP a lossy school network gives torn pictures.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
        limits = (
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS,
        )  # fmt: skip
        return _OpenCV(source, cv2.CAP_FFMPEG, limits)
    path = f"/dev/video{source}" if source.isdigit() else source
    if not Path(path).exists():
        raise CameraError(f"{path}: no such device; plug the camera in, or set camera.source")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(f"{path}: no permission; add this user to the group 'video'")
    settings = (
        cv2.CAP_PROP_FRAME_WIDTH, camera.width,
        cv2.CAP_PROP_FRAME_HEIGHT, camera.height,
        cv2.CAP_PROP_FPS, round(camera.fps),
        cv2.CAP_PROP_BUFFERSIZE, 1,
    )  # fmt: skip
    return _OpenCV(path, cv2.CAP_V4L2, settings)


class _OpenCV:
    """Anything OpenCV's `VideoCapture` reads."""

    def __init__(self, source: str, backend: int, settings: tuple[int, ...]) -> None:
        # What is not known beforehand is given with the call; V4L2 wants it afterwards.
        first = settings if backend == cv2.CAP_FFMPEG else ()
        self._device = cv2.VideoCapture(source, backend, list(first))
        if not self._device.isOpened():
            raise CameraError(f"{source}: cannot be opened (busy, or not a camera)")
        if not first:
            for name, value in zip(settings[::2], settings[1::2], strict=True):
                self._device.set(name, value)

    def read(self) -> NDArray[np.uint8] | None:
        good, image = self._device.read()
        return np.asarray(image, dtype=np.uint8) if good else None

    def close(self) -> None:
        self._device.release()


class _PiCamera:
    """A Raspberry Pi camera module through the system's picamera2."""

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
            self._camera.configure(
                self._camera.create_video_configuration(
                    # Its RGB888 is blue first in memory, which is OpenCV's order.
                    main={"format": "RGB888", "size": (camera.width, camera.height)},
                    controls={"FrameRate": camera.fps},
                )
            )
            self._camera.start()
        except (RuntimeError, IndexError, ValueError) as why:
            raise CameraError(f"picamera2:{number}: cannot be opened: {why}") from why

    def read(self) -> NDArray[np.uint8] | None:
        try:
            return np.asarray(self._camera.capture_array("main"), dtype=np.uint8)
        except (RuntimeError, TimeoutError):
            return None

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._camera.close()


class _Turned:
    """A device that was mounted sideways or upside down."""

    def __init__(self, device: Device, degrees: int) -> None:
        self._device = device
        self._turn = _TURNS.get(degrees)

    def read(self) -> NDArray[np.uint8] | None:
        image = self._device.read()
        if image is None or self._turn is None:
            return image
        return np.asarray(cv2.rotate(image, self._turn), dtype=np.uint8)

    def close(self) -> None:
        self._device.close()
