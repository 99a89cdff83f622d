"""The device's detector over many streams at once, for fitting: same numbers, fifty times faster.

A test holds it to `edge.transitions.Watch` event by event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.values import Emotion, Transition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.transitions.values import Stream
    from edge.transitions import TransitionParameters

_SLACK_S = 1e-6


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
    p = parameters
    n, frames, width = given.probs.shape
    dt = np.diff(given.times_s, axis=1, prepend=given.times_s[:, :1])
    evidence = _evidence(given.probs, p)
    weights = np.tanh(dt / (2 * p.noise_time_s))
    weights[:, 0] = 1.0
    weights[given.degraded] *= p.degraded_weight
    ending = -np.expm1(-np.array(p.rates_per_s) * dt[:, :, None])
    destinations = np.array(p.destinations)
    usual, neutral = np.array(p.adaptation.usual), int(Emotion.NEUTRAL)
    share = weights * p.noise_time_s * 2 / p.adaptation.time_s
    threshold = 1 / (1 + np.exp(-p.threshold))

    rows = np.arange(n)
    belief = np.tile(np.array(p.start), (n, 1))
    run_, rest = np.zeros((n, width)), np.zeros((n, width))
    since = np.tile(given.times_s[:, :1], (1, width))
    state = np.full(n, -1)
    onset, decided = given.times_s[:, 0].copy(), np.full(n, -np.inf)
    last_degraded = np.full(n, -np.inf)
    events: list[list[Transition]] = [[] for _ in range(streams)]
    for k in range(frames):
        now = given.times_s[:, k]
        live = (dt[:, k] > 0) | (k == 0)
        if k:
            moved = belief * ending[:, k]
            belief = belief - moved + moved @ destinations
            lost = dt[:, k] > p.gap_s
            run_[lost] = 0.0
            since[lost] = now[lost, None]
        last_degraded = np.where(given.degraded[:, k] & live, now, last_degraded)
        seen = evidence[:, k] - rest
        scaled = seen * weights[:, k, None]
        raised = belief * np.exp(scaled - scaled.max(axis=1, keepdims=True)) + 1e-12
        raised /= raised.sum(axis=1, keepdims=True)
        belief = np.where(live[:, None], raised, belief)
        than = np.where(state < 0, 0.0, scaled[rows, state])
        run_ = np.where(live[:, None], np.maximum(run_ + scaled - than[:, None], 0.0), run_)
        since = np.where((run_ <= 0.0) & live[:, None], now[:, None], since)
        resting = (state == neutral) & live
        excess = evidence[:, k] - evidence[:, k, [neutral]] + rest[:, [neutral]] - usual
        followed = rest + (share[:, k] * belief[:, neutral])[:, None] * (excess - rest)
        followed = np.clip(followed, 0.0, p.adaptation.most)
        followed[:, neutral] = 0.0
        rest = np.where(resting[:, None], followed, rest)

        best = belief.argmax(axis=1)
        top, begun = belief[rows, best], since[rows, best]
        hold = np.where(state < 0, p.settle_s, p.hold_s)
        shown = given.probs[rows, k, best]
        old = np.where(state < 0, 1 / width, given.probs[rows, k, state])
        fires = (
            live
            & (best != state)
            & (top >= threshold)
            & (now - begun >= hold - _SLACK_S)
            & (now - decided >= p.dwell_s - _SLACK_S)
            & (shown > old)
        )
        for i in np.flatnonzero(fires).tolist():
            before = None if state[i] < 0 else Emotion(int(state[i]))
            at = max(float(onset[i]), float(begun[i]) - p.onset_lead_s)
            odds = np.log(top[i] / max(1 - top[i], 1e-9))
            intercept, slope = p.confidence
            events[given.owner[i]].append(
                Transition(
                    track=i,
                    label=str(i),
                    before=before,
                    after=Emotion(int(best[i])),
                    confidence=float(1 / (1 + np.exp(-(intercept + slope * odds)))),
                    onset_s=at,
                    decided_s=float(now[i]),
                    dwell_s=0.0 if before is None else at - float(onset[i]),
                    degraded=bool(last_degraded[i] >= begun[i]),
                )
            )
            state[i], onset[i], decided[i] = best[i], at, now[i]
            run_[i], since[i] = 0.0, now[i]
    for found in events:
        found.sort(key=lambda event: event.decided_s)
    return events


def _evidence(probs: NDArray[np.float64], p: TransitionParameters) -> NDArray[np.float64]:
    logits = np.log(probs + 1e-6) @ np.array(p.calibration_matrix).T + np.array(p.calibration_bias)
    r = np.exp(logits - logits.max(axis=-1, keepdims=True))
    r /= r.sum(axis=-1, keepdims=True)
    evidence: NDArray[np.float64] = np.log(r * (1 - p.outlier) / np.array(p.prior) + p.outlier)
    return evidence
