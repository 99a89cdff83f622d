"""Fits a correction to a recording of a room, and judges it on the half that was held back.

Little data carries little: a correction has to save mistakes worth more than it costs to move away
from the shipped values, has to do good on the other half, too, and to mend a mistake that is made
today. Numbers move only to where changes become rarer, so that nobody who was not there pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.bundle.site_layer import (
    MOST_BIAS,
    MOST_MARGIN,
    MOST_TEMPERATURE,
    Correction,
    Tally,
)
from edge.site.adjust import adjusted
from edge.site.script import halves
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.site.script import Segment
    from edge.transitions import TransitionParameters
    from edge.values import Transition

    Decide = Callable[[Sequence[TransitionParameters]], list[list[Transition]]]
    """What each of several settings decides on the recording."""

LATE_S: Final = 0.6
"""A decision may follow the end of what was shown by so much."""
NEARLY: Final = (1.0, 0.75, 0.55)
"""Margins are also judged made smaller by these factors: what nearly went wrong counts, too."""
COST: Final = 0.4
"""A number at its limit has to save this many mistakes, by the mean over `NEARLY`."""
ROUNDS: Final = 4
_STEPS: Final = (0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a fit gave.

    Attributes:
        correction: The present one where nothing better was found, or it did not hold.
        before, after: On the half held back.
        seen_before, seen_after: On the half that was fitted to.
        found: Whether anything did better on the half fitted to.
        kept: Whether it held on the other half.
    """

    correction: Correction
    before: Tally
    after: Tally
    seen_before: Tally
    seen_after: Tally
    found: bool
    kept: bool


