"""What a Video4Linux camera is asked for, and what it is said to have agreed to."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.pictures import RateLimit, as_bgr
from edge.capture.v4l2 import V4L2, negotiate
from edge.config import Camera
from emoshift.errors import CameraError

WEBCAM = {
    "YUYV": {(640, 480): 30, (1280, 720): 10, (1920, 1080): 5},
    "MJPG": {(640, 480): 30, (1280, 720): 30, (1920, 1080): 30},
}
RAW_ONLY = {"YUYV": {(640, 480): 30, (1280, 720): 9}}
GREY_ONLY = {"GREY": {(640, 480): 60}}
MJPEG_ONLY = {"MJPG": {(640, 480): 30}}


class Driver:
    """Answers like OpenCV's reader in front of a UVC driver: the nearest it can do.

    Args:
        table: For each pixel format the sizes, and the highest rate of each.
    """

    def __init__(self, table: dict[str, dict[tuple[int, int], int]]) -> None:
        self._table = table
        self._format = next(iter(table))
        self._wish = {"width": 640, "height": 480, "fps": 30.0}
        self.stamp_ms = 0.0
        self.picture: Any = np.zeros((4, 4, 3), np.uint8)
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, name: int, value: float, /) -> bool:
        if name == cv2.CAP_PROP_FOURCC:
            text = int(value).to_bytes(4, "little").decode()
            self._format = text if text in self._table else self._format
        elif name == cv2.CAP_PROP_FRAME_WIDTH:
            self._wish["width"] = value
        elif name == cv2.CAP_PROP_FRAME_HEIGHT:
            self._wish["height"] = value
        elif name == cv2.CAP_PROP_FPS:
            self._wish["fps"] = value
        return True

    def get(self, name: int, /) -> float:
        sizes = self._table[self._format]
        wide, high = self._wish["width"], self._wish["height"]
        size = min(sizes, key=lambda one: abs(one[0] - wide) + abs(one[1] - high))
        return {
            cv2.CAP_PROP_FRAME_WIDTH: size[0],
            cv2.CAP_PROP_FRAME_HEIGHT: size[1],
            cv2.CAP_PROP_FPS: min(sizes[size], self._wish["fps"]),
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*self._format),
            cv2.CAP_PROP_POS_MSEC: self.stamp_ms,
        }[name]

    def read(self) -> tuple[bool, Any]:
        return self.picture is not None, self.picture

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize(
    ("table", "wish", "agreed"),
    [
        pytest.param(WEBCAM, {}, "1280x720 MJPG, 30 frames a second", id="MJPEG where needed"),
        pytest.param(
            WEBCAM,
            {"width": 640, "height": 480},
            "640x480 YUYV, 30 frames a second",
            id="raw where it is enough",
        ),
        pytest.param(WEBCAM, {"fps": 10}, "1280x720 YUYV, 10 frames a second", id="a slow rate"),
        pytest.param(
            WEBCAM,
            {"pixel_format": "YUYV"},
            "1280x720 YUYV, 10 frames a second",
            id="raw asked for",
        ),
        pytest.param(
            WEBCAM,
            {"pixel_format": "MJPG", "width": 640, "height": 480},
            "640x480 MJPG, 30 frames a second",
            id="MJPEG asked for",
        ),
        pytest.param(RAW_ONLY, {}, "1280x720 YUYV, 9 frames a second", id="no MJPEG there"),
        pytest.param(GREY_ONLY, {}, "640x480 GREY, 30 frames a second", id="grey"),
        pytest.param(MJPEG_ONLY, {}, "640x480 MJPG, 30 frames a second", id="MJPEG alone"),
    ],
)
def test_negotiation(
    table: dict[str, dict[tuple[int, int], int]], wish: dict[str, Any], agreed: str
) -> None:
    """MJPEG is asked for where size and rate need it; the configuration may say otherwise."""
    assert str(negotiate(Driver(table), Camera(**wish))) == agreed


def test_the_driver_stamps_its_pictures() -> None:
    """The buffer's time stamp is passed on; a driver without one says 0."""
    driver = Driver(WEBCAM)
    camera = V4L2(Camera(source="/dev/null"), open_device=lambda _: driver)
    picture = camera.read()
    assert picture is not None
    assert picture.stamp_s is None
    driver.stamp_ms = 1500.0
    picture = camera.read()
    assert picture is not None
    assert picture.stamp_s == 1.5
    driver.picture = None
    assert camera.read() is None
    camera.close()
    assert driver.released


def test_a_driver_that_fails_while_it_is_asked_is_let_go() -> None:
    """Whoever opens the camera next finds it free."""

    class Failing(Driver):
        def set(self, name: int, value: float, /) -> bool:
            if name == cv2.CAP_PROP_FPS:
                raise cv2.error("ioctl failed")
            return super().set(name, value)

    driver = Failing(WEBCAM)
    with pytest.raises(cv2.error):
        V4L2(Camera(source="/dev/null"), open_device=lambda _: driver)
    assert driver.released


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((6, 8), np.uint8), ((6, 8, 1), np.uint8), ((6, 8, 3), np.uint8), ((6, 8, 4), np.uint8),
     ((6, 8), np.uint16)],
)  # fmt: skip
def test_pictures_become_bgr(shape: tuple[int, ...], kind: type) -> None:
    """Grey, grey with sixteen bits, BGR and BGRA all become BGR."""
    full = 200 if kind is np.uint8 else 200 << 8
    image = as_bgr(np.full(shape, full, dtype=kind))
    assert (image.shape, image.dtype) == ((6, 8, 3), np.uint8)
    assert (image == 200).all()


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((6, 8, 2), np.uint8), ((6, 8), np.float32), ((0, 8, 3), np.uint8), ((9,), np.uint8)],
)
def test_other_pictures_are_one_line(shape: tuple[int, ...], kind: type) -> None:
    """What is not understood is named, with the setting that helps."""
    with pytest.raises(CameraError, match=r"camera\.pixel_format") as caught:
        as_bgr(np.zeros(shape, dtype=kind))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("source_fps", "most"), [(30, 30), (25, 30), (60, 30), (50, 30), (30, 7)])
def test_the_rate_is_kept(source_fps: int, most: int) -> None:
    """On average no more than asked for, and not needlessly fewer."""
    limit = RateLimit(most)
    taken = sum(limit.takes(n / source_fps) for n in range(10 * source_fps))
    assert min(source_fps, most) * 10 * 0.9 <= taken <= most * 10 + 1
