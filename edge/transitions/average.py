"""The filter: averaged evidence of many faces, each judged against its own resting face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.transitions.parameters import TransitionParameters

UNKNOWN: Final = -1
"""State of a row before its first emotion."""
_FIRST_STEP_S: Final = 0.04
"""What a face's first frame counts for: one frame of a usual camera."""
_LEAST_SEEN: Final = 0.1
"""A resting face is learnt as if at least this share of its time constant had been seen, so that
no single frame decides it."""
_SLACK_S: Final = 1e-6
"""Differences of capture times are exact to this much, however long the clock has run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decisions:
    """What a step decided, row by row; of the rows in ``changed`` alone.

    Attributes:
        changed: Shape ``(n,)``: positions among the rows of the step.
        before, after: Class numbers; `UNKNOWN` for a first emotion.
        posterior: Softmax of the averaged evidence at the new emotion.
        since_s: When evidence began to favour it.
    """

    changed: NDArray[np.intp]
    before: NDArray[np.intp]
    after: NDArray[np.intp]
    posterior: NDArray[np.float64]
    since_s: NDArray[np.float64]


_NOTHING: Final = Decisions(
    changed=np.empty(0, np.intp),
    before=np.empty(0, np.intp),
    after=np.empty(0, np.intp),
    posterior=np.empty(0),
    since_s=np.empty(0),
)


class AverageFilter:
    """Rows of tracks, a fixed number of floats each; rows do not influence each other.

    Args:
        parameters: One for all rows, or one for each.
        rows: How many tracks there is room for.
    """

    def __init__(self, parameters: Sequence[TransitionParameters], rows: int) -> None:
        first = parameters[0]
        classes = first.classes
        self._neutral = classes.index(first.merge.get(Emotion.NEUTRAL, Emotion.NEUTRAL))
        n = len(classes)
        kept = [[p.baseline.usual[e] for e in classes] for p in parameters]
        self._usual = np.array(kept)
        self._numbers = {
            name: np.array([float(getattr(p, name)) for p in parameters])
            for name in (
                *("sharpness", "outlier", "average_s", "talking_average", "talking_margin"),
                *("settled_lead", "gap_s", "hold_s", "settle_s", "dwell_s"),
                *("patience_s", "patient_margin"),
            )
        }
        self._baseline_time_s = np.array([p.baseline.time_s for p in parameters])
        self._baseline_most = np.array([p.baseline.most for p in parameters])
        self._baseline_lift = np.array([p.baseline.lift for p in parameters])
        scale = np.array([p.scale for p in parameters])
        enter, leave, first_margin, first_neutral = (
            np.array([getattr(p, name) for p in parameters])[:, None]
            for name in ("enter_margin", "leave_margin", "first_margin", "first_neutral_margin")
        )
        is_neutral = np.arange(n) == self._neutral
        self._margins = scale[:, None] * np.where(is_neutral, leave, enter)
        self._first_margins = scale[:, None] * np.where(is_neutral, first_neutral, first_margin)
        self.seen_s = np.full(rows, np.nan)
        self.mean = np.zeros((rows, n))
        self._weight = np.zeros(rows)
        self._baseline = np.zeros((rows, n))
        self._baseline_weight = np.zeros(rows)
        self.state = np.full(rows, UNKNOWN)
        self._favoured_s = np.zeros((rows, n))
        self._above_s = np.zeros((rows, n))
        self._decided_s = np.full(rows, -np.inf)

    def reset(self, row: int) -> None:
        """Make a row ready for another track."""
        self.seen_s[row] = np.nan
        for array in (self.mean, self._weight, self._baseline, self._baseline_weight):
            array[row] = 0.0
        self.state[row], self._decided_s[row] = UNKNOWN, -np.inf

    def grow(self, rows: int) -> None:
        """Make room for more tracks."""
        more = rows - len(self.state)
        for name in ("seen_s", "mean", "_weight", "_baseline", "_baseline_weight", "state"):
            array = getattr(self, name)
            setattr(
                self, name, np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)])
            )
        for name in ("_favoured_s", "_above_s", "_decided_s"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros((more, *array.shape[1:]))]))
        for row in range(rows - more, rows):
            self.reset(row)

    def step(
        self,
        rows: NDArray[np.intp],
        now_s: NDArray[np.float64],
        scores: NDArray[np.float64],
        counts: NDArray[np.float64],
        talking: NDArray[np.float64],
    ) -> Decisions:
        """Take in one frame of each of ``rows`` and decide.

        Args:
            rows: Which tracks, each at most once; every one newer than its last frame.
            now_s: Capture times, shape ``(len(rows),)``.
            scores: From `EmissionModel.scores`, ``(len(rows), classes)``.
            counts: How much of each frame counts, 0 to 1, ``(len(rows),)``; a frame that counts
                for nothing changes nothing.
            talking: 0 to 1, likewise.
        """
        p = {
            name: values if len(values) == 1 else values[rows]
            for name, values in self._numbers.items()
        }
        fresh = np.isnan(self.seen_s[rows])
        dt_s = np.where(fresh, _FIRST_STEP_S, now_s - self.seen_s[rows])
        self.seen_s[rows] = now_s
        anew = fresh | (dt_s > p["gap_s"])
        state = self.state[rows]
        evidence = self._evidence(rows, scores, p)
        mean = self._average(
            rows, evidence, dt_s=dt_s, anew=anew, counts=counts, talking=talking, p=p
        )
        mean = self._keep_near(rows, mean, state, p["settled_lead"])
        best = mean.argmax(axis=1)
        resting = (best == self._neutral) & (state == self._neutral)
        # An emotion that leads but is not decided yet is not rest, unless it comes with speech.
        in_speech = np.where(state == self._neutral, np.minimum(2 * talking, 1.0), 0.0)
        shows = np.where(resting | (state == UNKNOWN), 1.0, in_speech)
        self._learn_baseline(rows, scores, np.minimum(dt_s, p["gap_s"]) * counts * shows)
        lead = self._leads(mean, state)
        need = self._need(rows, state) * (1 + p["talking_margin"] * talking)[:, None]
        favoured = np.where((lead <= 0) | anew[:, None], now_s[:, None], self._favoured_s[rows])
        need = need * _asked(now_s[:, None] - favoured, p)
        above = np.where((lead <= need) | anew[:, None], now_s[:, None], self._above_s[rows])
        self._favoured_s[rows], self._above_s[rows] = favoured, above
        place = np.arange(len(rows))
        hold = np.where(state == UNKNOWN, p["settle_s"], p["hold_s"]) - _SLACK_S
        changed = np.flatnonzero(
            (best != state)
            & (lead[place, best] > need[place, best])
            & (now_s - above[place, best] >= hold)
            & (now_s - self._decided_s[rows] >= p["dwell_s"] - _SLACK_S)
        )
        return self._change(rows, changed, best, mean=mean, favoured=favoured, now_s=now_s)

    def leads(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """By how much the likeliest emotion of each row leads the next one, nats."""
        two = np.partition(self.mean[rows], -2, axis=1)[:, -2:]
        leads: NDArray[np.float64] = two[:, 1] - two[:, 0]
        return leads

    def _evidence(
        self, rows: NDArray[np.intp], scores: NDArray[np.float64], p: dict[str, NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Bounded log-probabilities of a frame, the own resting face taken off."""
        offset = self._baseline[rows] - _of(self._usual, rows)
        offset = np.maximum(offset, -_of(self._baseline_lift, rows)[:, None])
        offset = np.minimum(offset, _of(self._baseline_most, rows)[:, None])
        offset[:, self._neutral] = 0.0
        probs = _softmax(p["sharpness"][:, None] * (scores - offset))
        outlier = p["outlier"][:, None]
        evidence: NDArray[np.float64] = np.log(outlier + (1 - outlier) * probs)
        return evidence

    def _average(
        self,
        rows: NDArray[np.intp],
        evidence: NDArray[np.float64],
        *,
        dt_s: NDArray[np.float64],
        anew: NDArray[np.bool_],
        counts: NDArray[np.float64],
        talking: NDArray[np.float64],
        p: dict[str, NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Exponential average that weighs all frames alike while there are few."""
        time_s = p["average_s"] * (1 + p["talking_average"] * talking)
        share = -np.expm1(-dt_s / time_s) * counts
        weight = np.where(anew, 0.0, self._weight[rows]) * (1 - share) + share
        mean = self.mean[rows]
        mean = mean + (share / np.where(weight > 0, weight, 1.0))[:, None] * (evidence - mean)
        self.mean[rows], self._weight[rows] = mean, weight
        return mean

    def _keep_near(
        self,
        rows: NDArray[np.intp],
        mean: NDArray[np.float64],
        state: NDArray[np.intp],
        most: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Let no emotion fall further behind the settled one: what was plain long ago is no news.

        As in a cumulative sum test, whose sum never falls below zero (Page, 1954), so that a
        change is seen as soon after a plain face as after a doubtful one.
        """
        settled = mean[np.arange(len(rows)), np.maximum(state, 0)]
        least = np.where(state == UNKNOWN, -np.inf, settled - most)
        mean = np.maximum(mean, least[:, None])
        self.mean[rows] = mean
        return mean

    def _learn_baseline(
        self,
        rows: NDArray[np.intp],
        scores: NDArray[np.float64],
        seen_s: NDArray[np.float64],
    ) -> None:
        """Follow how the face looks at rest and in speech."""
        share = -np.expm1(-seen_s / _of(self._baseline_time_s, rows))
        weight = self._baseline_weight[rows] * (1 - share) + share
        excess = scores - scores[:, [self._neutral]] - self._baseline[rows]
        self._baseline[rows] += (share / np.maximum(weight, _LEAST_SEEN))[:, None] * excess
        self._baseline_weight[rows] = weight

    def _leads(self, mean: NDArray[np.float64], state: NDArray[np.intp]) -> NDArray[np.float64]:
        """By how much each class leads the settled one; before there is one, the best other."""
        place = np.arange(len(mean))
        against = mean[place, np.maximum(state, 0)][:, None]
        unknown = state == UNKNOWN
        if unknown.any():
            best = mean.argmax(axis=1)
            two = np.partition(mean, -2, axis=1)
            others = np.repeat(two[:, -1:], mean.shape[1], axis=1)
            others[place, best] = two[:, -2]
            against = np.where(unknown[:, None], others, against)
        return mean - against

    def _need(self, rows: NDArray[np.intp], state: NDArray[np.intp]) -> NDArray[np.float64]:
        unknown = (state == UNKNOWN)[:, None]
        return np.where(unknown, _of(self._first_margins, rows), _of(self._margins, rows))

    def _change(
        self,
        rows: NDArray[np.intp],
        changed: NDArray[np.intp],
        best: NDArray[np.intp],
        *,
        mean: NDArray[np.float64],
        favoured: NDArray[np.float64],
        now_s: NDArray[np.float64],
    ) -> Decisions:
        if not len(changed):  # nearly always
            return _NOTHING
        after, where = best[changed], rows[changed]
        decisions = Decisions(
            changed=changed,
            before=self.state[where],
            after=after,
            posterior=_softmax(mean[changed])[np.arange(len(changed)), after],
            since_s=favoured[changed, after],
        )
        self.state[where] = after
        self._decided_s[where] = now_s[changed]
        self._favoured_s[where] = now_s[changed, None]
        self._above_s[where] = now_s[changed, None]
        return decisions


def _of(values: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Each row's own numbers, or the ones that all rows share."""
    return values if len(values) == 1 else values[rows]


def _asked(led_s: NDArray[np.float64], p: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Share of the margin asked for by how long each class has led, ``(n, classes)``."""
    patience_s = p["patience_s"][:, None]
    waited = np.where(patience_s > 0, np.minimum(led_s / np.maximum(patience_s, 1e-9), 1.0), 0.0)
    share: NDArray[np.float64] = 1 - (1 - p["patient_margin"])[:, None] * waited
    return share


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised: NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    raised /= raised.sum(axis=-1, keepdims=True)
    return raised
