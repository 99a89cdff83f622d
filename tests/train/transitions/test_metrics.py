"""What counts as found, missed, false and ignored, and the measures made of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.values import Transition
from emoshift.emotions import Emotion
from train.transitions.metrics import (
    bootstrap,
    expected_calibration_error,
    match,
    negative_log_likelihood,
    score,
    tally,
)
from train.transitions.streams import Change, Truth

H, S, N, U = Emotion.HAPPY, Emotion.SAD, Emotion.NEUTRAL, Emotion.SURPRISE


def truth(
    *changes: tuple[float, Emotion], may: tuple[tuple[float, float], ...] = (), start: Emotion = N
) -> Truth:
    return Truth(
        name="clip",
        start=start,
        changes=tuple(Change(at_s=at, after=e) for at, e in changes),
        may=may,
        duration_s=60.0,
    )


def event(
    at_s: float, after: Emotion, before: Emotion | None = N, confidence: float = 0.9
) -> Transition:
    return Transition(
        track=1,
        label="a",
        before=before,
        after=after,
        confidence=confidence,
        onset_s=at_s,
        decided_s=at_s,
        dwell_s=0.0,
    )


@pytest.mark.parametrize(
    ("what", "events", "counts"),
    [
        pytest.param(truth((2, H)), [event(2.5, H)], (1, 0, 0, 0), id="in time"),
        pytest.param(truth((2, H)), [event(3.1, H)], (0, 1, 1, 0), id="too late"),
        pytest.param(truth((2, H)), [event(1.8, H)], (1, 0, 0, 0), id="a little early"),
        pytest.param(truth((2, H)), [event(1.6, H)], (0, 1, 1, 0), id="too early"),
        pytest.param(truth((2, H)), [event(2.5, S)], (0, 1, 1, 0), id="wrong target"),
        pytest.param(truth((2, H)), [event(2.5, H, U)], (1, 0, 0, 0), id="wherever it comes from"),
        pytest.param(truth((2, H)), [event(2.5, H, None)], (1, 0, 0, 0), id="as a first emotion"),
        pytest.param(
            truth((2, H)), [event(2.4, H), event(2.6, H, S)], (1, 0, 1, 0), id="one to one"
        ),
        pytest.param(truth(), [event(0.3, N, None)], (0, 0, 0, 1), id="right first emotion"),
        pytest.param(truth(), [event(0.3, S, None)], (0, 0, 1, 0), id="wrong first emotion"),
        pytest.param(
            truth((2, H)), [event(9, H, None)], (0, 1, 0, 1), id="found again, still happy"
        ),
        pytest.param(truth(may=((4, 6),)), [event(5, S)], (0, 0, 0, 1), id="in a free span"),
        pytest.param(truth(may=((4, 6),)), [event(6.1, S)], (0, 0, 1, 0), id="after a free span"),
        pytest.param(
            truth((4, H), (4.6, H)), [event(4.5, H), event(5.4, H)], (2, 0, 0, 0), id="as many"
        ),
    ],
)
def test_matching(what: Truth, events: list[Transition], counts: tuple[int, int, int, int]) -> None:
    """Found, missed, false and ignored at 1 s."""
    found = match(what, events, 1.0)
    assert (
        len(found.found),
        len(found.missed),
        len(found.false),
        len(found.ignored),
    ) == counts


def test_scores() -> None:
    """A clip worked out by hand."""
    tallies = [
        tally(truth((10, H), (20, N), (30, S)), [event(10.4, H), event(21.5, N, H), event(50, U)]),
        tally(truth(), [event(30, H)]),
    ]
    scores = score(tallies)
    assert scores.f1_1 == pytest.approx(2 / (2 + 3 + 2))
    assert scores.f1_2 == pytest.approx(4 / (4 + 2 + 1))
    assert scores.delay_mean_s == pytest.approx((0.4 + 1.5) / 2)
    assert scores.false_per_min == pytest.approx(3 / 2)
    assert scores.false_per_min_still == pytest.approx(1.0)
    assert scores.label_changes == pytest.approx(4 / 3)


def test_nothing_to_measure() -> None:
    """Without events or changes the measures are NaN and become null in JSON."""
    scores = score([tally(truth(), [])])
    assert math.isnan(scores.f1_1)
    assert scores.to_json()["delay_mean_s"] is None
    assert scores.false_per_min == 0


def test_calibration_measures() -> None:
    """A confidence that means what it says has no calibration error."""
    right = np.array([True] * 8 + [False] * 2)
    assert expected_calibration_error(np.full(10, 0.8), right) == pytest.approx(0)
    assert expected_calibration_error(np.full(10, 0.3), right) == pytest.approx(0.5)
    assert negative_log_likelihood(np.full(10, 0.5), right) == pytest.approx(math.log(2))


def test_bootstrap_is_seeded_and_holds_the_value() -> None:
    """The interval is the same every time and contains the pooled value."""
    clips = [tally(truth((2, H)), [event(2 + i / 10, H)]) for i in range(20)]
    one, two = (bootstrap(clips, seed=3, draws=50) for _ in range(2))
    assert one == two
    assert one[0] <= score(clips).f1_1 <= one[1]
