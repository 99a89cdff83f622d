"""The doctor opens the camera once, in a process of its own, and says what it gives."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from edge.commands.probe_camera import probe_camera
from edge.config import Camera
from tests.support.videos import network_camera, noise, write_clip

if TYPE_CHECKING:
    from pathlib import Path


def test_a_clip(counting_clip: Path) -> None:
    """A clip is opened, and its kind is said."""
    found = probe_camera(Camera(source=str(counting_clip)))
    assert found.good
    assert found.detail.endswith("64x48 mjpeg, 10 frames a second")
    assert found.brightness == pytest.approx(29 * 8 / 255, abs=0.03)  # of the last frame


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker")
def test_faces_and_light(demo_clip: Path) -> None:
    """A picture with somebody in it: how bright, how sharp, how many faces."""
    found = probe_camera(Camera(source=str(demo_clip)))
    assert found.faces == 1
    assert "brightness 2" in str(found)
    assert str(found).endswith("1 face")


def test_a_network_camera_with_a_password(tmp_path: Path) -> None:
    """It is reached, and its password is not shown."""
    clip = write_clip(tmp_path / "room.mp4", noise(25), codec="libx264")
    with network_camera(clip) as camera:
        address = camera.address.replace("http://", "http://admin:S3cr3t@")
        found = probe_camera(Camera(source=address))
    assert found.good, found
    assert "96x64 h264" in found.detail
    assert "***@127.0.0.1" in found.detail
    assert "S3cr3t" not in found.detail


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="no gst-launch-1.0 here")
def test_a_pipeline() -> None:
    """GStreamer runs behind the same wall as in the daemon."""
    size = "video/x-raw,width=64,height=48,framerate=10/1"
    found = probe_camera(Camera(source=f"gstreamer:videotestsrc is-live=true ! {size}"))
    assert found.good, found
    assert "64x48 I420 by GStreamer, 10 frames a second" in found.detail


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/dev/video97", "no such device"),
        ("/dev/null", "cannot be opened"),
        ("none.mp4", "no such file"),
        ("rtsp://admin:S3cr3t@127.0.0.1:9/x", "***@127.0.0.1:9/x: cannot be opened"),
    ],
)
def test_what_is_wrong_is_one_line(source: str, reason: str) -> None:
    """The line says why it gives no picture."""
    found = probe_camera(Camera(source=source))
    assert not found.good
    assert reason in found.detail
    assert "\n" not in found.detail
    assert "S3cr3t" not in found.detail
