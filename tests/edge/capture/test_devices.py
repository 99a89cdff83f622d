"""Cameras that cannot be opened are a state with a reason an operator can act on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge.capture.devices import open_capture
from edge.capture.protocol import CaptureState
from edge.config import Camera

if TYPE_CHECKING:
    from pathlib import Path

    from edge.capture.protocol import CaptureStatus


def settled(source: str, within_s: float = 15.0) -> CaptureStatus:
    """Open a source and wait until it has been found wanting."""
    capture = open_capture(Camera(source=source))
    try:
        deadline_s = time.monotonic() + within_s
        while capture.status().state is CaptureState.OPENING and time.monotonic() < deadline_s:
            assert capture.next_frame(0.05) is None
        return capture.status()
    finally:
        capture.close()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("97", "/dev/video97: no such device; plug the camera in", id="number"),
        pytest.param("/dev/video98", "/dev/video98: no such device", id="device"),
        pytest.param("/dev/null", "cannot be opened (busy, or not a camera)", id="no camera"),
        pytest.param("picamera2:0", "picamera2 is not installed", id="no picamera2"),
        pytest.param("rtsp://127.0.0.1:9/none", "cannot be opened", id="no stream"),
        pytest.param("gstreamer:fakesrc ! nothing", "cannot be opened", id="no pipeline"),
    ],
)
def test_an_absent_camera_is_waited_for(source: str, said: str) -> None:
    """The source is lost, not dead: the daemon goes on and the reason is at hand."""
    status = settled(source)
    assert status.state is CaptureState.LOST
    assert said in status.reason
    assert "\n" not in status.reason


def test_a_stream_is_read(tmp_path: Path) -> None:
    """What OpenCV reads under an address comes as live frames, and ends as a loss."""
    path = tmp_path / "stream.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    rng = np.random.default_rng(1)
    for _ in range(20):
        writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    capture = open_capture(Camera(source=f"file://{path}", rotate=90))
    try:
        frame = capture.next_frame(10.0)
        assert frame is not None
        assert (frame.width_px, frame.height_px) == (48, 64)
        deadline_s = time.monotonic() + 10
        while capture.status().state is not CaptureState.LOST and time.monotonic() < deadline_s:
            capture.next_frame(0.05)
        assert "no picture" in capture.status().reason
    finally:
        capture.close()
