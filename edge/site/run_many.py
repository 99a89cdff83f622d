"""The detector of the device over one recording under many settings at once, as rows of its filter.

A calibration tries some hundred settings; one after the other they would take a board half an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.transitions.average import UNKNOWN, AverageFilter
from edge.transitions.detector import confidence
from edge.transitions.emissions import EmissionModel, information
from edge.values import Transition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.site.channels import Row
    from edge.transitions import TransitionParameters


def run_many(
    rows: Sequence[Row], settings: Sequence[TransitionParameters]
) -> list[list[Transition]]:
    """What each setting decides, in the order of decision.

    Args:
        rows: A recording in the order of time, each face at most once at a time.
        settings: They must merge the same emotions.
    """
    events: list[list[Transition]] = [[] for _ in settings]
    if not rows or not settings:
        return events
    count = len(settings)
    faces = {face: place for place, face in enumerate(sorted({row.face for row in rows}))}
    numbers: dict[str, NDArray[np.float64]] = {
        "log_probs": np.stack([row.log_probs for row in rows]),
        "talking": np.array([row.talking for row in rows]),
    }
    scores = EmissionModel(settings).scores(numbers["log_probs"][None], numbers["talking"][None])
    counts = np.repeat(information(numbers["log_probs"])[None], count, axis=0)
    less = np.array([p.degraded_weight for p in settings])
    degraded = np.array([row.degraded for row in rows])
    counts[:, degraded] *= less[:, None]
    filter_ = AverageFilter([p for p in settings for _ in faces], count * len(faces))
    newest = dict.fromkeys(faces, -np.inf)
    onset_s = np.full(count * len(faces), np.nan)
    degraded_s = dict.fromkeys(faces, -np.inf)
    first_rows = np.arange(count) * len(faces)
    for place, row in enumerate(rows):
        if row.at_s <= newest[row.face]:
            continue
        newest[row.face] = row.at_s
        if row.degraded:
            degraded_s[row.face] = row.at_s
        tracks = first_rows + faces[row.face]
        onset_s[tracks] = np.where(np.isnan(onset_s[tracks]), row.at_s, onset_s[tracks])
        decided = filter_.step(
            tracks,
            np.full(count, row.at_s),
            scores[:, place],
            counts[:, place],
            np.full(count, row.talking),
        )
        for index, which in enumerate(decided.changed.tolist()):
            p, began_s = settings[which], float(onset_s[tracks[which]])
            since_s, before = float(decided.since_s[index]), int(decided.before[index])
            begins_s = max(began_s, since_s - p.onset_lead_s)
            onset_s[tracks[which]] = begins_s
            events[which].append(
                Transition(
                    track=row.face,
                    label=f"face-{row.face}",
                    before=None if before == UNKNOWN else p.classes[before],
                    after=p.classes[int(decided.after[index])],
                    confidence=confidence(float(decided.posterior[index]), p.confidence),
                    onset_s=begins_s,
                    decided_s=row.at_s,
                    dwell_s=0.0 if before == UNKNOWN else begins_s - began_s,
                    degraded=degraded_s[row.face] >= since_s,
                )
            )
    return events
