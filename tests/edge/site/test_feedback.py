"""What teachers' marks may teach: a little, in one direction, and nothing while they are few."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle.site_layer import MOST_BIAS
from edge.site.feedback import ENOUGH_DAYS, ENOUGH_MARKS, Mark, read_marks, teach
from emoshift.emotions import Emotion
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise")


def mark(verdict: str, day: int = 1, **changes: int) -> Mark:
    return Mark.model_validate(
        {
            "schema": "emoshift.feedback/1",
            "at": f"2026-11-{day:02d}T09:00:00.000Z",
            "verdict": verdict,
            "changes": changes,
        }
    )


def days(verdict: str, count: int, **changes: int) -> list[Mark]:
    return [mark(verdict, 1 + place % ENOUGH_DAYS, **changes) for place in range(count)]


def test_an_emotion_that_is_marked_wrong_becomes_rarer() -> None:
    marks = days("wrong", 20, angry=2) + days("right", 20, happy=3)
    leaning = teach(marks).leaning
    assert leaning.bias[Emotion.ANGRY] < -0.05
    assert leaning.bias[Emotion.HAPPY] == 0
    assert leaning.margins == 1


def test_when_most_is_wrong_all_changes_become_rarer() -> None:
    assert teach(days("wrong", 30, happy=1, sad=1)).leaning.margins > 1.1


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param(days("wrong", ENOUGH_MARKS - 1, angry=1), id="too few"),
        pytest.param([mark("wrong", 1, angry=1)] * 100, id="of one day"),
        pytest.param(days("wrong", 100), id="nothing was told around them"),
    ],
)
def test_too_little_teaches_nothing(marks: list[Mark]) -> None:
    taught = teach(marks)
    assert taught.leaning.changes_nothing
    assert taught.used == 0
    assert "teach nothing yet" in taught.described


@given(
    st.lists(
        st.builds(
            mark,
            st.sampled_from(["right", "wrong"]),
            st.integers(1, 28),
            **{label: st.integers(0, 50) for label in LABELS},
        ),
        max_size=80,
    )
)
def test_marks_only_make_changes_rarer_and_never_by_much(marks: list[Mark]) -> None:
    """Nobody marks what was missed, so nothing may become more frequent."""
    leaning = teach(marks).leaning
    assert all(-MOST_BIAS / 2 <= b <= 0 for b in leaning.bias)
    assert leaning.bias[Emotion.NEUTRAL] == 0
    assert 1 <= leaning.margins <= 1.15
    assert leaning.temperature == 1


def test_a_line_that_is_no_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    good = mark("wrong", angry=1).model_dump_json(by_alias=True)
    path.write_text(f"{good}\n{json.dumps({'schema': 'other'})}\n")
    with pytest.raises(InputError, match="line 2"):
        read_marks(path)
    path.write_text(f"{good}\n")
    assert read_marks(path).read == 1
