"""Distributions, bootstrap intervals and slopes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reports.statistics import (
    bootstrap_ratio,
    percentile,
    slope,
    summarise,
    thin,
    wilson,
)

durations = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=200).map(np.array)


@given(durations)
def test_percentiles_are_in_order(values):
    """No percentile lies outside its neighbours, whatever was measured."""
    d = summarise(values)
    order = [d.min, d.p50, d.p90, d.p95, d.p99, d.max]
    assert order == sorted(order)
    assert d.min - 1e-3 <= d.mean <= d.max + 1e-3
    assert d.n == len(values)


def test_share_over_budget():
    """What equals the budget is within it."""
    assert summarise(np.array([99.0, 100.0, 101.0, 300.0]), 100.0).over_budget == 0.5


def test_nothing_measured():
    """An empty run has a summary too, which says so."""
    assert summarise(np.array([])).n == 0


@given(durations, st.integers(1, 50))
def test_thinning_keeps_order_and_ends(values, most):
    """What is kept stands in the order it was measured in."""
    kept = thin(values, most)
    assert len(kept) == min(most, len(values))
    assert kept[0] == pytest.approx(values[0], abs=1e-4)
    if most > 1:
        assert kept[-1] == pytest.approx(values[-1], abs=1e-4)


def test_a_ratio_is_found_with_its_interval():
    """Twice as slow is 2, surely; the same is 1, surely not slower."""
    noise = np.random.default_rng(3).gamma(50, 0.02, 400)
    twice = bootstrap_ratio(2 * noise[::-1], noise, percentile(50))
    assert twice.low < 2 < twice.high
    assert twice.low > 1.9
    same = bootstrap_ratio(noise[::-1], noise, percentile(95))
    assert same.low <= 1 <= same.high


def test_paired_rounds_cancel_a_common_drift():
    """A machine that slows down for everyone does not blur the ratio of those who take turns."""
    drift = np.linspace(1, 5, 40)
    paired = bootstrap_ratio(1.2 * drift, drift, percentile(50), paired=True)
    alone = bootstrap_ratio(1.2 * drift, drift, percentile(50))
    assert paired.low == pytest.approx(1.2)
    assert paired.high == pytest.approx(1.2)
    assert alone.high - alone.low > 0.1


def test_slope_needs_time():
    """Two points make no slope; three do."""
    assert slope(np.array([0.0, 1.0]), np.array([1.0, 2.0])) is None
    assert slope(np.array([0.0, 1.0, 2.0]), np.array([5.0, 7.0, 9.0])) == pytest.approx(2)


def test_wilson_interval():
    """The textbook's example: 64.7 % of 3,589."""
    share = wilson(2322, 3589)
    assert (share.low, share.high) == (
        pytest.approx(0.6312, abs=1e-4),
        pytest.approx(0.6625, abs=1e-4),
    )
