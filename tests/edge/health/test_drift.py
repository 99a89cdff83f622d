"""The population stability index, counted in constant memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle.manifest import DriftBaseline, Histogram
from edge.health.drift import ENOUGH, FADE_S, DriftGauge, stability_index
from edge.values import Prediction

EVEN = Histogram(name="jawOpen", edges=(-1.0, 0.0, 1.0), shares=(0.25, 0.25, 0.25, 0.25))
BASELINE = DriftBaseline(
    blendshapes=(EVEN, EVEN.model_copy(update={"name": "mouthPucker"})),
    confidence=Histogram(name="confidence", edges=(0.5,), shares=(0.5, 0.5)),
    described="by hand",
)
LIKE_IT = np.array([[-2.0, -0.5, 0.5, 2.0]] * 2, np.float32).T


def say(*confidences: float, track: int = 0) -> tuple[Prediction, ...]:
    """Predictions of so many faces, numbered from ``track``."""
    rows = [np.array([c, *[(1 - c) / 6] * 6], np.float32) for c in confidences]
    return tuple(
        Prediction(track=track + i, label="x", captured_s=0.0, probs=probs)
        for i, probs in enumerate(rows)
    )


def watch(gauge: DriftGauge, channels: np.ndarray, *confidences: float, times: int) -> float:
    """Show the faces of other people every second; returns when it ended."""
    for second in range(times):
        people = say(*confidences, track=second * len(confidences))
        gauge.add(channels, people, float(second))
    return float(times)


def test_the_same_is_no_drift() -> None:
    """What looks like the baseline has distance zero."""
    gauge = DriftGauge(BASELINE)
    watch(gauge, LIKE_IT, 0.2, 0.8, times=600)
    reported = gauge.read()
    assert reported.blendshapes == pytest.approx(0.0, abs=1e-9)
    assert reported.largest == pytest.approx(0.0, abs=1e-9)


def test_each_side_is_reported() -> None:
    """Channels and confidence drift apart from each other; the larger one stands for both."""
    gauge = DriftGauge(BASELINE)
    watch(gauge, LIKE_IT, 0.9, 0.9, times=600)
    reported = gauge.read()
    assert reported.blendshapes == pytest.approx(0.0, abs=1e-9)
    assert reported.confidence is not None
    assert reported.largest == reported.confidence > 1.0


def test_too_little_is_not_reported() -> None:
    """Before enough faces were seen, nothing is said."""
    gauge = DriftGauge(BASELINE)
    watch(gauge, LIKE_IT[:1], 0.9, times=int(ENOUGH) - 1)
    assert gauge.read().largest is None


@pytest.mark.parametrize(("people", "reported"), [(2, False), (9, False), (12, True)])
def test_a_few_people_are_no_population(people: int, reported: bool) -> None:
    """However long two people are watched, they are not compared with thousands."""
    gauge = DriftGauge(BASELINE)
    for second in range(2000):
        gauge.add(LIKE_IT, say(*[0.9] * people), float(second))
    assert (gauge.read().largest is not None) is reported


def test_the_head_pose_is_not_counted() -> None:
    """Channels behind those of the baseline, the pose, are left alone."""
    gauge = DriftGauge(BASELINE)
    watch(gauge, np.hstack([LIKE_IT, LIKE_IT[:, :1] + 9]), 0.2, 0.8, times=600)
    assert gauge.read().blendshapes == pytest.approx(0.0, abs=1e-9)


def test_without_a_baseline_nothing_is_reported() -> None:
    """A bundle built before there were baselines is no reason to fail, or to make figures up."""
    gauge = DriftGauge(None)
    watch(gauge, LIKE_IT, 0.9, times=1000)
    assert gauge.read().largest is None


def test_old_days_fade() -> None:
    """After some hours of usual faces an unusual morning is forgotten."""
    gauge = DriftGauge(BASELINE)
    end_s = watch(gauge, LIKE_IT + 5.0, 0.9, times=600)
    before = gauge.read().blendshapes
    for second in range(600):
        gauge.add(LIKE_IT, say(0.2, 0.8, track=2000 + 2 * second), end_s + 5 * FADE_S + second)
    after = gauge.read().blendshapes
    assert before is not None
    assert after is not None
    assert after < 0.05 < before


def test_nobody_there() -> None:
    """No faces change nothing but the time."""
    gauge = DriftGauge(BASELINE)
    watch(gauge, np.empty((0, 0), np.float32), times=50)
    assert gauge.read().largest is None


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda v: sum(v) > 0),
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda v: sum(v) > 0),
)
def test_laws(one: list[float], other: list[float]) -> None:
    """The index is finite, never negative, symmetric, and zero for equal shares."""
    p, q = np.array(one) / sum(one), np.array(other) / sum(other)
    assert stability_index(p, p) == pytest.approx(0.0)
    assert 0 <= stability_index(p, q) < 20
    assert stability_index(p, q) == pytest.approx(stability_index(q, p))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(
            {"edges": (1.0, 1.0), "shares": (0.5, 0.25, 0.25)}, id="edges do not increase"
        ),
        pytest.param({"edges": (1.0,), "shares": (1.0,)}, id="too few shares"),
        pytest.param({"edges": (1.0,), "shares": (0.9, 0.9)}, id="more than all"),
    ],
)
def test_impossible_histograms(wrong: dict[str, object]) -> None:
    """A histogram that cannot be is refused."""
    with pytest.raises(ValueError, match=r"edges|shares"):
        Histogram.model_validate({"name": "x", **wrong})
