"""Timings: constant memory, true percentiles, and levels that are judged by their own frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.stage_times import ENOUGH, RECENT, RecentLatency, StageTimes


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300))
def test_percentiles_are_ordered_and_within_range(seconds):
    """Whatever is recorded, p50 <= p95 <= p99, none beyond what was seen."""
    times = StageTimes()
    for value in seconds:
        times.add("faces", value)
    got = times.percentiles("faces")
    tiny = 1e-6
    assert min(seconds) * 1e3 - tiny <= got.p50_ms <= got.p95_ms + tiny
    assert got.p95_ms - tiny <= got.p99_ms <= max(seconds) * 1e3 + tiny


def test_old_values_are_forgotten():
    """Only the last so many of each stage count, and stages keep their order."""
    times = StageTimes(kept=10)
    for value in (*[5.0] * 50, *[1.0] * 10):
        times.add("models", value)
    times.add("total", 2.0)
    assert times.percentiles("models").p99_ms == pytest.approx(1000)
    assert list(times.summary()) == ["models", "total"]
    assert times.percentiles("none").p50_ms == 0


def test_a_level_is_judged_by_its_own_frames():
    """Too few frames say nothing; after a change the slow ones of before are gone."""
    latency = RecentLatency()
    for _ in range(ENOUGH - 1):
        latency.add(0.2)
    assert latency.p95_ms() is None
    latency.add(0.2)
    assert latency.p95_ms() == pytest.approx(200)
    latency.clear()
    for _ in range(RECENT * 2):
        latency.add(0.01)
    assert latency.p95_ms() == pytest.approx(10)
