"""Laws that hold for any stream of probabilities."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.transitions import TransitionDetector, TransitionParameters
from edge.transitions.emissions import EmissionModel
from edge.values import Prediction, Transition, frozen
from emoshift.emotions import Emotion

N = len(Emotion)

Parts = list[tuple[Emotion | None, int, float]]

segments = st.lists(
    st.tuples(
        st.sampled_from([*Emotion, None]),
        st.integers(1, 60),  # frames
        st.floats(0.2, 0.98),  # certainty
    ),
    min_size=1,
    max_size=8,
)
briefly = settings(max_examples=40, deadline=None)
sensitivities = st.floats(0, 1)
merges = st.sampled_from([{}, {Emotion.FEAR: Emotion.SURPRISE, Emotion.DISGUST: Emotion.ANGRY}])


def stream(
    parts: Parts,
    *,
    seed: int = 0,
    noise: float = 0.7,
    fps: float = 20.0,
    start_s: float = 0.0,
    track: int = 1,
) -> list[Prediction]:
    """Noisy predictions for segments of (emotion or None for flat, frames, certainty)."""
    rng = np.random.default_rng(seed)
    frames = [(e, sure) for e, count, sure in parts for _ in range(count)]
    predictions = []
    for i, (emotion, sure) in enumerate(frames):
        probs = np.full(N, 1 / N)
        if emotion is not None:
            probs[:] = (1 - sure) / (N - 1)
            probs[emotion] = sure
        logits = np.log(probs) + noise * rng.normal(size=N) * (emotion is not None)
        probs = np.exp(logits) / np.exp(logits).sum()
        predictions.append(
            Prediction(
                track=track,
                label=f"face-{track}",
                captured_s=start_s + i / fps,
                probs=frozen(probs.astype(np.float32)),
            )
        )
    return predictions


def run(predictions: list[Prediction], **parameters: object) -> list[Transition]:
    detector = TransitionDetector(TransitionParameters(**parameters))
    return [t for p in predictions if (t := detector.update([p])[0]) is not None]


@briefly
@given(segments, st.integers(0, 999), sensitivities, merges)
def test_events_chain(
    parts: Parts, seed: int, sensitivity: float, merge: dict[Emotion, Emotion]
) -> None:
    """Each change starts where the last one ended, never ends there, and time only goes on."""
    events = run(stream(parts, seed=seed), sensitivity=sensitivity, merge=merge)
    state, onset_s, decided_s = None, 0.0, -1.0
    for event in events:
        assert event.before == state
        assert event.after != state
        assert event.after not in merge
        assert onset_s <= event.onset_s <= event.decided_s
        assert event.decided_s > decided_s
        assert event.dwell_s == (0 if state is None else event.onset_s - onset_s)
        assert 0 <= event.confidence <= 1
        state, onset_s, decided_s = event.after, event.onset_s, event.decided_s


@briefly
@given(st.sampled_from([*Emotion]), st.lists(st.integers(1, 400), max_size=5), sensitivities)
def test_unknown_never_ends_a_state(
    emotion: Emotion | None, gaps: list[int], sensitivity: float
) -> None:
    """Whatever time passes with nothing to see, a settled emotion stays."""
    predictions = stream([(emotion, 60, 0.9), (None, 100, 0.5)], noise=0)
    for gap in gaps:
        predictions += stream([(None, 5, 0.5)], start_s=predictions[-1].captured_s + gap / 10)
    assert [t.after for t in run(predictions, sensitivity=sensitivity)] == [emotion]


@briefly
@given(segments, st.integers(0, 999), st.integers(-(10**6), 10**6))
def test_time_shift_invariance(parts: Parts, seed: int, shift_s: int) -> None:
    """Only differences of time matter."""
    here = run(stream(parts, seed=seed))
    there = run(stream(parts, seed=seed, start_s=shift_s))
    assert [(t.before, t.after) for t in here] == [(t.before, t.after) for t in there]
    for a, b in zip(here, there, strict=True):
        assert abs(b.decided_s - a.decided_s - shift_s) < 1e-6
        assert abs(b.onset_s - a.onset_s - shift_s) < 1e-6
        assert abs(b.confidence - a.confidence) < 1e-4


@briefly
@given(
    st.lists(st.tuples(st.sampled_from([*Emotion]), st.floats(1.5, 4), st.floats(0.6, 0.95))),
    st.sampled_from([10.0, 15.0, 25.0, 60.0]),
)
def test_frame_rate_invariance(parts: list[tuple[Emotion, float, float]], fps: float) -> None:
    """The same faces give the same changes at any frame rate, at about the same time."""

    def at(rate: float) -> list[Transition]:
        frames = [(e, round(seconds * rate), sure) for e, seconds, sure in parts]
        return run(stream(frames, noise=0, fps=rate))

    reference, other = at(30.0), at(fps)
    assert [(t.before, t.after) for t in reference] == [(t.before, t.after) for t in other]
    slack = 0.1 + 3 / fps + 0.05 * len(parts)  # rounding of each segment to whole frames
    for a, b in zip(reference, other, strict=True):
        assert abs(a.decided_s - b.decided_s) <= slack
        assert abs(a.onset_s - b.onset_s) <= slack


@briefly
@given(segments, segments, st.integers(0, 999))
def test_tracks_do_not_influence_each_other(one: Parts, other: Parts, seed: int) -> None:
    """Two faces interleaved in any order give what each gives alone."""
    first, second = stream(one, seed=seed, track=1), stream(other, seed=seed + 1, track=2)
    both = sorted(first + second, key=lambda p: (p.captured_s, -p.track))
    together = run(both)
    for track, alone in ((1, first), (2, second)):
        assert [t for t in together if t.track == track] == run(alone)


@briefly
@given(segments, st.integers(0, 999))
def test_deterministic(parts: Parts, seed: int) -> None:
    """The same predictions give the same transitions."""
    assert run(stream(parts, seed=seed)) == run(stream(parts, seed=seed))


shares = st.lists(st.floats(1e-6, 1), min_size=N, max_size=N).map(
    lambda values: np.array(values) / sum(values)
)
weights = st.tuples(st.floats(0.05, 5), st.floats(0, 5), st.floats(0, 5))
models = st.builds(
    TransitionParameters,
    weights=weights,
    talking_weights=weights,
    tau=st.floats(0, 1),
    sharpness=st.floats(0.3, 3),
    outlier=st.floats(0.001, 0.3),
    ferplus_prior=shares.map(lambda p: tuple(float(x) for x in (p + 0.01) / (1 + 0.01 * N))),
)


def scores(parameters: TransitionParameters, heads: np.ndarray, talking: float = 0.0) -> np.ndarray:
    """Scores of one frame; ``heads`` ``(3, 7)`` are probabilities."""
    model = EmissionModel([parameters])
    return model.scores(np.log(heads)[None], np.array([talking]))[0]


@briefly
@given(
    models,
    st.lists(shares, min_size=3, max_size=3),
    st.integers(0, 2),
    st.sampled_from([*Emotion]),
    st.tuples(st.floats(0, 1), st.floats(1.0, 50)),
)
def test_raising_a_probability_never_lowers_its_evidence(
    parameters: TransitionParameters,
    heads: list[np.ndarray],
    source: int,
    emotion: Emotion,
    how: tuple[float, float],
) -> None:
    """Whoever says more of an emotion, it gains on every other one, silent or talking."""
    talking, factor = how
    before = np.stack(heads)
    after = before.copy()
    after[source, emotion] *= factor
    after[source] /= after[source].sum()
    old, new = (scores(parameters, h, talking) for h in (before, after))
    assert ((new[emotion] - new) - (old[emotion] - old) >= -1e-9).all()


@briefly
@given(models, st.sampled_from([*Emotion]), st.floats(0.7, 0.99), shares, st.floats(0, 1))
def test_a_sure_network_is_never_overruled(
    parameters: TransitionParameters,
    emotion: Emotion,
    sure: float,
    rest: np.ndarray,
    talking: float,
) -> None:
    """An emotion of .7 and more, the prior divided out, leads, however the rest is spread."""
    priors = np.stack(
        [parameters.ferplus_prior, parameters.fer2013_prior, parameters.ferplus_prior]
    )
    others = rest.copy()
    others[emotion] = 0
    if others.sum() < 1e-3:
        return
    adjusted = others / others.sum() * (1 - sure)
    adjusted[emotion] = sure
    heads = adjusted * priors**parameters.tau
    heads /= heads.sum(axis=1, keepdims=True)
    assert scores(parameters, heads, talking).argmax() == emotion


@briefly
@given(models, shares, st.sampled_from([*Emotion]), st.sampled_from([1e-5, 1e-7, 1e-12]))
def test_a_class_at_the_floor_adds_nothing(
    parameters: TransitionParameters, probs: np.ndarray, emotion: Emotion, least: float
) -> None:
    """Below the floor a probability is noise: how far below changes no evidence."""

    def heads(at: float) -> np.ndarray:
        row = probs.copy()
        row[emotion] = at
        return np.tile(row, (3, 1))

    low, lower = scores(parameters, heads(1e-5)), scores(parameters, heads(least))
    assert np.abs(low - lower).max() < 0.02


@briefly
@given(models, st.lists(shares, min_size=3, max_size=3), st.sets(st.integers(0, 2), max_size=2))
def test_who_says_nothing_changes_nothing(
    parameters: TransitionParameters, heads: list[np.ndarray], silent: set[int]
) -> None:
    """A missing source leaves the mean of the others; without any there is no evidence."""
    rows = np.stack(heads)
    rows[list(silent)] = np.nan
    found = scores(parameters, rows)
    assert np.isfinite(found).all()
    assert np.ptp(scores(parameters, np.full((3, N), np.nan))) == 0
