"""A class walks in before a slow machine: simulated, on a clock of its own."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pytest

from edge.cost import Cost, FramePlanner
from edge.faces.backend import ComputeBudget, FacesReport
from edge.faces.landmark_scheduler import Candidate, select
from edge.health.governor import Governor, Load
from edge.pipeline import Pipeline
from edge.stage_times import RecentLatency
from edge.values import Box, Face, Frame, Landmarks, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.classifier.ensemble import Ensemble
    from edge.transitions import TransitionDetector
    from edge.values import Features, Prediction

FPS = 30
BUDGET_S = 0.1
PICTURE = frozen(np.zeros((120, 160, 3), np.uint8))
MESH = frozen(np.zeros((478, 3), np.float32))
SHAPES = frozen(np.zeros(52, np.float32))
POINTS = frozen(np.array([[40, 40], [80, 40], [60, 60], [45, 80], [75, 80]], np.float32))


LANDMARKS = Cost(fixed_s=0.001, each_s=0.018)
CLASSIFICATION = Cost(fixed_s=0.004, each_s=0.004)
REST = Cost(fixed_s=0.008, each_s=0.0004)


@dataclass
class Machine:
    """A clock that only work moves on.

    Attributes:
        now_s: The time.
        slowness: Factor on what work costs.
    """

    now_s: float = 0.0
    slowness: float = 1.0

    def clock(self) -> float:
        """The time."""
        return self.now_s

    def work(self, cost: Cost, count: int) -> float:
        """Spend what so many faces cost; returns the seconds."""
        seconds = self.slowness * cost.predict(count)
        self.now_s += seconds
        return seconds


@dataclass
class Finder:
    """Finds as many faces as it is told to, and measures the most urgent that do not look away."""

    machine: Machine
    count: int = 1
    name: str = "simulated"
    reason: str = ""
    forgotten: tuple[int, ...] = ()
    report: FacesReport = field(default_factory=FacesReport)
    budget: ComputeBudget = field(default_factory=ComputeBudget)
    look_s: float = 0.0
    away: frozenset[int] = frozenset()
    tried_s: dict[int, float] = field(default_factory=dict)
    measured_s: dict[int, float] = field(default_factory=dict)
    measured: list[tuple[float, int]] = field(default_factory=list)
    looked_s: list[float] = field(default_factory=list)

    def set_budget(self, budget: ComputeBudget) -> None:
        self.budget = budget

    def find(self, frame: Frame) -> tuple[Face, ...]:
        now_s = frame.captured_s
        self.machine.work(REST, self.count)
        chosen = select(
            [self._candidate(track, now_s) for track in range(self.count)],
            budget=self.budget.landmark_budget,
        )
        seconds = self.machine.work(LANDMARKS, len(chosen))
        self.tried_s |= dict.fromkeys(chosen, now_s)
        seen = [track for track in chosen if track not in self.away]
        for track in seen:
            self.measured_s[track] = now_s
            self.measured.append((now_s, track))
        looks = min(self.budget.mesh_budget, len(chosen)) if self.look_s else 0
        looks_s = self.machine.work(Cost(fixed_s=0.0, each_s=self.look_s), looks)
        self.looked_s += [now_s] * looks
        self.report = FacesReport(
            stages_s={"landmarks": seconds + looks_s, "mesh": looks_s},
            faces=self.count,
            measured=len(seen),
            tried=len(chosen),
            corrected=looks,
        )
        return tuple(
            Face(
                track=track,
                label=str(track),
                box=Box(x=20, y=20, width=80, height=80),
                keypoints=POINTS,
                score=1.0,
                landmarks=self._landmarks(track),
            )
            for track in range(self.count)
        )

    def _landmarks(self, track: int) -> Landmarks | None:
        if track not in self.measured_s:
            return None
        return Landmarks(points=MESH, blendshapes=SHAPES, measured_s=self.measured_s[track])

    def _candidate(self, track: int, now_s: float) -> Candidate:
        if track not in self.tried_s:
            return Candidate(track, None, 0.0)
        age_s = now_s - self.tried_s[track]
        return Candidate(track, age_s, 0.0, age_s >= self.budget.landmark_interval_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass
class Networks:
    """The networks' part: it costs time, and says nothing."""

    machine: Machine
    level: int = 0
    levels: int = 2
    classified: list[tuple[float, int]] = field(default_factory=list)
    with_blendshapes: int = 0

    def classify(self, features: Sequence[Features]) -> tuple[Prediction, ...]:
        self.machine.work(CLASSIFICATION, len(features))
        self.classified += [(seen.captured_s, seen.track) for seen in features]
        self.with_blendshapes += sum(seen.blendshapes is not None for seen in features)
        return ()

    def forget(self, tracks: Sequence[int]) -> None:
        """Nothing is kept."""


class Decisions:
    """The change detector's part, which costs next to nothing."""

    def update(self, _predictions: Sequence[Prediction]) -> list[Any]:
        return []

    def count_unsure(self, _tracks: Sequence[int]) -> int:
        return 0

    def states(self) -> dict[int, None]:
        return {}


