"""Clips as calibrations: what a person shows in them, one clip after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge.site.script import Segment
from emoshift.emotions import Emotion
from train.transitions.streams import Series, Stream, Truth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from train.transitions.fit import Case

PAUSE_S: Final = 2.0
"""Between two clips of one session; faces are new after it."""
SHORTEST_S: Final = 0.3
"""Shorter spans between two labels are not judged."""
LONG_S: Final = 120.0
"""A clip that is longer is two: one half to calibrate on, the other to judge on."""
_GROUPS: Final = {"natural", "joined", "still", "single", "onset"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """Calibrating on some clips of a person and judging on others of the same.

    Attributes:
        person: Who.
        seen: The clips calibrated on.
        unseen: The clips judged on.
    """

    person: str
    seen: tuple[Case, ...]
    unseen: tuple[Case, ...]


def trials(cases: Sequence[Case]) -> Iterator[Trial]:
    """Every person with two clips or more, each clip calibrated on in turn.

    A posed onset takes five seconds, so there all but one are calibrated on, and one is judged.
    """
    people: dict[str, list[Case]] = {}
    for case in cases:
        if case.group in _GROUPS:
            people.setdefault(case.person, []).extend(_parts(case))
    for person, own in people.items():
        for place in range(len(own) if len(own) > 1 else 0):
            one, rest = (own[place],), (*own[:place], *own[place + 1 :])
            posed = own[0].group == "onset"
            yield Trial(person=person, seen=rest if posed else one, unseen=one if posed else rest)


def session(
    cases: Sequence[Case], *, longest_s: float = float("inf")
) -> tuple[Stream, tuple[Segment, ...]]:
    """Clips one after the other as one recording, no longer than ``longest_s`` of them."""
    series: list[Series] = []
    segments: list[Segment] = []
    begin_s, left_s = 0.0, longest_s
    for whole in cases:
        if left_s <= 0:
            break
        case = whole if whole.stream.truth.duration_s <= left_s else cut(whole, 0.0, left_s)
        for one in case.stream.series:
            series.append(replace(one, track=len(series), times_s=one.times_s + begin_s))
        segments += segments_of(case.stream.truth, begin_s)
        left_s -= case.stream.truth.duration_s
        begin_s += case.stream.truth.duration_s + PAUSE_S
    truth = Truth(name="session", start=Emotion.NEUTRAL, changes=(), duration_s=begin_s)
    return Stream(truth=truth, series=tuple(series)), tuple(segments)


def segments_of(truth: Truth, begin_s: float = 0.0) -> list[Segment]:
    """What a labelled clip shows when; spans in which anything goes are left out."""
    edges = [0.0, *(c.at_s for c in truth.changes), truth.duration_s]
    shown = [truth.start, *(c.after for c in truth.changes)]
    segments = []
    for low_s, high_s, emotion in zip(edges, edges[1:], shown, strict=False):
        spans = [(low_s, high_s)]
        for from_s, to_s in truth.may:
            spans = [
                span
                for a, b in spans
                for span in ((a, min(b, from_s)), (max(a, to_s), b))
                if span[1] - span[0] > SHORTEST_S
            ]
        segments += [
            Segment(from_s=begin_s + a, to_s=begin_s + b, shows=emotion.label)  # type: ignore[arg-type] # a label
            for a, b in spans
        ]
    return segments


def cut(case: Case, from_s: float, to_s: float) -> Case:
    """Part of a clip, timed from its own beginning."""
    truth = case.stream.truth
    part = replace(
        truth,
        start=truth.state_at(from_s),
        changes=tuple(
            replace(c, at_s=c.at_s - from_s) for c in truth.changes if from_s < c.at_s < to_s
        ),
        may=tuple((a - from_s, b - from_s) for a, b in truth.may),
        duration_s=to_s - from_s,
    )
    series = []
    for one in case.stream.series:
        rows = (one.times_s >= from_s) & (one.times_s < to_s)
        if rows.any():
            series.append(
                replace(
                    one,
                    times_s=one.times_s[rows] - from_s,
                    probs=one.probs[rows],
                    log_probs=None if one.log_probs is None else one.log_probs[rows],
                    talking=None if one.talking is None else one.talking[rows],
                    degraded=None if one.degraded is None else one.degraded[rows],
                )
            )
    return replace(case, stream=Stream(truth=part, series=tuple(series)))


def _parts(case: Case) -> list[Case]:
    length_s = case.stream.truth.duration_s
    if length_s < LONG_S:
        return [case]
    return [cut(case, 0.0, length_s / 2), cut(case, length_s / 2, length_s)]
