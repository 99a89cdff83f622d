"""The sentence about a class, and the figures beside it."""

from __future__ import annotations

import gettext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.store.read import Bucket
from dashboard.web.summary import MIN_MINUTES, LessonFigures, figures, summarise

WORDS = gettext.NullTranslations()
EVEN = (0.0, 0.0, 0.0, 0.3, 0.1, 0.0, 0.6, 0.0)


def lesson(changes: float, shares: tuple[float, ...] = EVEN) -> LessonFigures:
    return LessonFigures(minutes=40, faces=24.0, changes=changes, shares=shares)


@pytest.mark.parametrize(
    ("now", "earlier", "begins"),
    [
        pytest.param(lesson(0.2), [lesson(0.4), lesson(0.5)], "Calmer", id="calmer"),
        pytest.param(lesson(0.9), [lesson(0.4), lesson(0.5)], "Livelier", id="livelier"),
        pytest.param(lesson(0.45), [lesson(0.4), lesson(0.5)], "About as", id="as usual"),
        pytest.param(lesson(0.38), [lesson(0.4), lesson(0.5)], "About as", id="hardly below"),
    ],
)
def test_sentence(now, earlier, begins):
    """A lesson is called calmer or livelier only clearly outside the range of earlier ones."""
    found = summarise(now, earlier, title="Mathematics", words=WORDS)
    assert found is not None
    assert found["text"].startswith(begins)
    assert "last 2 lessons of Mathematics" in found["text"]


def test_what_stood_out():
    """The emotion that differs most is named as one face in so many, never as a person."""
    happy = (0.0, 0.0, 0.0, 0.5, 0.1, 0.0, 0.4, 0.0)
    found = summarise(lesson(0.4, happy), [lesson(0.4), lesson(0.4)], title="Art", words=WORDS)
    assert found is not None
    assert found["text"].endswith(
        "At any moment about one face in 2 looked happy, more than usual."
    )


@pytest.mark.parametrize(
    ("now", "earlier"),
    [
        pytest.param(None, [lesson(0.4), lesson(0.4)], id="too short"),
        pytest.param(lesson(0.4), [lesson(0.4)], id="one earlier lesson"),
        pytest.param(lesson(0.4), [], id="the first lesson"),
    ],
)
def test_silence(now, earlier):
    """Too little data gives no sentence at all."""
    assert summarise(now, earlier, title="Art", words=WORDS) is None


@given(st.integers(0, 3 * MIN_MINUTES), st.floats(5, 40))
def test_few_minutes_say_nothing(minutes, faces):
    """Figures exist from `MIN_MINUTES` minutes on, and their shares sum to 1."""
    buckets = [
        Bucket(start_ms=60_000 * i, states=EVEN, changes=(1,) * 7, minutes=1, faces=faces)
        for i in range(minutes)
    ]
    found = figures(buckets)
    assert (found is None) == (minutes < MIN_MINUTES)
    if found is not None:
        assert sum(found.shares) == pytest.approx(1)
        assert found.changes == pytest.approx(7 / faces)
