"""Detectors side by side on streams that leave something out."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.transitions.compare import compare
from benchmarks.transitions.report import table
from edge.transitions import TransitionParameters
from edge.values import frozen
from emoshift.emotions import Emotion
from train.transitions.streams import Series, Stream, Truth


def test_clips_in_which_nothing_changes_are_compared_too() -> None:
    """There is no F1 then, and all detectors that keep still are shown without one."""
    probs = np.full((60, len(Emotion)), 0.02, np.float32)
    probs[:, Emotion.NEUTRAL] = 0.88
    series = Series(track=1, times_s=np.arange(60) / 15, probs=frozen(probs))
    truth = Truth(name="still", start=Emotion.NEUTRAL, changes=(), duration_s=4.0)
    found = compare(
        "labels", "one clip", [Stream(truth=truth, series=(series,))], TransitionParameters()
    )
    assert {row.detector for row in found.rows} >= {"device", "raw arg-max", "CUSUM"}
    assert all(math.isnan(row.scores.f1_1) for row in found.rows)
    assert "1 clips, 0 changes" in table(found)
