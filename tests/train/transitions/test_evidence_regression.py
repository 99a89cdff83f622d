"""The regression behind the detector: its gradient, its labels, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from edge.values import frozen
from emoshift.emotions import Emotion
from train.transitions.evidence_regression import (
    SOURCES,
    Frames,
    N,
    known_frames,
    labels,
    loss_and_gradient,
    regress,
)
from train.transitions.streams import Change, Series, Stream, Truth

NEUTRAL, HAPPY, SAD = Emotion.NEUTRAL, Emotion.HAPPY, Emotion.SAD


def drawn(*, seed: int, good_source: int = 1) -> Frames:
    """Faces with rests of their own; one source sees what is shown, the others hardly."""
    rng = np.random.default_rng(seed)
    n = 1200
    emotion = rng.integers(N, size=n)
    resting = rng.normal(-3, 1, (n, SOURCES, N - 1))
    seen = np.zeros((n, SOURCES, N - 1))
    shown = np.flatnonzero(emotion < NEUTRAL)
    seen[shown, good_source, emotion[shown]] = 4.0
    return Frames(
        scores=resting + seen + rng.normal(0, 1, seen.shape),
        resting=resting,
        talking=rng.random(n),
        emotion=emotion,
        weight=np.ones(n),
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_loss(seed: int) -> None:
    """At any place, silenced sources among them."""
    rng = np.random.default_rng(seed)
    frames, heard = drawn(seed=seed), np.array([1.0, 1.0, float(seed > 0)])
    weight = frames.weight / frames.weight.sum()
    at = rng.normal(0, 0.5, 2 * SOURCES + N - 1)

    def loss(numbers: np.ndarray) -> float:
        return loss_and_gradient(numbers, frames, weight, heard)[0]

    def gradient(numbers: np.ndarray) -> np.ndarray:
        return loss_and_gradient(numbers, frames, weight, heard)[1]

    assert check_grad(loss, gradient, at) < 1e-5


def test_the_source_that_sees_counts_most() -> None:
    """Weights go to the source that tells emotions apart, in silence and in speech."""
    for good in range(SOURCES):
        found = regress(drawn(seed=3, good_source=good), caution=0.5)
        assert int(np.argmax(found.weights)) == good
        assert int(np.argmax(found.talking_weights)) == good
        assert sum(found.weights) == pytest.approx(1, abs=1e-3)


def test_caution_asks_for_more() -> None:
    """The more neutral frames count, the further a resting face stands from any emotion."""
    frames = drawn(seed=4)
    bold, careful = (regress(frames, caution=caution).usual for caution in (0.2, 2.0))
    assert all(c < b for b, c in zip(bold[:NEUTRAL], careful[:NEUTRAL], strict=True))
    assert bold[NEUTRAL] == careful[NEUTRAL] == 0


def test_a_silenced_source_counts_for_nothing() -> None:
    """What is left out has no weight."""
    found = regress(drawn(seed=5), caution=0.5, without=frozenset({"fer2013", "talking"}))
    assert found.weights[1] == 0
    assert found.talking_weights == found.weights


def test_labels_are_of_plain_frames() -> None:
    """Frames near a change and in spans where anything goes have no label."""
    truth = Truth(
        name="t",
        start=NEUTRAL,
        changes=(Change(at_s=2.0, after=HAPPY),),
        may=((4.0, 5.0),),
        duration_s=6.0,
    )
    found = labels(truth, np.array([0.0, 1.5, 1.95, 2.1, 3.0, 4.5, 5.5]))
    assert found.tolist() == [NEUTRAL, NEUTRAL, -1, -1, HAPPY, -1, HAPPY]


def test_faces_without_a_rest_teach_nothing() -> None:
    """A clip that never shows the person neutral has nothing to be judged against."""
    n = 60
    log_probs = np.full((n, SOURCES, N), np.log(0.05))
    log_probs[:, :, SAD] = np.log(0.7)
    series = Series(
        track=1,
        times_s=np.arange(n) / 30,
        probs=frozen(np.exp(log_probs[:, 0]).astype(np.float32)),
        log_probs=frozen(log_probs.astype(np.float32)),
    )
    sad = Truth(name="s", start=SAD, changes=(), duration_s=2.0)
    frames = known_frames([("natural", Stream(truth=sad, series=(series,)))], frozenset())
    assert len(frames.emotion) == 0
