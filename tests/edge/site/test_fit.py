"""What is fitted to a room: bounded, careful, and nothing where nothing is to be had."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.bundle.site_layer import MOST_BIAS, MOST_MARGIN, MOST_TEMPERATURE, Correction
from edge.site.adjust import adjusted
from edge.site.fit import fit_correction, tally
from edge.site.run_many import run_many
from edge.site.script import Segment, halves
from edge.transitions import TransitionDetector, TransitionParameters
from edge.transitions.emissions import EmissionModel
from edge.values import EvidenceSource
from emoshift.emotions import Emotion
from tests.support.recordings import SHOWN, record

N = len(Emotion)
PARAMETERS = TransitionParameters(baseline={"most": 0.0})
LOOKS_SAD = {Emotion.SAD: 0.36}

biases = st.lists(st.floats(-MOST_BIAS, MOST_BIAS), min_size=N, max_size=N).map(tuple)
corrections = st.builds(
    Correction,
    bias=biases,
    temperature=st.floats(1 / MOST_TEMPERATURE, MOST_TEMPERATURE),
    margins=st.floats(1 / MOST_MARGIN, MOST_MARGIN),
)


@given(corrections, st.sampled_from([*Emotion]), st.floats(0.7, 0.99), st.integers(0, 99))
def test_a_correction_never_overrules_a_sure_network(
    correction: Correction, emotion: Emotion, sure: float, seed: int
) -> None:
    """An emotion of .7 and more leads, whatever was learnt of the room."""
    others = np.random.default_rng(seed).dirichlet(np.full(N, 0.3))
    others[emotion] = 0
    probs = others / max(others.sum(), 1e-9) * (1 - sure)
    probs[emotion] = sure
    heads = np.log(np.tile(np.maximum(probs, 1e-9), (len(EvidenceSource), 1)))
    model = EmissionModel([adjusted(TransitionParameters(), correction)])
    assert model.scores(heads[None], np.zeros(1))[0].argmax() == emotion


@pytest.mark.parametrize(
    "values",
    [
        {"bias": (0.31,) + (0.0,) * 6},
        {"temperature": 1.3},
        {"margins": 0.7},
        {"bias": (float("nan"),) * 7},
        {"bias": (0.0,) * 6},
    ],
)
def test_no_correction_is_beyond_its_limits(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Correction.model_validate(values)


def test_no_correction_changes_no_parameter() -> None:
    """A layer that learnt nothing leaves the bundle exactly as it is."""
    assert adjusted(PARAMETERS, Correction()) is PARAMETERS


@settings(max_examples=15)
@given(st.integers(0, 999), corrections)
def test_many_settings_at_once_decide_what_the_device_decides(
    seed: int, correction: Correction
) -> None:
    """Rows of the filter and the detector itself agree in every event."""
    channels = record(SHOWN[:6], seed=seed, noise=1.0, sure=0.5)
    two = [TransitionParameters(), adjusted(TransitionParameters(), correction)]
    found = run_many(channels.rows, two)
    for parameters, events in zip(two, found, strict=True):
        detector = TransitionDetector(parameters)
        decided = [detector.update(frame)[0] for frame in channels.predictions()]
        expected = [change for change in decided if change is not None]
        assert [(e.before, e.after, e.decided_s) for e in events] == [
            (e.before, e.after, e.decided_s) for e in expected
        ]
        for event, own in zip(events, expected, strict=True):
            assert event.confidence == pytest.approx(own.confidence)
            assert event.onset_s == pytest.approx(own.onset_s)
            assert event.dwell_s == pytest.approx(own.dwell_s)
            assert event.degraded == own.degraded


def test_a_face_that_looks_sad_while_it_talks_is_learnt() -> None:
    """Fewer false changes on the half that was held back, and no expression lost."""
    channels = record(rest_looks=LOOKS_SAD)
    fit = fit_correction(PARAMETERS, channels.segments, partial(run_many, channels.rows))
    assert fit.before.quiet_false > 0
    assert fit.kept
    assert fit.after.false < fit.before.false
    assert fit.after.found >= fit.before.found


def test_where_nothing_is_wrong_nothing_is_changed() -> None:
    channels = record(noise=0.2)
    fit = fit_correction(PARAMETERS, channels.segments, partial(run_many, channels.rows))
    assert not fit.kept
    assert fit.correction.changes_nothing


@settings(max_examples=10)
@given(
    st.integers(0, 999),
    st.sampled_from([*Emotion][:-1]),
    st.floats(0.4, 0.7),
    st.sampled_from([Correction(), Correction(margins=1.2)]),
)
def test_a_fit_is_never_worse_than_what_is_in_use(
    seed: int, looks: Emotion, sure: float, present: Correction
) -> None:
    """On neither half; and it only ever makes changes rarer."""
    channels = record(seed=seed, rest_looks={looks: sure}, sure=0.6, noise=0.8)
    fit = fit_correction(
        PARAMETERS, channels.segments, partial(run_many, channels.rows), present=present
    )
    for before, after in ((fit.before, fit.after), (fit.seen_before, fit.seen_after)):
        assert after.found >= before.found
        assert after.false <= before.false
    own = fit.correction
    assert own == present or (own.margins >= 1 and own.temperature >= 1)
    assert max(own.bias[:-1]) <= 0 <= own.bias[Emotion.NEUTRAL]


def test_both_halves_hold_something_of_everything() -> None:
    """What is shown twice is fitted to once and held back once."""
    for half in halves(SHOWN):
        shown = {segment.shows for segment in half}
        assert {"rest", "talk", "happy", "sad", "angry", "surprise"} - shown == set()


def test_what_is_counted() -> None:
    """An expression found late still counts; what anything goes in does not."""
    segments = (
        Segment(from_s=0, to_s=60, shows="talk"),
        Segment(from_s=60, to_s=64, shows="happy"),
        Segment(from_s=64, to_s=70, shows="anything"),
        Segment(from_s=70, to_s=74, shows="sad"),
    )
    channels = record(segments, noise=0.0)
    [events] = run_many(channels.rows, [PARAMETERS])
    assert [e.after.label for e in events] == ["neutral", "happy", "neutral", "sad"]
    counted = tally(segments, events)
    assert (counted.shown, counted.found, counted.false, counted.quiet_s) == (2, 2, 0, 60.0)
