"""Generated streams are repeatable, keep to their parameters, and feed every detector."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edge.transitions import TransitionParameters
from emoshift.errors import UnavailableError
from train.transitions.baselines import GRIDS, baseline, device
from train.transitions.metrics import score, tally
from train.transitions.probability_streams import LevelA, streams
from train.transitions.run_many import run
from train.transitions.streams import Stream, detect
from train.transitions.timeline import draw_course

SMALL = LevelA(clips=4, still_clips=1, duration_s=20.0, fps=(10.0, 15.0))


@pytest.fixture(scope="module")
def drawn() -> list[Stream]:
    return streams(SMALL, seed=7)


def test_same_seed_same_streams(drawn: list[Stream]) -> None:
    """The same seed gives the same streams, another seed others."""
    again, other = streams(SMALL, seed=7), streams(SMALL, seed=8)
    for a, b, c in zip(drawn, again, other, strict=True):
        assert a.truth == b.truth != c.truth
        assert np.array_equal(a.series[0].probs, b.series[0].probs)


def test_frame_accuracy_is_what_was_asked_for() -> None:
    """Frames of a held expression are right as often as the level says."""
    level = LevelA(
        clips=0, still_clips=40, duration_s=20, person=0.0, bursts_per_min=0, frame_accuracy=0.8
    )
    tops = [
        (s.series[0].probs.argmax(axis=1) == s.truth.start).mean() for s in streams(level, seed=1)
    ]
    assert np.mean(tops) == pytest.approx(0.8, abs=0.07)


def test_courses_keep_apart() -> None:
    """States last at least 0.9 s, never repeat, and end a second before the clip does."""
    for seed in range(30):
        course = draw_course(np.random.default_rng(seed), duration_s=30.0)
        times = [0.0, *(c.at_s for c in course.changes)]
        assert all(b - a > 0.8999 for a, b in pairwise(times))
        assert all(a != b for a, b in pairwise(course.states))
        assert max(times) <= 29.0


def test_many_settings_at_once_are_the_device(drawn: list[Stream]) -> None:
    """Fitting runs the very filter of the device: every event is the same, to the bit."""
    settings = [
        TransitionParameters(),
        TransitionParameters(sensitivity=1.0, average_s=0.1, hold_s=0.0),
        TransitionParameters(tau=0.0, talking_weights=(0.1, 0.0, 1.0)),
    ]
    for parameters, found in zip(settings, run(drawn, settings), strict=True):
        assert found == [detect(device(parameters), stream) for stream in drawn]


@pytest.mark.parametrize("name", list(GRIDS))
def test_every_baseline_chains(name: str, drawn: list[Stream]) -> None:
    """Each baseline runs on any stream, and its events chain."""
    for stream in drawn[:3]:
        try:
            events = detect(baseline(name, GRIDS[name][1][-1]), stream)
        except UnavailableError as why:
            pytest.skip(str(why))
        state = None
        for event in events:
            assert event.before == state != event.after
            state = event.after


def test_device_beats_raw_argmax(drawn: list[Stream]) -> None:
    """Even with its defaults the detector finds most changes without the flicker."""
    ours, raw = (
        score([tally(s.truth, detect(d, s)) for s in drawn])
        for d in (device(TransitionParameters()), baseline("raw arg-max", {}))
    )
    assert ours.f1_1 > raw.f1_1 + 0.3
    assert ours.label_changes < raw.label_changes / 4
