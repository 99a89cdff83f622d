"""The governor: sheds fast, returns slowly, never swings for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.health.governor import HIGHEST_LEVEL, Governor, Load


def run(governor: Governor, story: list[tuple[float, float, bool]]) -> list[int]:
    """Feed (until_s, p95_ms, hot) spans at ten decisions a second; return the level at each end."""
    levels, now_s = [], getattr(governor, "now_s", 0.0)
    for until_s, p95_ms, hot in story:
        while now_s < until_s:
            governor.decide(Load(now_s=now_s, p95_ms=p95_ms, budget_ms=100.0, hot=hot))
            now_s += 0.1
        levels.append(governor.level)
    return levels


def test_load_is_shed_in_steps_and_taken_back() -> None:
    """Above the budget a level goes each second; with room they return one by one."""
    assert run(
        Governor(), [(5, 40, False), (6.5, 120, False), (15, 40, False), (18, 40, False)]
    ) == [
        0,
        1,
        1,
        0,
    ]


def test_heat_sheds_although_the_budget_holds() -> None:
    """A chip about to throttle is relieved before it does."""
    assert run(Governor(), [(5, 10, True)])[0] == HIGHEST_LEVEL


def test_the_band_between_keeps_the_level() -> None:
    """Between the two marks nothing changes, however long."""
    assert run(Governor(), [(2.5, 120, False), (200, 75, False)]) == [2, 2]


def test_a_load_on_the_edge_swings_ever_less() -> None:
    """A level that has to be shed again soon is kept longer each time."""
    governor, now_s, changes = Governor(), 0.0, 0
    before = 0
    while now_s < 600:
        p95_ms = 120.0 if governor.level == 0 else 40.0
        governor.decide(Load(now_s=now_s, p95_ms=p95_ms, budget_ms=100.0, hot=False))
        changes += governor.level != before
        before = governor.level
        now_s += 0.1
    assert changes <= 14


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 500), st.booleans()), max_size=60))
def test_the_level_moves_one_step_at_a_time(steps: list[tuple[float, float, bool]]) -> None:
    """Whatever is measured, the level stays in range and never jumps."""
    governor, now_s, before = Governor(), 0.0, 0
    for gap_s, p95_ms, hot in steps:
        now_s += gap_s
        level = governor.decide(Load(now_s=now_s, p95_ms=p95_ms, budget_ms=100.0, hot=hot))
        assert 0 <= level <= HIGHEST_LEVEL
        assert abs(level - before) <= 1
        before = level
