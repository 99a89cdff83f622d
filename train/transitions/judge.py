"""How well changes on the real clips were decided: the figures that fitting aims at and reports."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from emoshift.emotions import Emotion
from train.transitions.metrics import match, score, tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.values import Transition
    from train.transitions.metrics import Scores
    from train.transitions.real_clips import Group
    from train.transitions.streams import Truth

HARMLESS = (Emotion.NEUTRAL, Emotion.HAPPY)
"""All that people in the room clips show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Figures over one set of clips. Counts are over all views: divide by ``views`` for one.

    Attributes:
        views: Views of each clip that were judged.
        changes: Of the natural and joined clips: F1, delay, false changes and so on.
        labelled: The same of the two short labelled clips.
        talk_false, talk_minutes: False changes on people who talk and change no emotion.
        onsets_right, onsets: Posed onsets whose emotion was the last one decided.
        onsets_by_emotion: Right and all, by emotion.
        onsets_false: Changes to other emotions on the way.
        acted_right, acted: Clips of one acted emotion throughout on which it was decided.
        acted_false: Changes to another.
        rooms_wrong: Changes to anything but neutral and happy in the rooms.
    """

    views: int
    changes: Scores
    labelled: Scores
    talk_false: int
    talk_minutes: float
    onsets_right: int
    onsets: int
    onsets_by_emotion: dict[str, tuple[int, int]]
    onsets_false: int
    acted_right: int
    acted: int
    acted_false: int
    rooms_wrong: int

    @property
    def talk_false_per_min(self) -> float:
        """False changes a minute of talking."""
        return self.talk_false / self.talk_minutes if self.talk_minutes else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; what could not be measured is ``None``."""
        values = asdict(self)
        values["changes"], values["labelled"] = self.changes.to_json(), self.labelled.to_json()
        values["talk_false_per_min"] = self.talk_false_per_min
        return values


def judge(cases: Sequence[tuple[Group, Truth, Sequence[Transition]]], *, views: int = 1) -> Judged:
    """Count what was decided on each clip, which is there in so many views."""
    talkers = [(t, e) for group, t, e in cases if group == "still"]
    onsets = [(t, e) for group, t, e in cases if group == "onset"]
    acted = [(t, e) for group, t, e in cases if group == "single"]
    by_emotion: dict[str, tuple[int, int]] = {}
    for truth, events in onsets:
        label = truth.changes[0].after.label
        right, n = by_emotion.get(label, (0, 0))
        by_emotion[label] = right + _ends_right(truth, events), n + 1
    return Judged(
        views=views,
        changes=score([tally(t, e) for g, t, e in cases if g in {"natural", "joined"}]),
        labelled=score([tally(t, e) for g, t, e in cases if g == "clips"]),
        talk_false=sum(len(match(t, e, 1.0).false) for t, e in talkers),
        talk_minutes=sum(t.duration_s for t, _ in talkers) / 60,
        onsets_right=sum(right for right, _ in by_emotion.values()),
        onsets=len(onsets),
        onsets_by_emotion=by_emotion,
        onsets_false=sum(
            e.after not in {t.changes[0].after, Emotion.NEUTRAL}
            for t, events in onsets
            for e in events
        ),
        acted_right=sum(any(e.after == t.start for e in events) for t, events in acted),
        acted=len(acted),
        acted_false=sum(e.after != t.start for t, events in acted for e in events),
        rooms_wrong=sum(
            e.after not in HARMLESS for g, _, events in cases if g == "room" for e in events
        ),
    )


def _ends_right(truth: Truth, events: Sequence[Transition]) -> int:
    return int(bool(events) and events[-1].after == truth.changes[0].after)


def lines(judged: Judged) -> list[str]:
    """The figures in words, one a line; counts are means over the views."""
    c, views = judged.changes, judged.views

    def of(count: int) -> str:
        return f"{count / views:.4g}"

    emotions = ", ".join(f"{e} {of(r)}/{of(n)}" for e, (r, n) in judged.onsets_by_emotion.items())
    seen = f", each seen in {views} ways" if views > 1 else ""
    return [
        (
            f"changes in real clips: F1 at 1 s {_n(c.f1_1)} (n = {of(c.changes)}{seen}; recall"
            f" {_n(c.recall)}, precision {_n(c.precision)}), delay {_n(c.delay_mean_s)} s, 90 %"
            f" within {_n(c.delay_p90_s)} s, ECE {_n(c.ece)}"
        ),
        (
            f"people who talk: {judged.talk_false_per_min:.2f} false changes a minute"
            f" ({of(judged.talk_false)} in {judged.talk_minutes / views:.1f} min)"
        ),
        (
            f"posed onsets: {of(judged.onsets_right)} of {of(judged.onsets)} right ({emotions}),"
            f" {of(judged.onsets_false)} others on the way"
        ),
        (
            f"acted while talking: {of(judged.acted_right)} of {of(judged.acted)} right,"
            f" {of(judged.acted_false)} others"
        ),
        f"rooms: {of(judged.rooms_wrong)} events other than neutral or happy",
    ]


def _n(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
