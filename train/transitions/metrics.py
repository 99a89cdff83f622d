"""The measures of the benchmark: matching of events to true changes, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.values import Transition
    from train.transitions.streams import Truth

EARLY_S: Final = 0.3
"""An event may be decided this long before the labelled onset."""

TOLERANCES_S: Final = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """One clip's events against its truth.

    Attributes:
        found: Pairs (index of the change, index of the event).
        missed: Indices of changes nothing was matched to.
        false: Indices of events that report what is not so.
        ignored: Indices of events that count for nothing: inside a span where anything goes, or a
            face's first emotion reported rightly.
    """

    found: tuple[tuple[int, int], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    ignored: tuple[int, ...]


def match(truth: Truth, events: Sequence[Transition], tolerance_s: float) -> Matching:
    """Match events to true changes one to one.

    An event fits a change with the same target that began at most ``tolerance_s`` before the
    decision, or at most `EARLY_S` after it; where it comes from does not matter. All windows are
    of one length, so giving each event, in the order of time, the earliest open change that fits
    finds as many pairs as can be found.
    """
    open_changes = dict(enumerate(truth.changes))
    found: list[tuple[int, int]] = []
    false, ignored = [], []
    for index in sorted(range(len(events)), key=lambda i: events[i].decided_s):
        event = events[index]
        fits = [
            i
            for i, change in open_changes.items()
            if change.after == event.after
            and change.at_s - EARLY_S - 1e-9 <= event.decided_s <= change.at_s + tolerance_s + 1e-9
        ]
        if fits:
            found.append((fits[0], index))
            del open_changes[fits[0]]
        elif truth.is_free(event.decided_s) or (
            event.before is None and event.after == truth.state_at(event.decided_s)
        ):
            ignored.append(index)
        else:
            false.append(index)
    return Matching(
        found=tuple(found),
        missed=tuple(open_changes),
        false=tuple(false),
        ignored=tuple(ignored),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one clip adds to the measures; by tolerance where that matters."""

    found: tuple[int, ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    delays_s: tuple[float, ...]
    onset_errors_s: tuple[float, ...]
    confidences: tuple[float, ...]
    right: tuple[bool, ...]
    label_changes: int
    minutes: float
    still_minutes: float


def tally(truth: Truth, events: Sequence[Transition]) -> Tally:
    """Count one clip at every tolerance; delays are those of events found within 2 s."""
    at = [match(truth, events, tolerance_s) for tolerance_s in TOLERANCES_S]
    one, two = at[1], at[2]
    right = {e for _, e in one.found} | {
        e for e in one.ignored if not truth.is_free(events[e].decided_s)
    }
    judged = sorted(right | set(one.false))
    minutes = truth.duration_s / 60
    return Tally(
        found=tuple(len(m.found) for m in at),
        missed=tuple(len(m.missed) for m in at),
        false=tuple(len(m.false) for m in at),
        delays_s=tuple(events[e].decided_s - truth.changes[c].at_s for c, e in two.found),
        onset_errors_s=tuple(events[e].onset_s - truth.changes[c].at_s for c, e in two.found),
        confidences=tuple(events[e].confidence for e in judged),
        right=tuple(e in right for e in judged),
        label_changes=sum(e.before is not None for e in events),
        minutes=minutes,
        still_minutes=minutes if truth.still else 0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The measures over a set of clips; NaN where there is nothing to measure.

    Attributes:
        f1_05, f1_1, f1_2: F1 with events up to 0.5, 1 and 2 s after the onset.
        precision, recall: At 1 s.
        delay_mean_s, delay_p90_s: From onset to decision, of events found within 2 s.
        onset_error_s: Mean absolute error of the reported onset, of the same events.
        false_per_min: False alarms a minute at 1 s, over all clips.
        false_per_min_still: The same over clips without any change.
        label_changes: Reported changes for each true change.
        ece, nll: Calibration of the confidence that an event is right at 1 s: expected
            calibration error over ten bins of equal width, and mean negative log-likelihood.
        clips, changes, minutes, still_minutes, events: What was measured.
    """

    f1_05: float
    f1_1: float
    f1_2: float
    precision: float
    recall: float
    delay_mean_s: float
    delay_p90_s: float
    onset_error_s: float
    false_per_min: float
    false_per_min_still: float
    label_changes: float
    ece: float
    nll: float
    clips: int
    changes: int
    events: int
    minutes: float
    still_minutes: float

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; what could not be measured is ``None``."""
        return {
            k: None if isinstance(v, float) and math.isnan(v) else v
            for k, v in asdict(self).items()
        }


def score(tallies: Sequence[Tally]) -> Scores:
    """Pool clips into one set of measures."""
    found, missed, false = (
        np.array([getattr(t, name) for t in tallies]).reshape(-1, 3).sum(axis=0)
        for name in ("found", "missed", "false")
    )
    f1 = [_ratio(2 * a, 2 * a + b + c) for a, b, c in zip(found, missed, false, strict=True)]
    delays = np.array([d for t in tallies for d in t.delays_s])
    errors = np.array([d for t in tallies for d in t.onset_errors_s])
    confidences = np.array([c for t in tallies for c in t.confidences])
    right = np.array([r for t in tallies for r in t.right], dtype=bool)
    minutes = sum(t.minutes for t in tallies)
    still_minutes = sum(t.still_minutes for t in tallies)
    changes = int(found[1] + missed[1])
    return Scores(
        f1_05=f1[0],
        f1_1=f1[1],
        f1_2=f1[2],
        precision=_ratio(found[1], found[1] + false[1]),
        recall=_ratio(found[1], changes),
        delay_mean_s=float(delays.mean()) if len(delays) else math.nan,
        delay_p90_s=float(np.quantile(delays, 0.9)) if len(delays) else math.nan,
        onset_error_s=float(np.abs(errors).mean()) if len(errors) else math.nan,
        false_per_min=_ratio(false[1], minutes),
        false_per_min_still=_ratio(
            sum(t.false[1] for t in tallies if t.still_minutes), still_minutes
        ),
        label_changes=_ratio(sum(t.label_changes for t in tallies), changes),
        ece=expected_calibration_error(confidences, right),
        nll=negative_log_likelihood(confidences, right),
        clips=len(tallies),
        changes=changes,
        events=len(right),
        minutes=minutes,
        still_minutes=still_minutes,
    )


def expected_calibration_error(
    confidences: np.ndarray, right: np.ndarray, *, bins: int = 10
) -> float:
    """Mean distance between confidence and share of right events, weighted by bin (equal width)."""
    if not len(right):
        return math.nan
    index = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = [
        abs(confidences[index == b].mean() - right[index == b].mean()) * (index == b).mean()
        for b in np.unique(index)
    ]
    return float(sum(gaps))


def negative_log_likelihood(confidences: np.ndarray, right: np.ndarray) -> float:
    """Mean of ``-log`` of the probability given to what turned out to be so, nats."""
    if not len(right):
        return math.nan
    c = np.clip(confidences, 1e-6, 1 - 1e-6)
    return float(-np.where(right, np.log(c), np.log(1 - c)).mean())


def bootstrap(tallies: Sequence[Tally], *, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of F1 at 1 s when clips are drawn anew with replacement."""
    counts = np.array([(t.found[1], t.missed[1], t.false[1]) for t in tallies], float)
    rng = np.random.default_rng(seed)
    found, missed, false = counts[rng.integers(len(counts), size=(draws, len(counts)))].sum(1).T
    whole = 2 * found + missed + false
    values = 2 * found[whole > 0] / whole[whole > 0]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def per_emotion(pairs: Sequence[tuple[Truth, Sequence[Transition]]]) -> dict[str, dict[str, int]]:
    """Found, missed and false at 1 s for each target emotion."""
    counts = {e.label: {"found": 0, "missed": 0, "false": 0} for e in Emotion}
    for truth, events in pairs:
        matching = match(truth, events, 1.0)
        for change, _ in matching.found:
            counts[truth.changes[change].after.label]["found"] += 1
        for change in matching.missed:
            counts[truth.changes[change].after.label]["missed"] += 1
        for event in matching.false:
            counts[events[event].after.label]["false"] += 1
    return counts


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else math.nan
