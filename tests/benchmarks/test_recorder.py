"""Columns of durations."""

from __future__ import annotations

import numpy as np

from benchmarks.recorder import Recorder


def test_columns_may_have_gaps():
    """A stage that does not run in every frame has fewer values, each in its own row."""
    recorder = Recorder(4)
    for row in range(4):
        recorder.put("faces", row)
        if row % 2:
            recorder.put("outbox", 10 + row)
        recorder.finish_row()
    assert recorder.values("outbox").tolist() == [11, 13]
    assert np.isnan(recorder.column("outbox")[0])
    assert recorder.values("never").size == 0


def test_more_rows_than_expected():
    """A run that lasts longer than planned loses nothing."""
    recorder = Recorder(1)
    for row in range(5000):
        recorder.put("faces", row)
        recorder.finish_row()
    assert recorder.values("faces").tolist() == list(range(5000))
