"""Cameras that cannot be opened are a state with a reason an operator can act on."""

from __future__ import annotations

import shutil
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edge.capture.devices import clip_path, is_clip, open_capture, open_device
from edge.capture.protocol import CaptureState
from edge.config import Camera
from emoshift.errors import CameraError
from tests.support.videos import network_camera, noise, write_clip

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
        pytest.param("rtsp://127.0.0.1:9/none", "cannot be opened: Connection refused", id="rtsp"),
        pytest.param("http://127.0.0.1:9/none", "cannot be opened: Connection refused", id="http"),
        pytest.param("carrier-pigeon://loft", "cannot be opened", id="no such scheme"),
    ],
)
def test_an_absent_camera_is_waited_for(source: str, said: str) -> None:
    """The source is lost, not dead: the daemon goes on and the reason is at hand."""
    status = settled(source)
    assert status.state is CaptureState.LOST
    assert said in status.reason
    assert "\n" not in status.reason


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https", "rtmp", "srt", "tcp"])
def test_no_password_is_shown(scheme: str) -> None:
    """Whatever the scheme, the reason names the host and not who may see it."""
    reason = settled(f"{scheme}://admin:S3cr3tPass@127.0.0.1:9/ch0").reason
    assert "***@127.0.0.1:9/ch0" in reason
    assert "S3cr3t" not in reason
    assert "admin" not in reason


def test_a_stream_is_read_and_ends(tmp_path: Path) -> None:
    """A network camera comes as live frames, turned as configured; its end is a loss."""
    clip = write_clip(tmp_path / "room.mp4", noise(12), codec="libx264")
    with network_camera(clip) as camera:
        capture = open_capture(Camera(source=camera.address, rotate=90))
        try:
            frame = capture.next_frame(20.0)
            assert frame is not None
            assert (frame.width_px, frame.height_px) == (64, 96)
            assert "96x64 h264" in capture.status().mode
            camera.close()
            deadline_s = time.monotonic() + 20
            while capture.status().state is not CaptureState.LOST and time.monotonic() < deadline_s:
                capture.next_frame(0.05)
            assert "no picture" in capture.status().reason
        finally:
            capture.close()


def test_an_unchanged_picture_is_not_a_frozen_camera(tmp_path: Path) -> None:
    """A quiet room, compressed, repeats to the last bit; its time stamps go on, so it lives."""
    image = noise(1)[0]
    clip = write_clip(
        tmp_path / "quiet.mp4", [image] * 50, codec="libx264", options={"g": "25", "bf": "0"}
    )
    with network_camera(clip) as camera:
        capture = open_capture(Camera(source=camera.address))
        try:
            assert capture.next_frame(20.0) is not None
            until_s, frames, images = time.monotonic() + 5.0, 0, set()
            while time.monotonic() < until_s:
                frame = capture.next_frame(20.0)
                assert frame is not None
                frames += 1
                images.add(frame.image.tobytes())
                assert capture.status().state is CaptureState.RUNNING
        finally:
            capture.close()
        assert frames > 60
        assert len(images) < frames, "the pictures have to repeat for this test to mean anything"
        assert capture.status().reopened == 0
        assert camera.opened == 1


@pytest.mark.parametrize(
    ("source", "clip"),
    [
        ("0", False),
        ("/dev/video2", False),
        ("rtsp://camera/stream", False),
        ("gstreamer:nvarguscamerasrc ! appsink", False),
        ("picamera2:0", False),
        ("lesson.mp4", True),
        ("/home/school/lesson.mp4", True),
        ("file:///home/school/lesson.mp4", True),
    ],
)
def test_what_counts_as_a_clip(source: str, *, clip: bool) -> None:
    """Devices, streams and pipelines are no files."""
    assert is_clip(source) is clip


def test_a_clip_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home folder in a configuration, too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert clip_path("~/lesson.mp4") == tmp_path / "lesson.mp4"


needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed"
)


@needs_gstreamer
@pytest.mark.parametrize(
    "caps",
    [
        *(
            f"video/x-raw,format={name}"
            for name in ("GRAY8", "NV12", "I420", "YUY2", "BGRx", "RGB")
        ),
        "jpegenc",
    ],
)
@pytest.mark.parametrize("sink", ["", " ! appsink drop=true max-buffers=1"])
def test_gstreamer_pictures_arrive_as_bgr(caps: str, sink: str) -> None:
    """Whatever the format, the picture is BGR: three stripes keep their brightness and colour."""
    size = ",width=160,height=120,framerate=20/1"
    element = caps if caps == "jpegenc" else caps + size
    before = "video/x-raw" + size + " ! " if caps == "jpegenc" else ""
    pipeline = f"videotestsrc is-live=true pattern=red ! {before}{element}{sink}"
    capture = open_capture(Camera(source=f"gstreamer:{pipeline}"))
    try:
        frame = capture.next_frame(30.0)
        assert frame is not None, capture.status().reason
        assert (frame.width_px, frame.height_px) == (160, 120)
        blue, green, red = frame.image[60, 80].astype(int)
        if "GRAY8" in caps:
            assert max(blue, green, red) - min(blue, green, red) < 8
        else:
            assert red > 200
            assert max(blue, green) < 50
        assert "160x120" in capture.status().mode
    finally:
        capture.close()


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("nosuchsrc ! videoconvert", 'no element "nosuchsrc"'),
        ("v4l2src device=/dev/video97", "/dev/video97"),
        ("audiotestsrc num-buffers=5", "gstreamer:audiotestsrc"),
        ("videotestsrc num-buffers=3 ! video/x-raw,width=161,height=121", "161x121"),
        ("filesrc location='lesson", "close every quote"),
        (
            "rtspsrc location=rtsp://admin:S3cr3tPass@127.0.0.1:9/ch0 user-pw=Oth3r ! decodebin",
            "***@127.0.0.1",
        ),
    ],
)
def test_a_pipeline_that_does_not_run_says_why(pipeline: str, said: str) -> None:
    """GStreamer's own words, in one line, without a password."""
    reason = settled(f"gstreamer:{pipeline}", within_s=40.0).reason
    assert said in reason
    assert "\n" not in reason
    assert "S3cr3t" not in reason
    assert "Oth3r" not in reason


def test_a_gstreamer_that_cannot_be_started_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that the system does not run is named, with what the system says."""
    program = tmp_path / "gst-launch-1.0"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = settled("gstreamer:videotestsrc").reason
    assert reason == f"{program}: cannot be started: Exec format error"


def test_a_camera_module_that_refuses_its_size_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library holds a camera until it is closed: else every later try would find it busy."""

    class Picamera2:
        held = False

        def __init__(self, _number: int) -> None:
            if Picamera2.held:
                raise RuntimeError("Camera __init__ sequence did not complete.")
            Picamera2.held = True

        def create_video_configuration(self, **wishes: Any) -> dict[str, Any]:
            return wishes

        def configure(self, wishes: dict[str, Any]) -> None:
            raise RuntimeError(f"Invalid size {wishes['main']['size']}")

        def close(self) -> None:
            Picamera2.held = False

    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=Picamera2))
    for _ in range(2):
        with pytest.raises(CameraError, match="picamera2:0: cannot be opened: Invalid size"):
            open_device(Camera(source="picamera2:0"))
    assert not Picamera2.held


def test_without_gstreamer_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing program is named, with the command that installs it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "sudo apt install gstreamer1.0-tools" in settled("gstreamer:videotestsrc").reason
