"""Whose landmarks are measured."""

from __future__ import annotations

import pytest

from edge.faces.landmark_scheduler import Candidate, select


@pytest.mark.parametrize(
    ("needs", "budget", "chosen"),
    [
        pytest.param([], 2, (), id="nobody"),
        pytest.param([Candidate(1, 0.5, 0), Candidate(2, 0.9, 0)], 1, (2,), id="the oldest first"),
        pytest.param(
            [Candidate(1, 0.5, 0), Candidate(2, None, 0)], 1, (2,), id="new faces before all"
        ),
        pytest.param(
            [Candidate(1, 0.5, 0.2), Candidate(2, 0.9, 0)], 1, (1,), id="changed before older"
        ),
        pytest.param([Candidate(1, 0.01, 0, due=False)], 5, (), id="not again at once"),
        pytest.param([Candidate(1, 0.5, 0)], 0, (), id="no budget"),
        pytest.param(
            [Candidate(2, 0.5, 0), Candidate(1, 0.5, 0)], 2, (1, 2), id="equals by number"
        ),
    ],
)
def test_choice(needs: list[Candidate], budget: int, chosen: tuple[int, ...]) -> None:
    """The most urgent faces within the budget."""
    assert select(needs, budget=budget) == chosen


def test_nobody_starves() -> None:
    """However lively one face is, every other is measured again and again."""
    last = dict.fromkeys(range(10), 0.0)
    for step in range(1, 200):
        now = step / 30
        needs = [Candidate(n, now - at, 1.0 if n == 0 else 0.0) for n, at in last.items()]
        for number in select(needs, budget=1):
            last[number] = now
        assert max(now - at for at in last.values()) < 1.0
