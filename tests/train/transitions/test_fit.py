"""Fitting on clips: people stay apart, made-up streams keep their truth, the report is honest."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from edge.transitions import TransitionParameters
from edge.values import Transition, frozen
from emoshift.emotions import Emotion
from emoshift.errors import InputError
from train.transitions.fit import Case, _logistic, fit, judge_cases, judge_views, people
from train.transitions.judge import judge, lines
from train.transitions.real_clips import View
from train.transitions.streams import Change, Series, Stream, Truth

NEUTRAL, HAPPY, SAD = Emotion.NEUTRAL, Emotion.HAPPY, Emotion.SAD


def series(
    shown: list[Emotion], *, fps: float = 30.0, talking: float = 0.0, seed: int = 0
) -> Series:
    """One face that shows an emotion in each frame, as noisy networks see it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 0.6, (len(shown), 3, len(Emotion)))
    logits[np.arange(len(shown)), :, shown] += 4.0
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return Series(
        track=1,
        times_s=np.arange(len(shown)) / fps,
        probs=frozen(np.exp(log_probs[:, 0]).astype(np.float32)),
        log_probs=frozen(log_probs.astype(np.float32)),
        talking=np.full(len(shown), talking),
    )


def case(group: str, person: str, shown: list[Emotion], *, seed: int = 0) -> Case:
    changes = tuple(
        Change(at_s=i / 30, after=after)
        for i, (before, after) in enumerate(pairwise(shown), start=1)
        if before != after
    )
    truth = Truth(name=person, start=shown[0], changes=changes, duration_s=len(shown) / 30)
    talking = 1.0 if group == "still" else 0.0
    return Case(
        group=group,  # type: ignore[arg-type]
        person=person,
        stream=Stream(truth=truth, series=(series(shown, talking=talking, seed=seed),)),
    )


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    smile = [NEUTRAL] * 90 + [HAPPY] * 90 + [NEUTRAL] * 90
    return [
        case("natural", "ann", smile, seed=1),
        case("joined", "bob", [NEUTRAL] * 90 + [SAD] * 120, seed=2),
        case("still", "cem", [NEUTRAL] * 400, seed=3),
        case("still", "dan", [NEUTRAL] * 400, seed=4),
        *(case("onset", f"s{e}", [NEUTRAL] * 60 + [e] * 75, seed=5 + e) for e in (HAPPY, SAD)),
    ]


def test_a_person_lies_in_one_part(cases: list[Case]) -> None:
    """However many parts, each person is in exactly one."""
    for parts in (2, 3, 10):
        divided = people(cases, parts)
        assert sorted(p for part in divided for p in part) == sorted({c.person for c in cases})


def test_a_small_fit_finds_plain_changes(cases: list[Case]) -> None:
    """Plain changes of people the fit has not seen are found, and talkers left in peace."""
    found = fit(cases, folds=3)
    assert found.held_out is not None
    assert found.held_out.changes.changes == 3
    assert found.held_out.changes.f1_1 > 0.6
    assert found.held_out.talk_false <= 1
    low, middle, high = found.parameters.margin_scale
    assert low >= middle == 1.0 >= high
    assert TransitionParameters.from_temporal(None) is not None


def test_nobody_is_judged_by_a_fit_on_nobody(cases: list[Case]) -> None:
    """One part, or one person, is refused: the figures would be said to be of unseen people."""
    with pytest.raises(InputError, match="nobody to fit on"):
        fit(cases, folds=1)
    with pytest.raises(InputError, match="nobody to fit on"):
        fit(cases[:1], folds=4)


def test_parts_can_be_left_out(cases: list[Case]) -> None:
    """What is left out has no part in the parameters."""
    bare = fit(cases, without=frozenset({"talking", "baseline", "recurrent", "fer2013"})).parameters
    assert bare.weights[1:] == (0.0, 0.0)
    assert bare.talking_weights == bare.weights
    assert (bare.talking_margin, bare.talking_average, bare.baseline.most) == (0.0, 0.0, 0.0)


def event(after: Emotion, at_s: float, before: Emotion | None = NEUTRAL) -> Transition:
    return Transition(
        track=1,
        label="a",
        before=before,
        after=after,
        confidence=0.9,
        onset_s=at_s,
        decided_s=at_s,
        dwell_s=0.0,
    )


def test_figures_are_counted_by_group() -> None:
    """Each group of clips has its own question."""
    still = Truth(name="t", start=NEUTRAL, changes=(), duration_s=30.0)
    onset = Truth(name="o", start=NEUTRAL, changes=(Change(at_s=2.0, after=SAD),), duration_s=5.0)
    judged = judge(
        [
            ("still", still, [event(NEUTRAL, 0.5, None), event(HAPPY, 9.0)]),
            ("onset", onset, [event(HAPPY, 2.3), event(SAD, 2.8, HAPPY)]),
            ("room", still, [event(HAPPY, 3.0), event(Emotion.ANGRY, 4.0, HAPPY)]),
            ("single", Truth(name="s", start=SAD, changes=(), duration_s=3.0), []),
        ]
    )
    assert judged.talk_false_per_min == pytest.approx(2.0)
    assert (judged.onsets_right, judged.onsets_false) == (1, 1)
    assert judged.rooms_wrong == 1
    assert (judged.acted_right, judged.acted) == (0, 1)


def test_counts_are_told_for_one_view(cases: list[Case]) -> None:
    """Clips seen in two ways count once in the words, and each way has figures of its own."""
    other = View(mirrored=True)
    both = [*cases, *(replace(case, view=other) for case in cases)]
    nothing: list[list[Transition]] = [[] for _ in cases]
    alarms = [[event(HAPPY, 9.0)] if case.group == "still" else [] for case in cases]
    judged = judge_cases(both, [*nothing, *alarms])
    assert judged.views == 2
    assert judged.talk_false == 2
    words = "\n".join(lines(judged))
    assert "n = 3, each seen in 2 ways" in words
    assert "(1 in 0.4 min)" in words
    as_it_is, mirrored = judge_views(list(zip(both, [*nothing, *alarms], strict=True)))
    assert (as_it_is.talk_false, mirrored.talk_false) == (0, 2)
    assert mirrored.talk_false_per_min == pytest.approx(2 * judged.talk_false_per_min)


def test_confidence_is_fitted_from_anywhere() -> None:
    """Where the detector is nearly certain of most events, the fit of its confidence still ends."""
    odds = np.concatenate([np.full(300, 27.0), np.full(100, 0.6)])
    right = np.concatenate([np.arange(300) % 20 > 0, np.arange(100) % 2 > 0])
    intercept, slope = _logistic(odds, right)
    for value, share in ((27.0, 0.95), (0.6, 0.5)):
        assert 1 / (1 + np.exp(-(intercept + slope * value))) == pytest.approx(share, abs=0.05)
