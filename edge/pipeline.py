"""The frame path, on one page: the only module that knows the order of the stages."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge.assets import LANDMARKER, find_asset, find_detector
from edge.bundle.installed import configured_bundle
from edge.cadence import CLASSIFY_EVERY_S, Cadence
from edge.classifier.ensemble import Ensemble
from edge.cost import FramePlanner
from edge.faces.backend import ComputeBudget
from edge.faces.select_backend import open_faces
from edge.features.extract import describe
from edge.site.adjust import adjusted
from edge.stage_times import StageTimes
from edge.transitions import TransitionDetector, TransitionParameters
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.bundle.loader import Bundle
    from edge.capture.clip import Clip
    from edge.config import Config
    from edge.faces.backend import FaceFinder
    from edge.values import Face, Frame, Prediction, Transition
    from emoshift.emotions import Emotion

REPLAY_SEED: Final = 0
"""A replayed clip draws the same random labels every time."""

_BUDGETS: Final = (
    ComputeBudget(),
    ComputeBudget(mesh_interval_s=0.4, landmark_interval_s=0.12, detect_every=4),
    ComputeBudget(
        landmark_budget=6,
        mesh_interval_s=0.8,
        landmark_interval_s=0.2,
        detect_every=6,
        detector_scale=0.75,
    ),
    ComputeBudget(
        landmark_budget=3,
        mesh_interval_s=1.6,
        landmark_interval_s=0.4,
        detect_every=8,
        detector_scale=0.5,
    ),
)
"""What finding faces may cost at each of the governor's levels. How many faces fit in one frame is
planned besides, before each frame (`edge.cost`)."""

_EVERYTHING: Final = ComputeBudget(landmark_budget=100, landmark_interval_s=0.0)
"""Every face is measured in every frame; MediaPipe's models look as often as they always do."""

_CLASSIFY_EVERY_S: Final = (CLASSIFY_EVERY_S, 0.12, 0.15, 0.2)
"""Time between two classifications of one face, seconds, at each of these levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one frame gave.

    Attributes:
        frame: The frame itself.
        faces: The faces found in it.
        predictions: One for each face that was classified in this frame, same order.
        transitions: The changes decided on it.
        abstained: How many of these, with this frame, have no emotion that is believed enough to
            decide by.
    """

    frame: Frame
    faces: tuple[Face, ...]
    predictions: tuple[Prediction, ...]
    transitions: tuple[Transition, ...]
    abstained: int


