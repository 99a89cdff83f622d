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
    good, said = probe_camera(Camera(source=str(counting_clip)))
    assert good
    assert said.endswith("64x48 mjpeg, 10 frames a second")


def test_a_network_camera_with_a_password(tmp_path: Path) -> None:
    """It is reached, and its password is not shown."""
    clip = write_clip(tmp_path / "room.mp4", noise(25), codec="libx264")
    with network_camera(clip) as camera:
        address = camera.address.replace("http://", "http://admin:S3cr3t@")
        good, said = probe_camera(Camera(source=address))
    assert good, said
    assert "96x64 h264" in said
    assert "***@127.0.0.1" in said
    assert "S3cr3t" not in said


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="no gst-launch-1.0 here")
def test_a_pipeline() -> None:
    """GStreamer runs behind the same wall as in the daemon."""
    size = "video/x-raw,width=64,height=48,framerate=10/1"
    good, said = probe_camera(Camera(source=f"gstreamer:videotestsrc is-live=true ! {size}"))
    assert good, said
    assert "64x48 I420 by GStreamer, 10 frames a second" in said


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
    good, said = probe_camera(Camera(source=source))
    assert not good
    assert reason in said
    assert "\n" not in said
    assert "S3cr3t" not in said
