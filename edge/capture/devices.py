"""Opens whatever `camera.source` names: a clip, a camera, a stream or a pipeline."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.capture.clip import Clip
from edge.capture.ffmpeg import StreamDevice
from edge.capture.gstreamer import GStreamer
from edge.capture.latest_frame import NewestFrame
from edge.capture.picamera import PiCamera
from edge.capture.pictures import as_bgr, turned
from edge.capture.playback import Playback
from edge.capture.protocol import CapturedImage
from edge.capture.v4l2 import V4L2

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.protocol import Capture, CaptureDevice
    from edge.config import Camera


def open_capture(camera: Camera, *, clock: Callable[[], float] = time.monotonic) -> Capture:
    """Start reading the configured source; a device that is not there yet is waited for.

    Raises:
        InputError: The source is a file that cannot be played.
    """
    if is_clip(camera.source):
        return Playback(open_clip(camera), clock=clock)
    return NewestFrame(
        lambda: _Turned(open_device(camera), camera.rotate), clock=clock, max_fps=camera.fps
    )


def open_clip(camera: Camera) -> Clip:
    """Open a clip with the turn and the rate that the configuration asks for.

    Raises:
        InputError: The file cannot be played.
    """
    return Clip(clip_path(camera.source), rotate=camera.rotate, max_fps=camera.fps)


def is_clip(source: str) -> bool:
    """Whether a source names a file rather than a device or a stream."""
    if source.startswith("file://"):
        return True
    return not (
        source.isdecimal()
        or source.startswith(("/dev/", "gstreamer:", "picamera2:"))
        or "://" in source
    )


def clip_path(source: str) -> Path:
    """Return the path of a clip; ``~`` is the home folder."""
    return Path(source.removeprefix("file://")).expanduser()


def open_device(camera: Camera) -> CaptureDevice:
    """Open a camera or a stream.

    Raises:
        CameraError: It cannot be opened; says why and what to do.
    """
    source = camera.source
    if source.startswith("picamera2:"):
        return PiCamera(source.removeprefix("picamera2:"), camera)
    if source.startswith("gstreamer:"):
        return GStreamer(source.removeprefix("gstreamer:"))
    if "://" in source:
        return StreamDevice(source)
    return V4L2(camera)


class _Turned:
    """A device that was mounted sideways or upside down."""

    def __init__(self, device: CaptureDevice, degrees: int) -> None:
        self._device = device
        self._degrees = degrees

    @property
    def mode(self) -> str:
        return self._device.mode

    def read(self) -> CapturedImage | None:
        picture = self._device.read()
        if picture is None:
            return None
        image = turned(as_bgr(picture.image), self._degrees)
        return CapturedImage(image=image, stamp_s=picture.stamp_s)

    def close(self) -> None:
        self._device.close()
