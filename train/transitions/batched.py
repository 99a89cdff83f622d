"""The device's detector over many streams at once, for fitting: same numbers, fifty times faster.

A test holds it to `edge.transitions.Watch` event by event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.transitions.evidence import FLOOR
from edge.values import Transition
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edge.transitions import TransitionParameters
    from train.transitions.streams import Stream

_SLACK_S = 1e-6
_NEUTRAL = int(Emotion.NEUTRAL)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Series padded to one length; padding repeats the last time stamp, which is ignored.

    Attributes:
        owner: Index of each series' stream.
        times_s: Shape ``(series, frames)``.
        probs: Shape ``(series, frames, len(Emotion))``.
        degraded: Shape ``(series, frames)``, bool.
    """

    owner: tuple[int, ...]
    times_s: NDArray[np.float64]
    probs: NDArray[np.float64]
    degraded: NDArray[np.bool_]


def batch(streams: Sequence[Stream]) -> Batch:
    """Pad all series of all streams into one block."""
    series = [(i, s) for i, stream in enumerate(streams) for s in stream.series]
    longest = max(len(s.times_s) for _, s in series)
    times_s = np.stack(
        [np.pad(s.times_s, (0, longest - len(s.times_s)), mode="edge") for _, s in series]
    )
    probs = np.full((len(series), longest, len(Emotion)), 1 / len(Emotion))
    degraded = np.zeros((len(series), longest), bool)
    for row, (_, s) in enumerate(series):
        probs[row, : len(s.times_s)] = s.probs
        if s.degraded is not None:
            degraded[row, : len(s.times_s)] = s.degraded
    return Batch(owner=tuple(i for i, _ in series), times_s=times_s, probs=probs, degraded=degraded)


def run(given: Batch, parameters: TransitionParameters, streams: int) -> list[list[Transition]]:
    """Events of each stream, as `Watch` with the same parameters (without merging) decides them."""
    tracks = _Tracks(given, parameters)
    events: list[list[Transition]] = [[] for _ in range(streams)]
    for k in range(given.times_s.shape[1]):
        tracks.weigh(k)
        for row, event in tracks.decide(k):
            events[given.owner[row]].append(event)
    for found in events:
        found.sort(key=lambda event: event.decided_s)
    return events


