"""A file played as a camera: on time, newest only, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from edge.capture.clip import Clip
from edge.capture.playback import Playback
from edge.capture.protocol import CaptureState
from tests.support.clocks import SleepingClock
from tests.support.videos import noise, write_clip

if TYPE_CHECKING:
    from pathlib import Path


def test_frames_come_when_they_are_due(counting_clip: Path) -> None:
    """A reader that keeps up gets every frame at its time."""
    clock = SleepingClock(now_s=100.0)
    playback = Playback(Clip(counting_clip), clock=clock, sleep=clock.sleep)
    seen = []
    while (frame := playback.next_frame(1.0)) is not None:
        seen.append((frame.seq, clock.now_s))
    assert [seq for seq, _ in seen] == list(range(30))
    assert [at for _, at in seen] == pytest.approx([100 + n / 10 for n in range(30)])
    assert playback.status().state is CaptureState.ENDED


def test_a_slow_reader_gets_fewer_frames_not_older_ones(counting_clip: Path) -> None:
    """Frames that were overtaken are dropped and counted."""
    clock = SleepingClock(now_s=100.0)
    playback = Playback(Clip(counting_clip), clock=clock, sleep=clock.sleep)
    ages = []
    while (frame := playback.next_frame(1.0)) is not None:
        ages.append(clock.now_s - frame.captured_s)
        clock.sleep(0.25)
    assert max(ages) < 0.1 + 1e-9
    status = playback.status()
    assert status.dropped > 10
    assert status.frames == 30


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    """A clip of variable frame rate is played by its time stamps, not by an average."""
    times_s = [0.0, 0.04, 0.08, 1.5, 1.54, 4.0]
    clip = write_clip(tmp_path / "phone.mp4", noise(6), times_s=times_s)
    clock = SleepingClock(now_s=100.0)
    playback = Playback(Clip(clip), clock=clock, sleep=clock.sleep)
    seen = []
    while playback.status().state is CaptureState.RUNNING:
        if (frame := playback.next_frame(0.5)) is not None:
            seen.append((frame.captured_s - 100, clock.now_s - 100))
    assert [captured_s for captured_s, _ in seen] == pytest.approx(times_s)
    assert [at_s for _, at_s in seen] == pytest.approx(times_s)


def test_a_long_gap_is_the_loss_that_it_was(tmp_path: Path) -> None:
    """A recording that paused for a minute is no camera that hangs; it goes on afterwards."""
    clip = write_clip(tmp_path / "motion.mp4", noise(4), times_s=[0.0, 0.04, 60.0, 60.04])
    clock = SleepingClock(now_s=100.0)
    playback = Playback(Clip(clip), clock=clock, sleep=clock.sleep)
    states = []
    while (state := playback.status().state) is not CaptureState.ENDED:
        if state is CaptureState.LOST:
            assert playback.status().reason == "the clip has no picture for 60 s"
        if state not in states[-1:]:
            states.append(state)
        playback.next_frame(0.5)
    assert states == [CaptureState.RUNNING, CaptureState.LOST, CaptureState.RUNNING]
    assert (playback.status().frames, playback.status().reason) == (4, "")
    assert clock.now_s >= 160.04


@pytest.mark.parametrize("taken", [0, 1])
def test_the_file_is_let_go(counting_clip: Path, taken: int) -> None:
    """Closed before its end, or before its first frame, it holds the file open no longer."""
    clock = SleepingClock(now_s=100.0)
    playback = Playback(Clip(counting_clip), clock=clock, sleep=clock.sleep)
    assert str(counting_clip) in open_files()
    for _ in range(taken):
        assert playback.next_frame(1.0) is not None
    playback.close()
    assert str(counting_clip) not in open_files()
    playback.close()


def open_files() -> list[str]:
    """The files that this process has open."""
    return [file.path for file in psutil.Process().open_files()]


def test_a_clip_that_breaks_off_says_why(tmp_path: Path) -> None:
    """What could not be read is the reason of the end."""
    black = write_clip(tmp_path / "black.mp4", [np.zeros((64, 96, 3), np.uint8)] * 5)
    clock = SleepingClock(now_s=100.0)
    playback = Playback(Clip(black), clock=clock, sleep=clock.sleep)
    while playback.next_frame(1.0) is not None:
        pass
    assert playback.status().state is CaptureState.ENDED
    assert "one flat colour" in playback.status().reason
