"""The stage that decides: watches each face's predictions and reports settled changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.transitions.evidence import Emissions
from edge.transitions.hmm import Chain, update
from edge.values import Transition
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.transitions.parameters import TransitionParameters
    from edge.values import Prediction

_NEVER = -math.inf
_SLACK_S = 1e-6
"""Differences of capture times are exact to this much, however long the clock has run."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Track:
    """All that is kept of one face: a fixed number of floats.

    ``run`` is each emotion's evidence over the settled one since it last had none, and ``since``
    the capture time of that moment: the most likely beginning of a change to it.
    """

    seen_s: float
    belief: NDArray[np.float64]
    run: NDArray[np.float64]
    since: NDArray[np.float64]
    rest: NDArray[np.float64]
    state: int | None = None
    onset_s: float
    decided_s: float = _NEVER
    degraded_s: float = _NEVER


class Watch:
    """Decides for any number of faces when an emotion has changed.

    Constant memory and time per face and frame; faces do not influence each other. Capture times
    of one face must increase; a prediction that is not newer than the last one is ignored.
    """

    def __init__(self, parameters: TransitionParameters) -> None:
        self._parameters = parameters
        self._classes = parameters.classes
        self._emissions = Emissions(parameters)
        self._chain = Chain(parameters)
        self._threshold = 1 / (1 + math.exp(-parameters.threshold))
        self._tracks: dict[int, _Track] = {}
        neutral = Emotion.NEUTRAL
        self._neutral = self._classes.index(parameters.merge.get(neutral, neutral))
        self._usual = np.array([parameters.adaptation.usual[e] for e in self._classes])

    def watch(self, prediction: Prediction) -> Transition | None:
        """Take in one prediction; return the change it completes, if any."""
        track = self._tracks.get(prediction.track)
        now_s = prediction.captured_s
        if track is None:
            track = self._tracks[prediction.track] = self._appear(now_s)
            weight = 1.0
        else:
            dt_s = now_s - track.seen_s
            if dt_s <= 0:
                return None
            track.seen_s = now_s
            track.belief = self._chain.predict(track.belief, dt_s)
            weight = self._emissions.weight(dt_s)
            if dt_s > self._parameters.gap_s:
                track.run[:] = 0
                track.since[:] = now_s
        if prediction.degraded:
            weight *= self._parameters.degraded_weight
            track.degraded_s = now_s
        evidence = self._emissions.log_likelihoods(prediction.probs) - track.rest
        self._weigh(track, evidence, weight, now_s)
        return self._decide(track, prediction)

    def forget(self, tracks: Iterable[int]) -> None:
        """Drop all that is kept of ``tracks``; unknown numbers are no error."""
        for track in tracks:
            self._tracks.pop(track, None)

    def is_sure(self, track: int) -> bool:
        """Whether belief in one emotion suffices to decide by; ``False`` for who is not watched."""
        found = self._tracks.get(track)
        return found is not None and float(found.belief.max()) >= self._threshold

    def states(self) -> dict[int, Emotion | None]:
        """Give the settled emotion of each face watched; ``None`` (unknown) before the first."""
        return {
            number: None if track.state is None else self._classes[track.state]
            for number, track in self._tracks.items()
        }

    def _appear(self, now_s: float) -> _Track:
        n = len(self._classes)
        return _Track(
            seen_s=now_s,
            belief=self._chain.start,
            run=np.zeros(n),
            since=np.full(n, now_s),
            rest=np.zeros(n),
            onset_s=now_s,
        )

    def _weigh(
        self, track: _Track, evidence: NDArray[np.float64], weight: float, now_s: float
    ) -> None:
        """Move belief, the runs of evidence and the picture of the resting face."""
        scaled = evidence * weight
        track.belief = update(track.belief, scaled)
        track.run += scaled if track.state is None else scaled - scaled[track.state]
        np.maximum(track.run, 0.0, out=track.run)
        track.since[track.run <= 0.0] = now_s
        if track.state == self._neutral:
            self._adapt(track, evidence, weight)

    def _adapt(self, track: _Track, evidence: NDArray[np.float64], weight: float) -> None:
        """Follow what this person's neutral face looks like, within bounds."""
        adaptation = self._parameters.adaptation
        share = weight * self._parameters.noise_time_s * 2 / adaptation.time_s
        raw = evidence + track.rest
        excess = raw - raw[self._neutral] - self._usual
        track.rest += share * float(track.belief[self._neutral]) * (excess - track.rest)
        np.clip(track.rest, 0.0, adaptation.most, out=track.rest)
        track.rest[self._neutral] = 0.0

    def _decide(self, track: _Track, prediction: Prediction) -> Transition | None:
        """Report a change if belief, the frame itself and the time held all agree on it."""
        best = int(track.belief.argmax())
        belief = float(track.belief[best])
        now_s, parameters = prediction.captured_s, self._parameters
        if best == track.state or belief < self._threshold:
            return None
        since_s = float(track.since[best])
        hold_s = parameters.settle_s if track.state is None else parameters.hold_s
        if now_s - since_s < hold_s - _SLACK_S:
            return None
        if now_s - track.decided_s < parameters.dwell_s - _SLACK_S:
            return None
        if not self._favoured(prediction, best, track.state):
            return None
        return self._change(track, prediction, best, belief)

    def _favoured(self, prediction: Prediction, best: int, state: int | None) -> bool:
        """Whether the frame at hand itself speaks for the new emotion."""
        probs = self._emissions.merged(prediction.probs)
        than = 1 / len(probs) if state is None else float(probs[state])
        return float(probs[best]) > than

    def _change(
        self, track: _Track, prediction: Prediction, best: int, belief: float
    ) -> Transition:
        now_s, parameters = prediction.captured_s, self._parameters
        since_s = float(track.since[best])
        onset_s = max(track.onset_s, since_s - parameters.onset_lead_s)
        intercept, slope = parameters.confidence
        odds = math.log(belief / max(1 - belief, 1e-9))
        before = None if track.state is None else self._classes[track.state]
        transition = Transition(
            track=prediction.track,
            label=prediction.label,
            before=before,
            after=self._classes[best],
            confidence=1 / (1 + math.exp(-(intercept + slope * odds))),
            onset_s=onset_s,
            decided_s=now_s,
            dwell_s=0.0 if before is None else onset_s - track.onset_s,
            degraded=track.degraded_s >= since_s,
        )
        track.state, track.onset_s, track.decided_s = best, onset_s, now_s
        track.run[:] = 0
        track.since[:] = now_s
        return transition
