"""A steady rate, whatever the frame rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cadence import NEWS_S, Cadence
from edge.values import Box, Face, Landmarks


@pytest.mark.parametrize("frames_a_second", [60, 30, 25, 24, 15, 12])
def test_the_mean_rate_holds_at_every_frame_rate(frames_a_second: int) -> None:
    """Eleven turns a second and not ten, twelve and a half, or fifteen."""
    cadence = Cadence()
    turns = 0
    for frame in range(frames_a_second * 60):
        now_s = frame / frames_a_second
        if cadence.is_due(1, now_s):
            cadence.take(1, now_s, 1 / 11)
            turns += 1
    assert turns == pytest.approx(11 * 60, abs=2)


def test_a_slow_camera_gives_a_turn_in_every_frame() -> None:
    """No frame is left out while frames are further apart than turns."""
    cadence = Cadence()
    for frame in range(50):
        assert cadence.is_due(1, frame * 0.2)
        cadence.take(1, frame * 0.2, 0.09)


def test_a_pause_is_not_made_up_for() -> None:
    """After a gap turns go on at the usual distance."""
    cadence = Cadence()
    cadence.take(1, 0.0, 0.1)
    cadence.take(1, 5.0, 0.1)
    assert not cadence.is_due(1, 5.05)
    assert cadence.is_due(1, 5.1)


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=200), st.floats(0.01, 0.3))
def test_nobody_waits_longer_than_the_interval(gaps_s: list[float], interval_s: float) -> None:
    """Whatever the frames' distances, a track is due once its interval is over."""
    cadence = Cadence()
    now_s, last_s = 0.0, 0.0
    cadence.take(7, now_s, interval_s)
    for gap_s in gaps_s:
        now_s += gap_s
        if now_s - last_s >= interval_s:
            assert cadence.is_due(7, now_s)
        if cadence.is_due(7, now_s):
            cadence.take(7, now_s, interval_s)
            last_s = now_s


def test_a_forgotten_track_is_new() -> None:
    """Its number may be asked for again, and is due at once."""
    cadence = Cadence()
    cadence.take(1, 0.0, 10.0)
    cadence.forget([1, 2])
    assert cadence.is_due(1, 0.1)


def face(track: int, measured_s: float | None = None) -> Face:
    """A face, measured then or never."""
    landmarks = None
    if measured_s is not None:
        landmarks = Landmarks(
            points=np.zeros((478, 3), np.float32),
            blendshapes=np.zeros(52, np.float32),
            measured_s=measured_s,
        )
    return Face(
        track=track,
        label=str(track),
        box=Box(x=0, y=0, width=50, height=50),
        keypoints=np.zeros((5, 2), np.float32),
        score=1.0,
        landmarks=landmarks,
    )


def taken(cadence: Cadence, faces: list[Face], now_s: float, most: int) -> list[int]:
    """Whose turn is taken where no more than ``most`` may be."""
    due = cadence.due_faces(faces, now_s, 0.1, limit=lambda count: min(count, most))
    return [found.track for found in due]


def test_who_was_left_out_is_first() -> None:
    """With room for two a frame, five faces take their turns in order, again and again."""
    cadence = Cadence()
    faces = [face(track) for track in range(5)]
    order = [taken(cadence, faces, frame / 10, 2) for frame in range(5)]
    assert order == [[0, 1], [2, 3], [0, 4], [1, 2], [0, 3]]


def test_new_landmarks_count_as_some_waiting() -> None:
    """They go before those who are just due, and not before those who have waited for long."""
    cadence = Cadence()
    assert taken(cadence, [face(0), face(1, 0.0)], 0.0, 1) == [1]
    now_s = 0.0
    while taken(cadence, [face(0), face(1, now_s)], now_s, 1) == [1]:
        now_s += 0.2
    assert now_s == pytest.approx(NEWS_S, abs=0.5)


def test_landmarks_of_a_frame_that_classified_nobody_are_still_new() -> None:
    """They count as the next frame's own."""
    cadence = Cadence()
    faces = [face(0), face(1, 0.0)]
    assert taken(cadence, faces, 0.0, 0) == []
    due = cadence.due_faces(faces, 0.04, 0.1, since_s=0.0, limit=lambda _: 1)
    assert [found.track for found in due] == [1]
