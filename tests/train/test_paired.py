"""Paired differences: they count pictures, and an interval narrows with agreement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from train.experiments.paired import paired_difference

PAIRS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 200), st.just(2)))


@given(PAIRS)
def test_difference_is_that_of_the_accuracies_and_lies_in_its_interval(
    right: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
) -> None:
    found = paired_difference(right[:, 0], right[:, 1])
    assert found.points == pytest.approx(100 * (right[:, 0].mean() - right[:, 1].mean()))
    assert found.low - 1e-9 <= found.points <= found.high + 1e-9
    turned = paired_difference(right[:, 1], right[:, 0])
    assert (turned.points, turned.won, turned.lost) == (-found.points, found.lost, found.won)


def test_pictures_both_get_alike_add_no_doubt() -> None:
    right = np.array([True] * 600 + [False] * 400)
    found = paired_difference(right, right)
    assert (found.points, found.low, found.high) == (0.0, 0.0, 0.0)


def test_interval_is_that_of_a_paired_proportion() -> None:
    """Against the normal approximation: 60 won and 30 lost of 3,000."""
    first = np.array([True] * 60 + [False] * 30 + [True] * 2910)
    second = np.array([False] * 60 + [True] * 30 + [True] * 2910)
    found = paired_difference(first, second)
    spread = 100 * np.sqrt(90 - 30**2 / 3000) / 3000
    assert found.points == pytest.approx(1.0)
    assert found.low == pytest.approx(1.0 - 1.96 * spread, abs=0.05)
    assert found.high == pytest.approx(1.0 + 1.96 * spread, abs=0.05)