class _Tracks:
    """The state of every series, row by row; names as in `edge.transitions.detector`."""

    def __init__(self, given: Batch, parameters: TransitionParameters) -> None:
        p = self._p = parameters
        self._given = given
        n, _, width = given.probs.shape
        self._rows = np.arange(n)
        self._dt = np.diff(given.times_s, axis=1, prepend=given.times_s[:, :1])
        self._evidence = _evidence(given.probs, p)
        weights = np.tanh(self._dt / (2 * p.noise_time_s))
        weights[:, 0] = 1.0
        weights[given.degraded] *= p.degraded_weight
        self._weights = weights
        self._ending = -np.expm1(-np.array(p.rates_per_s) * self._dt[:, :, None])
        self._destinations = np.array(p.destinations)
        self._usual = np.array(p.adaptation.usual)
        self._share = weights * p.noise_time_s * 2 / p.adaptation.time_s
        self._threshold = 1 / (1 + np.exp(-p.threshold))
        self.belief = np.tile(np.array(p.start), (n, 1))
        self.run, self.rest = np.zeros((n, width)), np.zeros((n, width))
        self.since = np.tile(given.times_s[:, :1], (1, width))
        self.state = np.full(n, -1)
        self.onset_s, self.decided_s = given.times_s[:, 0].copy(), np.full(n, -np.inf)
        self.degraded_s = np.full(n, -np.inf)

    def weigh(self, k: int) -> None:
        """Take in every row's frame ``k``."""
        now, live = self._given.times_s[:, k], self._live(k)
        if k:
            moved = self.belief * self._ending[:, k]
            self.belief = self.belief - moved + moved @ self._destinations
            lost = self._dt[:, k] > self._p.gap_s
            self.run[lost] = 0.0
            self.since[lost] = now[lost, None]
        self.degraded_s = np.where(self._given.degraded[:, k] & live, now, self.degraded_s)
        scaled = (self._evidence[:, k] - self.rest) * self._weights[:, k, None]
        raised = self.belief * np.exp(scaled - scaled.max(axis=1, keepdims=True)) + 1e-12
        raised /= raised.sum(axis=1, keepdims=True)
        self.belief = np.where(live[:, None], raised, self.belief)
        than = np.where(self.state < 0, 0.0, scaled[self._rows, self.state])
        grown = np.maximum(self.run + scaled - than[:, None], 0.0)
        self.run = np.where(live[:, None], grown, self.run)
        self.since = np.where((self.run <= 0.0) & live[:, None], now[:, None], self.since)
        self._adapt(k, (self.state == _NEUTRAL) & live)

    def _adapt(self, k: int, resting: NDArray[np.bool_]) -> None:
        # The resting offset of neutral itself stays zero, so the evidence needs no correction.
        excess = self._evidence[:, k] - self._evidence[:, k, [_NEUTRAL]] - self._usual
        step = (self._share[:, k] * self.belief[:, _NEUTRAL])[:, None]
        followed = np.clip(self.rest + step * (excess - self.rest), 0.0, self._p.adaptation.most)
        followed[:, _NEUTRAL] = 0.0
        self.rest = np.where(resting[:, None], followed, self.rest)

    def decide(self, k: int) -> Iterator[tuple[int, Transition]]:
        """Rows that change on frame ``k``, each with its event."""
        p, rows, now = self._p, self._rows, self._given.times_s[:, k]
        best = self.belief.argmax(axis=1)
        probs = self._given.probs[:, k]
        old = np.where(self.state < 0, 1 / probs.shape[1], probs[rows, self.state])
        hold = np.where(self.state < 0, p.settle_s, p.hold_s)
        fires = (
            self._live(k)
            & (best != self.state)
            & (self.belief[rows, best] >= self._threshold)
            & (now - self.since[rows, best] >= hold - _SLACK_S)
            & (now - self.decided_s >= p.dwell_s - _SLACK_S)
            & (probs[rows, best] > old)
        )
        for row in np.flatnonzero(fires).tolist():
            yield row, self._change(row, int(best[row]), float(now[row]))

    def _change(self, row: int, best: int, now_s: float) -> Transition:
        p, since_s = self._p, float(self.since[row, best])
        onset_s = max(float(self.onset_s[row]), since_s - p.onset_lead_s)
        belief = float(self.belief[row, best])
        odds = p.confidence[0] + p.confidence[1] * math.log(belief / max(1 - belief, 1e-9))
        before = None if self.state[row] < 0 else Emotion(int(self.state[row]))
        event = Transition(
            track=row,
            label=str(row),
            before=before,
            after=Emotion(best),
            confidence=1 / (1 + math.exp(-odds)),
            onset_s=onset_s,
            decided_s=now_s,
            dwell_s=0.0 if before is None else onset_s - float(self.onset_s[row]),
            degraded=bool(self.degraded_s[row] >= since_s),
        )
        self.state[row], self.onset_s[row], self.decided_s[row] = best, onset_s, now_s
        self.run[row], self.since[row] = 0.0, now_s
        return event

    def _live(self, k: int) -> NDArray[np.bool_]:
        """Rows whose frame ``k`` is a frame, not padding."""
        return np.asarray((self._dt[:, k] > 0) | (k == 0))


def _evidence(probs: NDArray[np.float64], p: TransitionParameters) -> NDArray[np.float64]:
    logits = np.log(probs + FLOOR) @ np.array(p.calibration_matrix).T + np.array(p.calibration_bias)
    r = np.exp(logits - logits.max(axis=-1, keepdims=True))
    r /= r.sum(axis=-1, keepdims=True)
    evidence: NDArray[np.float64] = np.log(r * (1 - p.outlier) / np.array(p.prior) + p.outlier)
    return evidence