class Classroom:
    """The daemon's loop: always the newest frame, and the governor once a second."""

    def __init__(self, *, planned: bool, slowness: float = 1.0, look_s: float = 0.0) -> None:
        self.machine = Machine(slowness=slowness)
        self.finder = Finder(self.machine, look_s=look_s)
        self.networks = Networks(self.machine)
        self.governor = Governor()
        self.latencies_s: list[tuple[float, float]] = []
        self.pipeline = Pipeline(
            finder=self.finder,
            ensemble=cast("Ensemble", self.networks),
            detector=cast("TransitionDetector", Decisions()),
            clock=self.machine.clock,
            planner=FramePlanner(BUDGET_S) if planned else None,
        )

    def run(self, until_s: float) -> None:
        """Watch until then."""
        machine, recent, last, governed_s = self.machine, RecentLatency(), -1, self.machine.now_s
        while machine.now_s < until_s:
            newest = math.floor(machine.now_s * FPS + 1e-6)
            if newest == last:
                machine.now_s = newest / FPS + 1 / FPS
                continue
            last, captured_s = newest, newest / FPS
            self.pipeline.step(Frame(image=PICTURE, seq=newest, captured_s=captured_s))
            self.latencies_s.append((captured_s, machine.now_s - captured_s))
            recent.add(machine.now_s - captured_s)
            p95_ms = recent.p95_ms()
            if machine.now_s - governed_s >= 1.0 and p95_ms is not None:
                governed_s, level = machine.now_s, self.governor.level
                load = Load(now_s=governed_s, p95_ms=p95_ms, budget_ms=1e3 * BUDGET_S, hot=False)
                if self.governor.decide(load) != level:
                    self.pipeline.shed(self.governor.level)
                    recent.clear()

    def late(self, since_s: float) -> list[float]:
        """When the frames were captured that took longer than the budget."""
        return [at_s for at_s, took_s in self.latencies_s if took_s > BUDGET_S and at_s >= since_s]


@pytest.mark.parametrize("slowness", [0.2, 1.0, 1.3])
def test_thirty_walk_in_at_once(slowness: float) -> None:
    """No frame is over the budget, not even the first with everybody in it."""
    room = Classroom(planned=True, slowness=slowness)
    room.run(2.0)
    room.finder.count = 30
    room.run(8.0)
    assert room.late(0.0) == []
    assert room.governor.level == 0


def test_without_a_plan_the_budget_breaks_for_seconds() -> None:
    """The governor alone sheds load only once frames have been late."""
    room = Classroom(planned=False)
    room.run(2.0)
    room.finder.count = 30
    room.run(8.0)
    late = room.late(2.0)
    assert len(late) > len([at_s for at_s, _ in room.latencies_s if at_s >= 2.0]) / 2
    assert max(late) - min(late) > 1.0


def test_the_first_frame_of_all() -> None:
    """A device started before a full class does little at first, and then what fits."""
    room = Classroom(planned=True)
    room.finder.count = 30
    room.run(5.0)
    assert room.late(0.0) == []
    first = [track for at_s, track in room.networks.classified if at_s == 0.0]
    assert 1 <= len(first) < 10
    last_s = room.latencies_s[-1][0]
    assert sum(at_s == last_s for at_s, _ in room.networks.classified) > len(first)


@pytest.mark.parametrize("slowness", [1.0, 6.0], ids=["slow", "far too slow"])
def test_everybody_has_a_turn(slowness: float) -> None:
    """Even where a single face is over the budget, each is measured and classified in turn."""
    room = Classroom(planned=True, slowness=slowness)
    room.finder.count = 30
    room.run(30.0)
    frame_s = max(took_s for _, took_s in room.latencies_s) + 1 / FPS
    for done in (room.networks.classified, room.finder.measured):
        for track in range(30):
            turns = [0.0, *(at_s for at_s, seen in done if seen == track), room.machine.now_s]
            waits = [b - a for a, b in pairwise(turns)]
            assert max(waits) <= 2 * 31 * frame_s
    shares = Counter(track for _, track in room.networks.classified)
    assert min(shares.values()) >= 0.5 * max(shares.values())


@pytest.mark.parametrize("faces", [1, 30])
def test_looks_that_leave_no_room_for_a_classification(faces: int) -> None:
    """They have a frame of their own, the next one classifies, and no blendshapes are lost."""
    room = Classroom(planned=True, look_s=0.045)
    room.finder.count = faces
    room.run(2.0)
    before = len(room.finder.measured), room.networks.with_blendshapes, len(room.finder.looked_s)
    room.run(12.0)
    assert room.late(2.0) == []
    looks = len(room.finder.looked_s) - before[2]
    assert looks == pytest.approx(10 * 0.3 / 0.045, rel=0.5)
    looked_s = set(room.finder.looked_s)
    assert not any(at_s in looked_s for at_s, _ in room.networks.classified if at_s > 2.0)
    measured = len(room.finder.measured) - before[0]
    assert room.networks.with_blendshapes - before[1] >= 0.9 * measured


def test_faces_that_look_away_do_not_make_the_others_dear() -> None:
    """What it costs to look for them is no cost of those that are seen, who lose no turns by it."""
    rates = []
    for away in (0, 11):
        room = Classroom(planned=True, slowness=0.3)
        room.finder.count, room.finder.away = 12, frozenset(range(1, 1 + away))
        room.run(8.0)
        assert room.late(0.0) == []
        rates.append(sum(track == 0 and at_s >= 2.0 for at_s, track in room.finder.measured))
    assert rates[1] >= 0.9 * rates[0]


def test_a_fast_machine_leaves_nobody_out() -> None:
    """Where everything fits, a plan changes nothing once the cost is known."""
    rooms = [Classroom(planned=planned, slowness=0.1) for planned in (True, False)]
    for room in rooms:
        room.finder.count = 30
        room.run(4.0)
    with_plan, without = (
        Counter(track for at_s, track in room.networks.classified if at_s > 1.0) for room in rooms
    )
    assert min(with_plan.values()) >= 0.98 * max(without.values())
