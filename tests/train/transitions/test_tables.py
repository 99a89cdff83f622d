"""The tables of a page say what the reports say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from edge.values import Transition
from emoshift.emotions import Emotion
from emoshift.errors import InputError, UsageError
from train.transitions.command import detector
from train.transitions.judge import judge
from train.transitions.streams import Change, Truth
from train.transitions.tables import END, START, update_document

if TYPE_CHECKING:
    from pathlib import Path

NEUTRAL, HAPPY, SAD = Emotion.NEUTRAL, Emotion.HAPPY, Emotion.SAD


def event(after: Emotion, at_s: float) -> Transition:
    """A change decided at a moment."""
    return Transition(
        track=1,
        label="a",
        before=NEUTRAL,
        after=after,
        confidence=0.9,
        onset_s=at_s,
        decided_s=at_s,
        dwell_s=0.0,
    )


def report(*, found: bool, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Two views of a smile, of a talker and of two posed onsets; in one view all goes well."""
    smile = Truth(name="n", start=NEUTRAL, changes=(Change(at_s=2.0, after=HAPPY),), duration_s=5.0)
    talk = Truth(name="t", start=NEUTRAL, changes=(), duration_s=60.0)
    posed = {
        emotion: Truth(
            name=emotion.label,
            start=NEUTRAL,
            changes=(Change(at_s=2.0, after=emotion),),
            duration_s=5.0,
        )
        for emotion in Emotion
        if emotion != NEUTRAL
    }
    onsets = [("onset", truth, [event(e, 2.5)]) for e, truth in posed.items()]
    first = [("natural", smile, [event(HAPPY, 2.4)] * found), ("still", talk, []), *onsets]
    second = [("natural", smile, []), ("still", talk, [event(SAD, 9.0)]), *onsets]
    judged = judge([*first, *second], views=2).to_json()  # type: ignore[arg-type]
    views = [judge(one).to_json() for one in (first, second)]  # type: ignore[arg-type]
    values = {
        "without": without,
        "held_out": judged,
        "held_out_by_view": views,
        "average": None,
        "average_at_equal_false_changes": None,
        "seen": judged,
    }
    return json.loads(json.dumps(values))  # as a file has it


def test_counts_are_means_over_views(tmp_path: Path) -> None:
    """A page gets the figures between its marks, and nothing else of it changes."""
    page, whole, part = tmp_path / "page.md", tmp_path / "whole.json", tmp_path / "part.json"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    whole.write_text(json.dumps(report(found=True)))
    part.write_text(json.dumps(report(found=False, without=("talking",))))
    done = CliRunner().invoke(detector, ["document", str(page), str(whole), str(part)])
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert text.startswith(f"before\n{START}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| F1 at 1 s, natural and joined clips (n = 1 changes) | .67 | .67 |" in text
    assert "| found / missed / false | 0.5 / 0.5 / 0 | 0.5 / 0.5 / 0 |" in text
    assert "(1.0 min) | 0.50 | 0.50 |" in text
    assert "| posed onsets with the right emotion last (n = 6) | 6 | 6 |" in text
    assert "in each view of the clips by itself: 1.00, .00." in text
    assert "| everything | .67 | .40 | 0.50 | 6 | 0 |" in text
    assert "| without speech | .00 | - | 0.50 | 6 | 0 |" in text


def test_false_changes_are_told_where_none_was_right() -> None:
    """A detector that finds nothing and is wrong is not shown as one that says nothing."""
    smile = Truth(name="n", start=NEUTRAL, changes=(Change(at_s=2.0, after=HAPPY),), duration_s=9.0)
    wrong = [event(SAD, 3.0), event(Emotion.ANGRY, 5.0)]
    judged = {**report(found=True)["held_out"], "views": 1}
    judged["changes"] = judge([("natural", smile, wrong)]).to_json()["changes"]
    text = update_document(f"{START}\n{END}", [{**report(found=True), "held_out": judged}])
    assert "| found / missed / false | 0 / 1 / 2 |" in text


def test_emotions_that_no_onset_shows_are_none_of_none() -> None:
    """A data set need not have all six."""
    some = report(found=True)
    for judged in (some["held_out"], some["seen"]):
        del judged["onsets_by_emotion"]["fear"]
    assert ", 0 of 0, " in update_document(f"{START}\n{END}", [some])


def test_an_option_that_does_nothing_is_refused(tmp_path: Path) -> None:
    """Figures that were asked for are never left unwritten in silence."""
    room = ["fit", "--channels", str(tmp_path / "room.jsonl")]
    for option in (["--report", str(tmp_path / "r.json")], ["--without", "talking"]):
        done = CliRunner().invoke(detector, [*room, *option])
        assert isinstance(done.exception, UsageError)
        assert f"{option[0]}: does nothing with --channels" in str(done.exception)


def test_a_page_without_marks_is_told() -> None:
    """Nothing is written where nobody has said where."""
    with pytest.raises(InputError, match="has no lines"):
        update_document("no marks", [report(found=True)])
    with pytest.raises(InputError, match="no figures on unseen people"):
        update_document(f"{START}\n{END}", [{**report(found=True), "held_out": None}])
