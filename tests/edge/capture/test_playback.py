"""A file played as a camera: on time, newest only, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.capture.devices import is_clip
from edge.capture.playback import Playback
from edge.capture.protocol import CaptureState

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_frames_come_when_they_are_due(counting_clip: Path) -> None:
    """A reader that keeps up gets every frame at its time."""
    clock = Clock()
    playback = Playback(counting_clip, clock=clock, sleep=clock.sleep)
    seen = []
    while (frame := playback.next_frame(1.0)) is not None:
        seen.append((frame.seq, clock.now_s))
    assert [seq for seq, _ in seen] == list(range(30))
    assert [at for _, at in seen] == pytest.approx([100 + n / 10 for n in range(30)])
    assert playback.status().state is CaptureState.ENDED


def test_a_slow_reader_gets_fewer_frames_not_older_ones(counting_clip: Path) -> None:
    """Frames that were overtaken are dropped and counted."""
    clock = Clock()
    playback = Playback(counting_clip, clock=clock, sleep=clock.sleep)
    ages = []
    while (frame := playback.next_frame(1.0)) is not None:
        ages.append(clock.now_s - frame.captured_s)
        clock.sleep(0.25)
    assert max(ages) < 0.1 + 1e-9
    status = playback.status()
    assert status.dropped > 10
    assert status.frames == 30


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
    ],
)
def test_what_counts_as_a_clip(source: str, *, clip: bool) -> None:
    """Devices, streams and pipelines are no files."""
    assert is_clip(source) is clip