class Pipeline:
    """Takes frames one by one through every stage, and times each.

    Args:
        finder: The face back end.
        ensemble: The networks.
        detector: The change detector.
        clock: Seconds, the clock of the frames' capture times where there is a planner; else used
            for the timings only.
        planner: Cuts each frame's work to what its budget has room for; ``None`` does all that is
            due, so that a replay does not depend on the machine's speed.
    """

    def __init__(
        self,
        *,
        finder: FaceFinder,
        ensemble: Ensemble,
        detector: TransitionDetector,
        clock: Callable[[], float] = time.monotonic,
        planner: FramePlanner | None = None,
    ) -> None:
        self.finder = finder
        self.times = StageTimes()
        self.ensemble = ensemble
        self._detector = detector
        self._clock = clock
        self._planner = planner
        self._budget = _BUDGETS[0]
        self._looked_s = -math.inf
        self._put_off_s: float | None = None
        self._cadence = Cadence()
        self._classify_every_s = _CLASSIFY_EVERY_S[0]

    def step(self, frame: Frame) -> Step:
        """Take one frame from picture to decisions; capture times must never decrease."""
        started = self._clock()
        self._limit_landmarks(frame.captured_s, age_s=started - frame.captured_s)
        faces = self.finder.find(frame)
        found = self._clock()
        due = self._cadence.due_faces(
            faces,
            frame.captured_s,
            self._classify_every_s,
            since_s=self._put_off_s,
            limit=lambda count: self._classification_limit(count, found - frame.captured_s),
        )
        features = describe(frame, due, since_s=self._put_off_s)
        self._put_off_s = None if features else frame.captured_s
        described = self._clock()
        predictions = self.ensemble.classify(features)
        classified = self._clock()
        decided = self._detector.update(predictions)
        self._forget(self.finder.forgotten)
        ended = self._clock()

        self.times.add("faces", found - started)
        for part, seconds in self.finder.report.stages_s.items():
            self.times.add(f"faces_{part}", seconds)
        self.times.add("features", described - found)
        self.times.add("models", classified - described)
        self.times.add("transitions", ended - classified)
        if self._planner is not None:
            report = self.finder.report
            if report.corrected:
                self._looked_s = frame.captured_s
            looks_s = report.stages_s.get("mesh", 0.0)
            landmarks_s = report.stages_s.get("landmarks", 0.0) - looks_s
            self._planner.observe(
                faces=len(faces),
                measured=report.tried,
                landmarks_s=landmarks_s,
                looks=report.corrected,
                looks_s=looks_s,
                classified=len(features),
                classification_s=classified - found,
                rest_s=found - started - landmarks_s - looks_s + ended - classified,
            )
        return Step(
            frame=frame,
            faces=faces,
            predictions=predictions,
            transitions=tuple(change for change in decided if change is not None),
            abstained=self._detector.count_unsure([seen.track for seen in predictions]),
        )

    def states(self) -> dict[int, Emotion | None]:
        """Give the settled emotion of each face being followed; ``None`` is unknown."""
        return self._detector.states()

    def shed(self, level: int) -> None:
        """Run at one of the governor's levels: fewer landmarks, then fewer networks."""
        level = min(level, len(_BUDGETS) - 1)
        self._budget = _BUDGETS[level]
        self.finder.set_budget(self._budget)
        self._classify_every_s = _CLASSIFY_EVERY_S[level]
        self.ensemble.level = min(max(level - 1, 0), self.ensemble.levels)

    def plan_by(self, planner: FramePlanner | None) -> None:
        """Cut frames by another planner, or not at all."""
        self._planner = planner

    def measure_everything(self) -> None:
        """Measure and classify every face in every frame, as benchmarks of the whole path do."""
        self.plan_by(None)
        self.finder.set_budget(_EVERYTHING)
        self._classify_every_s = 0.0

    def _limit_landmarks(self, captured_s: float, *, age_s: float) -> None:
        """Measure no more faces in the coming frame than its budget has room for."""
        if self._planner is None:
            return
        looks = self._planner.look_limit(
            age_s, waited_s=captured_s - self._looked_s, at_most=self._budget.mesh_budget
        )
        fits = self._planner.landmark_limit(
            age_s, at_most=self._budget.landmark_budget, looks=looks
        )
        self.finder.set_budget(replace(self._budget, landmark_budget=fits, mesh_budget=looks))

    def _classification_limit(self, due: int, age_s: float) -> int:
        if self._planner is None:
            return due
        return self._planner.classification_limit(
            age_s, at_most=due, measured=self.finder.report.measured
        )

    def _forget(self, tracks: tuple[int, ...]) -> None:
        if tracks:
            self._cadence.forget(tracks)
            self.ensemble.forget(tracks)
            self._detector.forget(tracks)


@contextmanager
def open_pipeline(
    config: Config,
    bundle: Bundle | None = None,
    *,
    random_seed: int | None = None,
    live: bool = False,
) -> Iterator[Pipeline]:
    """Load every model and hand out the pipeline.

    Args:
        config: The whole configuration.
        bundle: A bundle already loaded; else the configured one is.
        random_seed: Makes the faces' random labels repeatable; ``None`` for live sources.
        live: Whether capture times are on the monotonic clock, so that ``health.budget_ms`` can be
            held by doing less in a frame.

    Raises:
        BundleError: The model bundle cannot be trusted.
        InputError: A model file of the face back end is missing.
        UnavailableError: No face back end can run here.
    """
    bundle = bundle or configured_bundle(config.models)
    parameters = TransitionParameters.from_temporal(
        bundle.manifest.temporal,
        sensitivity=config.transitions.sensitivity,
        merge=config.transitions.merge,
        where=bundle.manifest.bundle_id,
    )
    if bundle.layer is not None:
        parameters = adjusted(parameters, bundle.layer.correction)
    landmarker = find_asset(LANDMARKER)
    if landmarker is None:
        raise InputError(f"{LANDMARKER.name} is missing; run: edge assets fetch")
    threads = config.models.thread_count()
    with open_faces(
        config.faces,
        landmarker=landmarker,
        detector=find_detector(),
        random_seed=random_seed,
        threads=threads,
    ) as finder:
        yield Pipeline(
            finder=finder,
            ensemble=Ensemble(bundle, threads=threads, clock=time.perf_counter),
            detector=TransitionDetector(parameters),
            planner=FramePlanner(config.health.budget_ms / 1e3) if live else None,
        )


def replay(clip: Clip, config: Config) -> Iterator[Step]:
    """Take every frame of a clip through the pipeline, timed by the clip's own time stamps.

    The same clip gives the same steps every time, whatever the machine's speed.

    Raises:
        InputError: The clip cannot be read.
    """
    with open_pipeline(config, random_seed=REPLAY_SEED) as pipeline:
        for frame in clip.frames():
            yield pipeline.step(frame)
