"""What work costs is learned from what it has cost, and a plan made of it fits its budget."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cost import (
    LOOK_PATIENCE_S,
    LOOK_SHARE,
    LOOK_SPACING_S,
    PLANNED_SHARE,
    Cost,
    CostModel,
    FramePlanner,
)

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


def observe(planner: FramePlanner, costs: Costs, *, faces: int, counts: tuple[int, ...]) -> None:
    """Let a planner learn a machine, looks one by one, everything else by these counts."""
    for count in counts:
        planner.observe(
            faces=faces,
            measured=count,
            landmarks_s=costs.landmarks.predict(count),
            looks=1,
            looks_s=costs.look_s,
            classified=count,
            classification_s=costs.classification.predict(count),
            rest_s=costs.rest.predict(faces),
        )


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a machine needs for each part of the work."""

    landmarks: Cost
    look_s: float
    classification: Cost
    rest: Cost


machines = st.builds(
    Costs,
    landmarks=costs,
    look_s=st.floats(0.001, 0.15),
    classification=costs,
    rest=costs,
)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What was planned for one frame, and what the planner thought it would take."""

    at_s: float
    age_s: float
    looks: int
    measured: int
    classified: int
    looks_s: float
    measuring_s: float
    classifying_s: float

    @property
    def end_s(self) -> float:
        """Time from capture to the end of the frame."""
        return self.age_s + self.looks_s + self.measuring_s + self.classifying_s


def plan(machine: Costs, faces: int, ages_s: list[float]) -> list[Planned]:
    """Plan frames in which every face is due to be measured, looked at and classified."""
    planner = FramePlanner(0.1)
    observe(planner, machine, faces=faces, counts=(1, faces, 2))
    frames, looked_s, now_s = [], -10.0, 0.0
    for age_s in ages_s:
        looks = planner.look_limit(age_s, waited_s=now_s - looked_s, at_most=1)
        looked_s = now_s if looks else looked_s
        measured = planner.landmark_limit(age_s, at_most=faces, looks=looks)
        looks_s = planner.looks.predict(looks)
        measuring_s = planner.rest.predict(faces) + planner.landmarks.predict(measured)
        classified = planner.classification_limit(
            age_s + looks_s + measuring_s, at_most=faces, measured=measured
        )
        frames.append(
            Planned(
                at_s=now_s,
                age_s=age_s,
                looks=looks,
                measured=measured,
                classified=classified,
                looks_s=looks_s,
                measuring_s=measuring_s,
                classifying_s=planner.classification.predict(classified),
            )
        )
        now_s += 1 / 30
    return frames


ages = st.lists(st.floats(0.0, 0.06), min_size=2, max_size=40)


@given(machines, st.integers(1, 30), ages)
def test_of_two_frames_one_measures_and_one_classifies(
    machine: Costs, faces: int, ages_s: list[float]
) -> None:
    """Nothing is put off twice in a row, and no frame does nothing."""
    frames = plan(machine, faces, ages_s)
    assert all(frame.measured or frame.classified for frame in frames)
    for before, after in pairwise(frames):
        assert before.measured or after.measured
        assert before.classified or after.classified


@given(machines, st.integers(1, 30), ages)
def test_what_is_not_urgent_is_left_to_a_frame_with_room(
    machine: Costs, faces: int, ages_s: list[float]
) -> None:
    """A frame that measures and classifies was expected to end in time.

    So was any look beside a classification, and a look that was not overdue, where there are frames
    with room for it.
    """
    planned_s = PLANNED_SHARE * 0.1 + 1e-9
    frames = plan(machine, faces, ages_s)
    put_off, looked_s = False, -10.0
    for frame in frames:
        if frame.measured and (frame.classified > 1 or (frame.classified and not put_off)):
            assert frame.end_s <= planned_s
        if frame.looks and frame.classified:
            assert frame.end_s <= planned_s
        if frame.looks:
            waited_s = frame.at_s - looked_s - max(frame.looks_s / LOOK_SHARE, LOOK_SPACING_S)
            assert waited_s >= 0.0
            in_time = waited_s < LOOK_PATIENCE_S
            if in_time and frame.end_s - frame.age_s <= planned_s:
                assert frame.end_s <= planned_s
            looked_s = frame.at_s
        put_off = not frame.classified


@given(machines, st.integers(1, 30), ages)
def test_no_look_waits_for_long(machine: Costs, faces: int, ages_s: list[float]) -> None:
    """One that is due comes within its patience and a frame, however little room there is."""
    frames = plan(machine, faces, ages_s)
    spacing_s = max(machine.look_s / LOOK_SHARE, LOOK_SPACING_S)
    times_s = [-10.0, *(frame.at_s for frame in frames if frame.looks), frames[-1].at_s]
    longest_s = spacing_s * 1.001 + LOOK_PATIENCE_S + 3 / 30
    assert all(b - a <= longest_s or a < 0 for a, b in pairwise(times_s))
    assert times_s[1] <= LOOK_PATIENCE_S + 3 / 30


def test_a_look_and_a_classification_that_do_not_fit_take_two_frames() -> None:
    """On a board such as a Raspberry Pi 4, and never on one with room for both."""
    for look_s, frames in ((0.05, 2), (0.02, 1)):
        slow = Costs(
            landmarks=Cost(fixed_s=0.0, each_s=0.018),
            look_s=look_s,
            classification=Cost(fixed_s=0.0, each_s=0.03),
            rest=Cost(fixed_s=0.005, each_s=0.0),
        )
        first, second = plan(slow, 1, [0.0, 0.01])
        assert (first.looks, first.measured, first.classified) == (1, 1, 2 - frames)
        assert (second.looks, second.classified) == (0, 1)


def test_looks_are_rarer_where_they_are_dear() -> None:
    """Looks take three tenths of a core at most, and come no oftener than is of use."""
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
    for waited_s, looks in ((0.25, 0), (0.28, 1)):
        assert slow.look_limit(0.0, waited_s=waited_s, at_most=1) == looks
    for waited_s, looks in ((LOOK_SPACING_S - 0.01, 0), (LOOK_SPACING_S + 0.01, 1)):
        assert fast.look_limit(0.0, waited_s=waited_s, at_most=1) == looks


def test_a_machine_that_stood_still_is_soon_forgotten() -> None:
    """Two minutes in which a process was stopped are no cost of the look it was stopped in."""
    planner = FramePlanner(0.1)

    def take(looks: int, looks_s: float) -> None:
        planner.observe(
            faces=3,
            measured=3,
            landmarks_s=0.02,
            looks=looks,
            looks_s=looks_s,
            classified=3,
            classification_s=0.02,
            rest_s=0.01,
        )

    for _ in range(50):
        take(1, 0.035)
    take(1, 120.0)
    waits_s, waited_s = [], 0.0
    while len(waits_s) < 10:
        waited_s += 1 / 30
        if planner.look_limit(0.005, waited_s=waited_s, at_most=1):
            waits_s.append(waited_s)
            waited_s = 0.0
            take(1, 0.035)
    assert sum(waits_s) < 10.0
