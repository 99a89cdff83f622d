"""Pairing rows with columns."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.faces.assignment import best_pairs


@pytest.mark.parametrize(
    ("scores", "pairs"),
    [
        pytest.param({}, [], id="nothing to pair"),
        pytest.param({(0, 0): 1.0}, [(0, 0)], id="one of each"),
        pytest.param({(0, 0): 5.0, (1, 0): 6.0}, [(1, 0)], id="two want one"),
        pytest.param(
            {(0, 0): 9.0, (0, 1): 8.0, (1, 0): 8.5, (1, 1): 1.0},
            [(0, 1), (1, 0)],
            id="the best pair is given up for the best sum",
        ),
        pytest.param({(3, 7): 1.0, (5, 2): 1.0}, [(3, 7), (5, 2)], id="far groups"),
    ],
)
def test_pairs(scores: dict[tuple[int, int], float], pairs: list[tuple[int, int]]) -> None:
    """The pairing has the greatest sum of scores."""
    assert best_pairs(scores) == pairs


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 3)), st.floats(0.1, 20), max_size=10
    )
)
def test_no_pairing_is_worth_more(scores: dict[tuple[int, int], float]) -> None:
    """Nothing that can be tried by hand beats it."""
    pairs = best_pairs(scores)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    tried = max(
        sum(scores.get((row, column), 0.0) for row, column in enumerate(order))
        for order in permutations(range(4))
    )
    assert sum(scores[pair] for pair in pairs) == pytest.approx(tried)
