"""The stage that decides: takes in each face's predictions and reports settled changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.transitions.average import UNKNOWN, AverageFilter
from edge.transitions.emissions import EmissionModel, information, sources_alone
from edge.values import Transition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.transitions.average import Decisions
    from edge.transitions.parameters import TransitionParameters
    from edge.values import Prediction
    from emoshift.emotions import Emotion

_ROWS: Final = 8
"""Room for tracks to begin with; it doubles when all are taken."""
SURE: Final = math.log(2)
"""Nats by which the likeliest emotion of a face must lead the next one, or it is abstained of."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Track:
    """What is kept of one face beside its row in the filter."""

    row: int
    onset_s: float
    degraded_s: float = -math.inf


class TransitionDetector:
    """Decides for any number of faces when an emotion has changed.

    Constant memory and time per face and frame; faces do not influence each other. Capture times
    of one face must increase; a prediction that is not newer than the last one is ignored.
    """

    def __init__(self, parameters: TransitionParameters) -> None:
        self._parameters = parameters
        self._classes = parameters.classes
        self._emissions = EmissionModel([parameters])
        self._filter = AverageFilter([parameters], _ROWS)
        self._free = list(range(_ROWS))
        self._tracks: dict[int, _Track] = {}

    def update(self, predictions: Sequence[Prediction]) -> tuple[Transition | None, ...]:
        """Take in the predictions of one frame; return the change each completes, if any.

        Args:
            predictions: Of different faces.
        """
        news = [place for place, p in enumerate(predictions) if self._is_newer(p)]
        changes: list[Transition | None] = [None] * len(predictions)
        if not news:
            return tuple(changes)
        fresh = [predictions[place] for place in news]
        tracks = [self._track(prediction) for prediction in fresh]
        log_probs = np.stack(
            [sources_alone(p.probs) if p.log_probs is None else p.log_probs for p in fresh]
        )
        talking = np.array([p.talking for p in fresh])
        less = self._parameters.degraded_weight
        counts = information(log_probs) * np.array([less if p.degraded else 1.0 for p in fresh])
        decisions = self._filter.step(
            np.array([track.row for track in tracks]),
            np.array([p.captured_s for p in fresh]),
            self._emissions.scores(log_probs[None], talking[None])[0],
            counts,
            talking,
        )
        for index, place in enumerate(decisions.changed):
            change = self._change(tracks[place], fresh[place], decisions, index)
            changes[news[place]] = change
        return tuple(changes)

    def forget(self, tracks: Iterable[int]) -> None:
        """Drop all that is kept of ``tracks``; unknown numbers are no error."""
        for number in tracks:
            if (track := self._tracks.pop(number, None)) is not None:
                self._filter.reset(track.row)
                self._free.append(track.row)

    def count_unsure(self, tracks: Sequence[int]) -> int:
        """Count of how many of these no emotion is believed twice as much as every other."""
        rows = [found.row for track in tracks if (found := self._tracks.get(track)) is not None]
        sure = self._filter.leads(rows) >= SURE if rows else ()
        return len(tracks) - int(np.count_nonzero(sure))

    def states(self) -> dict[int, Emotion | None]:
        """Give the settled emotion of each face watched; ``None`` (unknown) before the first."""
        states = self._filter.state
        return {
            number: None if states[track.row] == UNKNOWN else self._classes[states[track.row]]
            for number, track in self._tracks.items()
        }

    def _is_newer(self, prediction: Prediction) -> bool:
        track = self._tracks.get(prediction.track)
        return track is None or prediction.captured_s > self._filter.seen_s[track.row]

    def _track(self, prediction: Prediction) -> _Track:
        track = self._tracks.get(prediction.track)
        if track is None:
            if not self._free:
                rows = len(self._filter.state)
                self._filter.grow(2 * rows)
                self._free = list(range(rows, 2 * rows))
            track = _Track(row=self._free.pop(), onset_s=prediction.captured_s)
            self._tracks[prediction.track] = track
        if prediction.degraded:
            track.degraded_s = prediction.captured_s
        return track

    def _change(
        self, track: _Track, prediction: Prediction, decisions: Decisions, index: int
    ) -> Transition:
        before, after = int(decisions.before[index]), int(decisions.after[index])
        since_s = float(decisions.since_s[index])
        onset_s = max(track.onset_s, since_s - self._parameters.onset_lead_s)
        change = Transition(
            track=prediction.track,
            label=prediction.label,
            before=None if before == UNKNOWN else self._classes[before],
            after=self._classes[after],
            confidence=confidence(float(decisions.posterior[index]), self._parameters.confidence),
            onset_s=onset_s,
            decided_s=prediction.captured_s,
            dwell_s=0.0 if before == UNKNOWN else onset_s - track.onset_s,
            degraded=track.degraded_s >= since_s,
        )
        track.onset_s = onset_s
        return change


def confidence(posterior: float, line: tuple[float, float]) -> float:
    """Calibrated probability that a decision is right: a logistic fit on its log-odds."""
    odds = math.log(max(posterior, 1e-9) / max(1 - posterior, 1e-9))
    return 1 / (1 + math.exp(-(line[0] + line[1] * odds)))
