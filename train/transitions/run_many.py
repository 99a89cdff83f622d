"""The device's detector over many streams, and over many settings of it, at once.

Tracks and settings are rows of the very filter that the device runs, so that fitting judges what
is deployed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.transitions.average import UNKNOWN, AverageFilter
from edge.transitions.detector import confidence
from edge.transitions.emissions import EmissionModel, information
from edge.values import Transition
from emoshift.emotions import Emotion
from train.transitions.streams import log_probs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.transitions import TransitionParameters
    from train.transitions.streams import Series, Stream

CHUNK: Final = 32
"""Settings run at once: enough to spread the cost of a step, few enough for the memory."""


def run(
    streams: Sequence[Stream], settings: Sequence[TransitionParameters]
) -> list[list[list[Transition]]]:
    """Events of every stream under each setting, ``[setting][stream]``, in the order of decision.

    The settings must merge the same emotions.
    """
    found: list[list[list[Transition]]] = []
    for start in range(0, len(settings), CHUNK):
        found += _run(streams, settings[start : start + CHUNK])
    return found


def _run(
    streams: Sequence[Stream], settings: Sequence[TransitionParameters]
) -> list[list[list[Transition]]]:
    series = [(owner, s) for owner, stream in enumerate(streams) for s in stream.series]
    series.sort(key=lambda entry: -len(entry[1].times_s))
    tracks, count = len(series), len(settings)
    scores = [_scores(s, settings) for _, s in series]
    spread = [p for p in settings for _ in series]
    filter_ = AverageFilter(spread, count * tracks)
    lengths = np.array([len(s.times_s) for _, s in series])
    longest = int(lengths.max(initial=0))
    times_s, counts, talking, degraded = np.zeros((4, tracks, longest))
    for i, (_, s) in enumerate(series):
        times_s[i, : lengths[i]] = s.times_s
        counts[i, : lengths[i]] = information(log_probs_of(s))
        talking[i, : lengths[i]] = 0.0 if s.talking is None else s.talking
        degraded[i, : lengths[i]] = 0.0 if s.degraded is None else s.degraded
    less_weight = np.repeat([p.degraded_weight for p in settings], tracks)
    onset_s = np.tile(times_s[:, :1].ravel(), count)
    degraded_s = np.full(count * tracks, -np.inf)
    events: list[list[list[Transition]]] = [[[] for _ in streams] for _ in settings]
    active = int(tracks)
    for k in range(longest):
        while active and lengths[active - 1] <= k:
            active -= 1
        rows = (np.arange(count)[:, None] * tracks + np.arange(active)).ravel()
        now_s = np.tile(times_s[:active, k], count)
        less = np.tile(degraded[:active, k] > 0, count)
        degraded_s[rows[less]] = now_s[less]
        decided = filter_.step(
            rows,
            now_s,
            np.stack([scores[i][:, k] for i in range(active)], axis=1).reshape(len(rows), -1),
            np.tile(counts[:active, k], count) * np.where(less, less_weight[rows], 1.0),
            np.tile(talking[:active, k], count),
        )
        for index, place in enumerate(decided.changed.tolist()):
            row = int(rows[place])
            which, track = divmod(row, tracks)
            p, since_s = settings[which], float(decided.since_s[index])
            before, began_s = int(decided.before[index]), float(onset_s[row])
            onset_s[row] = max(began_s, since_s - p.onset_lead_s)
            owner, s = series[track]
            events[which][owner].append(
                Transition(
                    track=s.track,
                    label=f"face-{s.track}",
                    before=None if before == UNKNOWN else Emotion(p.classes[before]),
                    after=p.classes[int(decided.after[index])],
                    confidence=confidence(float(decided.posterior[index]), p.confidence),
                    onset_s=float(onset_s[row]),
                    decided_s=float(now_s[place]),
                    dwell_s=0.0 if before == UNKNOWN else float(onset_s[row]) - began_s,
                    degraded=bool(degraded_s[row] >= since_s),
                )
            )
    for of_setting in events:
        for of_stream in of_setting:
            of_stream.sort(key=lambda event: event.decided_s)
    return events


def _scores(series: Series, settings: Sequence[TransitionParameters]) -> NDArray[np.float64]:
    """Shape ``(settings, frames, classes)``."""
    log_probs = log_probs_of(series)
    talking = np.zeros(len(series.times_s)) if series.talking is None else series.talking
    return EmissionModel(settings).scores(log_probs[None], talking[None])
