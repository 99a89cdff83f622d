"""USB and CSI cameras through OpenCV's Video4Linux reader."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import cv2
import numpy as np

from edge.capture.protocol import CapturedImage
from emoshift.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config import Camera

MJPEG: Final = "MJPG"


class VideoCapture(Protocol):
    """The part of OpenCV's reader that is used here."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name
    def set(self, name: int, value: float, /) -> bool: ...
    def get(self, name: int, /) -> float: ...
    def read(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """What a camera was brought to give.

    Attributes:
        width, height: Pixels.
        fps: Frames a second; 0 where the driver does not say.
        pixel_format: Four characters, such as ``YUYV``.
    """

    width: int
    height: int
    fps: float
    pixel_format: str

    def __str__(self) -> str:
        """Write it for an operator."""
        rate = f", {self.fps:.4g} frames a second" if self.fps else ""
        return f"{self.width}x{self.height} {self.pixel_format}{rate}"

    def covers(self, camera: Camera) -> bool:
        """Whether size and rate are at least nearly what is asked for."""
        return self.misses(camera) == 0

    def misses(self, camera: Camera) -> float:
        """How far it stays behind what is asked for: 0 for not at all, at most 3."""
        fps = self.fps or camera.fps
        return sum(
            max(0.0, 1 - found / wanted)
            for found, wanted in (
                (self.width, camera.width),
                (self.height, camera.height),
                (1.1 * fps, camera.fps),  # 27 frames a second for 30 are no reason for MJPEG
            )
        )


class V4L2:
    """A Video4Linux device.

    Args:
        camera: Which one, and what is asked of it.
        open_device: Opens it; OpenCV's reader by default.

    Raises:
        CameraError: It is not there, or cannot be opened.
    """

    def __init__(
        self,
        camera: Camera,
        open_device: Callable[[str], VideoCapture] = lambda path: cv2.VideoCapture(
            path, cv2.CAP_V4L2
        ),
    ) -> None:
        self._path = device_path(camera.source)
        demand_access(self._path)
        self._device = open_device(self._path)
        if not self._device.isOpened():
            raise CameraError(f"{self._path}: cannot be opened (busy, or not a camera)")
        try:
            self._mode = negotiate(self._device, camera)
        except BaseException:
            self._device.release()
            raise

    @property
    def mode(self) -> str:
        """What was negotiated."""
        return str(self._mode)

    def read(self) -> CapturedImage | None:
        """Wait for the next picture."""
        good, image = self._device.read()
        if not good or image is None or not image.size:
            return None
        stamp_s = self._device.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return CapturedImage(image=np.asarray(image), stamp_s=stamp_s if stamp_s > 0 else None)

    def close(self) -> None:
        """Let go of the device."""
        self._device.release()


def negotiate(device: VideoCapture, camera: Camera) -> Mode:
    """Ask for size, rate and pixel format; say what the driver agreed to.

    With ``pixel_format = "auto"`` the driver's own format is kept where it gives the wanted size
    and rate. Where it does not (many USB cameras send 5 to 10 raw pictures a second at 1280x720),
    MJPEG is asked for, and kept if it comes nearer.
    """
    device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if camera.pixel_format != "auto":
        return _negotiate(device, camera, camera.pixel_format)
    plain = _negotiate(device, camera, None)
    if plain.covers(camera) or plain.pixel_format == MJPEG:
        return plain
    packed = _negotiate(device, camera, MJPEG)
    if packed.misses(camera) < plain.misses(camera):
        return packed
    return _negotiate(device, camera, plain.pixel_format)


def device_path(source: str) -> str:
    """Return the device file of a camera number or path."""
    return f"/dev/video{int(source)}" if source.isdecimal() else source


def demand_access(path: str) -> None:
    """Raise `CameraError` with what to do where a device file is missing or closed to us."""
    if not Path(path).exists():
        raise CameraError(f"{path}: no such device; plug the camera in, or set camera.source")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(f"{path}: no permission; add this user to the group 'video'")


def _negotiate(device: VideoCapture, camera: Camera, pixel_format: str | None) -> Mode:
    if pixel_format is not None:
        code = cv2.VideoWriter.fourcc(*f"{pixel_format:<4}")
        device.set(cv2.CAP_PROP_FOURCC, code)
    device.set(cv2.CAP_PROP_FRAME_WIDTH, camera.width)
    device.set(cv2.CAP_PROP_FRAME_HEIGHT, camera.height)
    device.set(cv2.CAP_PROP_FPS, camera.fps)
    return Mode(
        width=int(device.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(device.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=max(0.0, device.get(cv2.CAP_PROP_FPS)),
        pixel_format=_four_characters(int(device.get(cv2.CAP_PROP_FOURCC))),
    )


def _four_characters(code: int) -> str:
    text = (code & 0xFFFFFFFF).to_bytes(4, "little").decode("ascii", "replace").strip()
    return text if text.isprintable() and text else "unknown"