def fit_correction(
    parameters: TransitionParameters,
    segments: tuple[Segment, ...],
    decide: Decide,
    *,
    present: Correction | None = None,
    start: Correction | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Fit:
    """Find the correction that this recording supports.

    Args:
        parameters: Of the bundle.
        segments: What was shown when.
        decide: Runs settings over the recording.
        present: What is in use; nothing worse takes its place.
        start: Where the search is pulled to, instead of the shipped values; what teachers' marks
            suggest.
        log: Told how it goes.
    """
    present, prior = present or Correction(), start or Correction()
    one, other = halves(segments)
    judge = _Judge(parameters, decide)
    chosen, split, found = present, (one, other), False
    least = sum(judge.mistakes([present], half)[0] for half in split)
    for turn, (fitted, held_back) in enumerate(((one, other), (other, one)), start=1):
        log(f"fitting   half {turn} of 2")
        best = _search(judge, fitted, prior)
        found |= best != present
        for candidate in (best, _halfway(best)):
            if candidate == present:
                continue
            if not all(judge.is_better(candidate, present, half) for half in split):
                continue
            if sum(judge.wrong(candidate, h) - judge.wrong(present, h) for h in split) >= 0:
                continue  # nothing but what nearly went wrong
            mistakes = sum(judge.mistakes([candidate], half)[0] for half in split)
            if mistakes < least - 1e-9:
                chosen, split, least = candidate, (fitted, held_back), mistakes
            break
    return judge.result(chosen, present, *split, found=found)


def _search(judge: _Judge, fitted: Sequence[Segment], prior: Correction) -> Correction:
    """Move one number after the other for as long as that saves more than it costs."""
    best, value = prior, judge.mistakes([prior], fitted)[0]
    for _ in range(ROUNDS):
        tried = _moves(best)
        values = [
            mistakes + _cost(one, prior)
            for one, mistakes in zip(tried, judge.mistakes(tried, fitted), strict=True)
        ]
        least = min(values)
        if least >= value - 1e-9:
            break
        best, value = tried[values.index(least)], least
    return best


def tally(segments: Sequence[Segment], events: Sequence[Transition]) -> Tally:
    """Count what was found of what was shown, and what was wrong."""
    shown = found = false = quiet_false = 0
    quiet_s = 0.0
    for segment in segments:
        inside = [e for e in events if segment.from_s <= e.decided_s < segment.to_s]
        emotion = segment.emotion
        if emotion is None:
            continue
        wrong = sum(e.after not in {emotion, Emotion.NEUTRAL} for e in inside)
        false += wrong
        if segment.quiet:
            quiet_s += segment.to_s - segment.from_s
            quiet_false += wrong
            continue
        late = [e for e in events if segment.from_s <= e.decided_s < segment.to_s + LATE_S]
        shown += 1
        found += any(e.after is emotion for e in late) or _was(events, emotion, segment)
    return Tally(
        shown=shown, found=found, false=false, quiet_s=round(quiet_s, 2), quiet_false=quiet_false
    )


def _was(events: Sequence[Transition], emotion: Emotion, segment: Segment) -> bool:
    """Whether the emotion was settled already when the segment began, and stayed."""
    before = [e for e in events if e.decided_s < segment.from_s]
    stayed = not any(segment.from_s <= e.decided_s < segment.to_s for e in events)
    return bool(before) and before[-1].after is emotion and stayed


class _Judge:
    """Runs corrections over the recording, each once."""

    def __init__(self, parameters: TransitionParameters, decide: Decide) -> None:
        self._parameters = parameters
        self._decide = decide
        self._events: dict[Correction, list[list[Transition]]] = {}

    def mistakes(self, tried: Sequence[Correction], segments: Sequence[Segment]) -> list[float]:
        """Missed expressions and false changes, the mean over `NEARLY`."""
        self._run(tried)
        return [
            sum(
                t.shown - t.found + t.false
                for t in (tally(segments, events) for events in self._events[one])
            )
            / len(NEARLY)
            for one in tried
        ]

    def tally(self, one: Correction, segments: Sequence[Segment]) -> Tally:
        """At the margins that would be installed."""
        self._run([one])
        return tally(segments, self._events[one][0])

    def wrong(self, one: Correction, segments: Sequence[Segment]) -> int:
        """Mistakes at the margins that would be installed."""
        counted = self.tally(one, segments)
        return counted.shown - counted.found + counted.false

    def is_better(self, one: Correction, other: Correction, segments: Sequence[Segment]) -> bool:
        """Whether it makes fewer mistakes, finds no less and is wrong no more often."""
        new, old = self.tally(one, segments), self.tally(other, segments)
        mistakes, before = self.mistakes([one, other], segments)
        return new.found >= old.found and new.false <= old.false and mistakes < before - 1e-9

    def result(
        self,
        chosen: Correction,
        present: Correction,
        fitted: Sequence[Segment],
        held_back: Sequence[Segment],
        *,
        found: bool,
    ) -> Fit:
        """Tell what was chosen, and how it does."""
        return Fit(
            correction=chosen,
            before=self.tally(present, held_back),
            after=self.tally(chosen, held_back),
            seen_before=self.tally(present, fitted),
            seen_after=self.tally(chosen, fitted),
            found=found,
            kept=chosen != present,
        )

    def _run(self, tried: Sequence[Correction]) -> None:
        fresh = [one for one in dict.fromkeys(tried) if one not in self._events]
        settings = []
        for one in fresh:
            whole = adjusted(self._parameters, one)
            for nearly in NEARLY:
                scale = tuple(m * nearly for m in whole.margin_scale)
                settings.append(whole.model_copy(update={"margin_scale": scale}))
        if not settings:
            return
        events = self._decide(settings)
        for place, one in enumerate(fresh):
            begin = place * len(NEARLY)
            self._events[one] = events[begin : begin + len(NEARLY)]


def _cost(one: Correction, prior: Correction) -> float:
    """What it costs to be away from the prior: `COST` for a number that moved by its limit."""
    moved = [(a - b) / MOST_BIAS for a, b in zip(one.bias, prior.bias, strict=True)]
    moved.append((one.temperature - prior.temperature) / (MOST_TEMPERATURE - 1))
    moved.append((one.margins - prior.margins) / (MOST_MARGIN - 1))
    return COST * sum(m * m for m in moved)


def _moves(one: Correction) -> list[Correction]:
    """One number moved, the others as they are, each only to where changes become rarer.

    The bias of a single emotion stays where marks have put it: lowered for one face, it lets the
    other emotions win on everybody's.
    """
    moved = []
    for step in (0.0, *_STEPS):
        offset = (*one.bias[:-1], round(step * MOST_BIAS, 4))
        moved.append(one.model_copy(update={"bias": offset}))
        moved.append(one.model_copy(update={"temperature": round(MOST_TEMPERATURE**step, 4)}))
        moved.append(one.model_copy(update={"margins": round(MOST_MARGIN**step, 4)}))
    return [m for m in moved if m != one]


def _halfway(one: Correction) -> Correction:
    """Half of the way from the shipped values."""
    return Correction(
        temperature=round(one.temperature**0.5, 4),
        bias=tuple(round(b / 2, 4) for b in one.bias),
        margins=round(one.margins**0.5, 4),
    )
