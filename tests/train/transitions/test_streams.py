"""Generated streams are repeatable, keep to their parameters, and feed every detector."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edge.transitions import TransitionParameters
from emoshift.emotions import Emotion
from emoshift.errors import UnavailableError
from train.transitions.baselines import GRIDS, baseline, device
from train.transitions.batched import batch, run
from train.transitions.fit import _logistic, calibrate, chain
from train.transitions.metrics import score, tally
from train.transitions.probability_streams import LevelA, streams
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


def test_batched_detector_is_the_device(drawn: list[Stream]) -> None:
    """The fitting's fast detector decides exactly what the device's does."""
    for parameters in (
        TransitionParameters(),
        TransitionParameters(sensitivity=1.0, noise_time_s=0.04, hold_s=0.0),
    ):
        fast = run(batch(drawn), parameters, len(drawn))
        for events, stream in zip(fast, drawn, strict=True):
            slow = detect(device(parameters), stream)
            assert [(e.before, e.after) for e in events] == [(e.before, e.after) for e in slow]
            for a, b in zip(events, slow, strict=True):
                assert a.decided_s == b.decided_s
                assert a.onset_s == pytest.approx(b.onset_s)
                assert a.confidence == pytest.approx(b.confidence, abs=1e-4)


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


def test_calibration_undoes_overconfidence() -> None:
    """Dirichlet calibration of probabilities sharpened by 2 gives back about half of them."""
    rng = np.random.default_rng(0)
    shown = rng.integers(len(Emotion), size=4000)
    logits = rng.normal(size=(4000, len(Emotion)))
    logits[np.arange(4000), shown] += 2.0
    log = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    matrix, _ = calibrate(2 * log, shown)
    assert np.diag(matrix).mean() == pytest.approx(0.5 * 2.0 / 2.0 * 2.0, abs=0.5)


def test_confidence_is_fitted_from_anywhere() -> None:
    """Where the detector is nearly certain of most events, the fit of its confidence still ends."""
    odds = np.concatenate([np.full(300, 27.0), np.full(100, 0.6)])
    right = np.concatenate([np.arange(300) % 20 > 0, np.arange(100) % 2 > 0])
    intercept, slope = _logistic(odds, right)
    for value, share in ((27.0, 0.95), (0.6, 0.5)):
        assert 1 / (1 + np.exp(-(intercept + slope * value))) == pytest.approx(share, abs=0.05)


def test_chain_is_counted(drawn: list[Stream]) -> None:
    """Fitted chains are valid parameters."""
    rates, destinations, start = chain(drawn)
    TransitionParameters(rates_per_s=rates, destinations=destinations, start=start)
