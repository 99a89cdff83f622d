"""What work costs is learned from what it has cost, and a plan made of it fits its budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cost import PLANNED_SHARE, Cost, CostModel, FramePlanner

costs = st.builds(
    Cost,
    fixed_s=st.floats(0.0, 0.05, allow_subnormal=False),
    each_s=st.floats(0.0, 0.05, allow_subnormal=False),
)
counts = st.lists(st.integers(1, 30), min_size=1, max_size=60)
START = Cost(fixed_s=0.005, each_s=0.02)


@given(costs, counts)
def test_a_machine_is_learned(machine: Cost, seen: list[int]) -> None:
    """Whatever a steady machine costs, counts seen lately are predicted as they were."""
    model = CostModel(START)
    for count in [*seen, 2, 8, 20] * 2:
        model.observe(count, machine.predict(count))
    scale = machine.fixed_s + machine.each_s
    for count in (2, 8, 20):
        assert model.predict(count) == pytest.approx(machine.predict(count), abs=0.1 * scale)


@given(costs, st.integers(1, 30), st.integers(1, 40))
def test_one_count_alone_predicts_no_less_for_more(machine: Cost, count: int, times: int) -> None:
    """Who has seen one count knows it; for more faces the guess is never too low by much."""
    model = CostModel(START)
    for _ in range(times):
        model.observe(count, machine.predict(count))
    assert model.predict(count) == pytest.approx(machine.predict(count), rel=1e-6, abs=1e-9)
    assert model.predict(30) >= machine.predict(30) * (1 - 1e-6)


@given(st.lists(st.tuples(st.integers(-3, 40), st.floats(-1, 10))), st.floats(-1, 1))
def test_nothing_costs_less_than_nothing(seen: list[tuple[int, float]], budget_s: float) -> None:
    """Whatever is measured, no estimate is negative, and what is chosen fits."""
    model = CostModel(START)
    for count, seconds in seen:
        model.observe(count, seconds)
        assert model.cost.fixed_s >= 0.0
        assert model.cost.each_s >= 0.0
    most = model.most(budget_s, at_most=30)
    assert 0 <= most <= 30
    assert most == 0 or model.predict(most) <= budget_s
    assert most == 30 or model.predict(most + 1) > budget_s * (1 - 1e-9)


@given(costs, costs, costs, st.integers(1, 30), st.floats(0.0, 0.2), st.integers(0, 30))
def test_a_plan_fits_or_is_the_smallest(
    landmarks: Cost, classification: Cost, rest: Cost, faces: int, age_s: float, due: int
) -> None:
    """The work planned for a frame is predicted to end in time, or it is one face of each kind."""
    planner = FramePlanner(0.1)
    for count in (1, faces, 2):
        planner.observe(
            faces=faces,
            measured=count,
            landmarks_s=landmarks.predict(count),
            classified=count,
            classification_s=classification.predict(count),
            rest_s=rest.predict(faces),
        )
    measured = planner.landmark_limit(age_s, at_most=due)
    assert min(1, due) <= measured <= due
    if measured > 1:
        whole_s = planner.landmarks.predict(measured) + planner.classification.predict(measured)
        assert age_s + whole_s + planner.rest.predict(faces) <= PLANNED_SHARE * 0.1 + 1e-9
    classified = planner.classification_limit(age_s, at_most=due)
    assert min(1, due) <= classified <= due
    if classified > 1:
        assert age_s + planner.classification.predict(classified) <= PLANNED_SHARE * 0.1 + 1e-9


def test_a_machine_that_slows_down_is_noticed() -> None:
    """Within ten frames the estimate follows, both ways."""
    model = CostModel(START)
    for each_s in (0.001, 0.01, 0.001):
        for count in (3, 5) * 20:
            model.observe(count, count * each_s)
        for count in (3, 5) * 5:
            model.observe(count, count * each_s * 2)
        assert model.predict(5) == pytest.approx(10 * each_s, rel=0.35)


def test_looks_are_rarer_where_they_are_dear() -> None:
    """Looks take three tenths of a core at most, however long one takes."""
    slow, fast = FramePlanner(0.1), FramePlanner(0.1)
    for _ in range(300):
        for planner, seconds in ((slow, 0.08), (fast, 0.005)):
            planner.observe(
                faces=1,
                measured=1,
                landmarks_s=0.001,
                looks=1,
                looks_s=seconds,
                classified=1,
                classification_s=0.002,
                rest_s=0.001,
            )
    assert slow.look_spacing() == pytest.approx(0.267, rel=0.05)
    assert fast.look_spacing() < 1 / 30
