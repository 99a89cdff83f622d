"""Faces by a detector and the project's own tracker, with landmark networks in LiteRT.

One frame: take what the detector found, match it to the tracks, measure the landmarks of the faces
whose turn it is, and let the tracks say where all the others are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.cadence import Cadence
from edge.faces.backend import ComputeBudget, FacesReport
from edge.faces.landmark_scheduler import CHANGE, Candidate, select
from edge.faces.landmark_state import LandmarkState
from edge.faces.mesh import mesh_box, mesh_keypoints
from edge.faces.search_regions import SearchRegionPlanner
from edge.faces.tracker import (
    LANDMARKS_LEAD_S,
    MAX_FAILED_LANDMARKS,
    Detection,
    Tracker,
    label_source,
)
from edge.values import Face, Landmarks, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from edge.config import Faces
    from edge.faces.detector import Detector
    from edge.faces.detector_runner import DetectionResult, DetectorRunner
    from edge.faces.landmarker import Landmarker, Mesh
    from edge.faces.roi import Roi
    from edge.faces.small_face import SmallFaceNetwork
    from edge.faces.tracker import Track
    from edge.values import Box, Frame

LANDMARK_PX: Final = 20.0
"""Narrower faces get no landmarks (``docs/classroom.md`` has what they are worth by width)."""
MESH_PX: Final = 32.0
"""Narrower faces are not shown to MediaPipe's models: at 24 pixels their own blendshapes follow
those of the same face at full size with a correlation of 0.84 only (twelve clips, n = 349)."""
PRESENCE: Final = 0.6
"""Least probability of a face; of an even wall the small network is exactly undecided."""
SLIPPED: Final = 0.3
"""Landmarks that overlap their track's box by less have slipped off the face."""
RETRY_S: Final = 0.5
"""Time between two looks at a track in which no face was seen."""
SETTLED: Final = 2
"""Factor on the detection interval while every face in view is held by its landmarks."""
EARLY_S: Final = 0.02
"""A correction this early counts as on time, so that it falls on a measurement."""
DETECT_S: Final = 0.07
"""Detection is due after this time for each frame of its interval, should frames be slow."""


class DirectFaces:
    """Detector, tracker, landmarks and blendshapes, each at its own pace.

    Args:
        config: How faces are found.
        detector: Which detector.
        runner: How it is run: in line, or on its own thread.
        small_face: The network that measures all faces that are due, in one batch.
        landmarker: MediaPipe's models, which correct it now and then.
        random_seed: Makes the tracks' random names repeatable; ``None`` for live sources.
        reason: Why this back end was taken.
    """

    def __init__(
        self,
        config: Faces,
        *,
        detector: Detector,
        runner: DetectorRunner,
        small_face: SmallFaceNetwork,
        landmarker: Landmarker,
        random_seed: int | None = None,
        reason: str = "",
    ) -> None:
        self._config = config
        self._detector = detector
        self._runner = runner
        self._small_face = small_face
        self._landmarker = landmarker
        self._reason = reason
        self._planner = SearchRegionPlanner(
            smallest_px=detector.smallest_px,
            wanted_px=config.min_width_px,
            tiled=detector.tiled,
        )
        self._tracker = Tracker(
            labels=label_source(random_seed),
            forget_after_s=config.forget_after_s,
            max_faces=config.max_faces,
            ignore_still_after_s=config.ignore_still_after_s,
        )
        self._landmark_states: dict[int, LandmarkState] = {}
        self._budget = ComputeBudget()
        self._cadence = Cadence()
        self._forgotten: tuple[int, ...] = ()
        self._report = FacesReport()
        self._networks_s, self._looks = {"small_face": 0.0, "mesh": 0.0}, 0
        self._frames_since = self._budget.detect_every
        self._submitted_s = -np.inf
        self._settled = False

    @property
    def name(self) -> str:
        """Back end and detector."""
        return f"direct ({self._detector.name})"

    @property
    def reason(self) -> str:
        """Why this back end was taken."""
        return self._reason

    @property
    def report(self) -> FacesReport:
        """Cost and freshness of the last call."""
        return self._report

    @property
    def forgotten(self) -> tuple[int, ...]:
        """Tracks that ended with the last call."""
        return self._forgotten

    def set_budget(self, budget: ComputeBudget) -> None:
        """Set how much work the next calls may do."""
        self._budget = budget

    def find(self, frame: Frame) -> tuple[Face, ...]:
        """Return the faces in ``frame``, ordered by track."""
        now_s = frame.captured_s
        began = time.perf_counter()
        self._submit(frame)
        done = self._runner.poll()
        searched = time.perf_counter()
        if done is not None:
            self._match(done, now_s)
        self._forgotten = self._tracker.advance(now_s)
        self._forget_all_but({track.number for track in self._tracker.tracks})
        tracks = self._visible(frame)
        matched = time.perf_counter()
        tried, measured = self._measure_some(frame, tracks)
        tracks = self._visible(frame)  # less those in which the model saw no face
        landmarked = time.perf_counter()
        faces = tuple(self._face(track, now_s) for track in tracks)
        self._settled = bool(tracks) and all(
            now_s - track.landmarks_s <= LANDMARKS_LEAD_S for track in tracks
        )
        stages = {
            "detect": searched - began,
            "track": matched - searched + time.perf_counter() - landmarked,
            "landmarks": landmarked - matched,
            **{name: spent for name, spent in self._networks_s.items() if spent},
        }
        if done is not None:
            stages["detector_round"] = done.took_s
        self._report = FacesReport(
            stages_s=stages,
            faces=len(faces),
            too_small=sum(face.box.width < LANDMARK_PX for face in faces),
            measured=measured,
            tried=tried,
            corrected=self._looks,
            landmarks_age_s={
                face.track: now_s - face.landmarks.measured_s
                for face in faces
                if face.landmarks is not None
            },
        )
        return faces

    def _forget_all_but(self, living: set[int]) -> None:
        """Drop what is kept of tracks that have ended, whether they were ever shown or not."""
        gone = self._landmark_states.keys() - living
        self._cadence.forget(gone)
        for number in gone:
            del self._landmark_states[number]

    def _submit(self, frame: Frame) -> None:
        """Give the detector this frame if a round is due."""
        self._frames_since += 1
        every = self._budget.detect_every * (SETTLED if self._settled else 1)
        waited_s = frame.captured_s - self._submitted_s
        if self._runner.busy or (self._frames_since < every and waited_s < every * DETECT_S):
            return
        known = [track.box(frame.captured_s) for track in self._tracker.tracks if track.confirmed]
        region = self._planner.next_region(
            frame.width_px, frame.height_px, known, self._budget.detector_scale
        )
        self._runner.submit(frame, region)
        self._frames_since, self._submitted_s = 0, frame.captured_s

    def _visible(self, frame: Frame) -> tuple[Track, ...]:
        """The tracks to show: whose middle has left the picture is not among them."""
        inside = []
        for track in self._tracker.visible(frame.captured_s):
            estimate = track.motion.predict(frame.captured_s)
            if 0 <= estimate.x < frame.width_px and 0 <= estimate.y < frame.height_px:
                inside.append(track)
        return tuple(inside)

    def _match(self, done: DetectionResult, now_s: float) -> None:
        """Give one round of detections to the tracker."""
        detections = [
            found
            for found in done.detections
            if found.box.width >= self._config.min_width_px
            and not self._planner.cuts(done.region, found.box, done.frame_size)
        ]
        self._tracker.associate(
            detections,
            done.measured_s,
            lambda box: self._planner.could_find(done.region, box, done.frame_size),
            now_s=now_s,
        )

    def _measure_some(self, frame: Frame, tracks: tuple[Track, ...]) -> tuple[int, int]:
        """Measure the landmarks of the faces that need it most.

        Returns:
            How many were looked for, and how many of them were there.
        """
        now_s, interval_s = frame.captured_s, self._budget.landmark_interval_s
        failed_landmarks = tuple(
            track
            for track in self._tracker.tracks
            if track.failed_landmarks >= MAX_FAILED_LANDMARKS
            and not track.ignored
            and now_s - self._landmark_states[track.number].tried_s >= RETRY_S
        )
        by_number = {
            track.number: track
            for track in tracks + failed_landmarks
            if track.box(now_s).width >= LANDMARK_PX
        }
        candidates = []
        for number, track in by_number.items():
            state = self._landmark_states.get(number)
            if state is None:
                candidates.append(Candidate(number, None, 0.0))
            else:
                change = state.keypoint_change(track.keypoints)
                early_s = interval_s / 2 if change > CHANGE else 0.0
                due = self._cadence.is_due(number, now_s, ahead_s=early_s)
                candidates.append(Candidate(number, now_s - state.tried_s, change, due))
        chosen = select(candidates, budget=self._budget.landmark_budget)
        for number in chosen:
            self._cadence.take(number, now_s, interval_s)
        boxes = (
            {track.number: track.box(now_s) for track in tracks + failed_landmarks}
            if chosen
            else {}
        )
        corrected = self._to_correct([by_number[number] for number in chosen], now_s)
        self._networks_s, self._looks = {"small_face": 0.0, "mesh": 0.0}, 0
        found = self._measure(frame, [by_number[number] for number in chosen], corrected, boxes)
        return len(chosen), found

    def _to_correct(self, tracks: Sequence[Track], now_s: float) -> set[int]:
        """Of the faces to be measured, those that MediaPipe's models look at too."""
        waited = []
        for track in tracks:
            state = self._landmark_states.get(track.number) or LandmarkState()
            due = now_s - state.corrected_s >= self._budget.mesh_interval_s - EARLY_S
            if due and track.box(now_s).width >= MESH_PX:
                # By the last look and not the last correction: a face that they never see would
                # else be first for ever.
                waited.append((state.looked_s, track.number))
        return {number for _, number in sorted(waited)[: self._budget.mesh_budget]}

    def _measure(
        self, frame: Frame, tracks: Sequence[Track], corrected: set[int], boxes: dict[int, Box]
    ) -> int:
        """Measure these faces; returns how many were there.

        All are looked at where they were last; those not seen there, where the detector has them.
        """
        now_s = frame.captured_s
        waiting = []
        for track in tracks:
            state = self._landmark_states.setdefault(track.number, LandmarkState())
            state.tried_s = now_s
            rois = state.regions(track, now_s)
            waiting.append((track, state, rois, next(rois)))
        found = 0
        while waiting:
            began = time.perf_counter()
            meshes, shapes = self._small_face.measure(frame.image, [roi for *_, roi in waiting])
            self._networks_s["small_face"] += time.perf_counter() - began
            unseen = []
            for (track, state, rois, roi), mesh, seen in zip(waiting, meshes, shapes, strict=True):
                there = _is_there(mesh, track.number, boxes)
                points, levels = state.correction.apply(roi, mesh.points, seen)
                reference, looked = None, there and track.number in corrected
                if looked:
                    reference = self._reference(frame, roi, track, boxes)
                    there = reference is not None
                    if reference is not None:
                        state.correction.learn(roi, (mesh.points, seen), reference)
                        state.corrected_s = now_s
                        points, levels = reference
                if there:
                    self._keep(track, state, points, levels, now_s)
                    found += 1
                elif (other := next(rois, None)) is not None:
                    unseen.append((track, state, rois, other))
                else:
                    if track.number in corrected and not state.ever:
                        # The small network alone never says that a detector was mistaken.
                        is_face = (
                            not looked and self._reference(frame, roi, track, boxes) is not None
                        )
                        self._judge(track, state, is_face=is_face)
                    state.reset()
            waiting = unseen
        return found

    def _reference(
        self, frame: Frame, roi: Roi, track: Track, boxes: dict[int, Box]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """What MediaPipe's models see in a region; ``None`` where it is not this face."""
        began = time.perf_counter()
        mesh = self._landmarker.measure(frame.image, roi)
        there = _is_there(mesh, track.number, boxes)
        shapes = self._landmarker.blendshapes(mesh.points) if there else None
        self._networks_s["mesh"] += time.perf_counter() - began
        self._looks += 1
        self._landmark_states[track.number].looked_s = frame.captured_s
        # One number that is none would stay in the correction, and so in all that follows.
        if shapes is None or not np.isfinite(shapes).all():
            return None
        return mesh.points, shapes

    def _judge(self, track: Track, state: LandmarkState, *, is_face: bool) -> None:
        """Note whether a landmark model sees a face; one taken for none until now begins anew."""
        if not is_face:
            track.failed_landmarks += 1
            return
        if track.failed_landmarks >= MAX_FAILED_LANDMARKS:
            self._tracker.restart_identity(track)
            self._landmark_states[track.number] = state
        track.failed_landmarks = 0

    def _keep(
        self,
        track: Track,
        state: LandmarkState,
        points: NDArray[np.float32],
        shapes: NDArray[np.float32],
        now_s: float,
    ) -> None:
        """Keep what was measured of a face, and let its track follow."""
        self._judge(track, state, is_face=True)
        often = now_s - state.measured_s <= LANDMARKS_LEAD_S
        points = state.update(points, now_s)
        state.landmarks = Landmarks(
            points=frozen(points), blendshapes=frozen(shapes), measured_s=now_s
        )
        if state.corrected_s == now_s:  # the small network's own noise is no sign of life
            self._tracker.express(track, shapes, now_s)
        if often:
            closer = Detection(
                box=mesh_box(points), keypoints=frozen(mesh_keypoints(points)), score=track.score
            )
            self._tracker.refine(track, closer, now_s)
            state.closer = closer
        state.anchor(track, now_s)

    def _face(self, track: Track, now_s: float) -> Face:
        state = self._landmark_states.get(track.number)
        landmarks = state.landmarks if state is not None else None
        closer = state.closer if state is not None else None
        if landmarks and closer and track.landmarks_s == landmarks.measured_s == now_s:
            box, keypoints = closer.box, closer.keypoints
        else:
            box, keypoints = track.box(now_s), frozen(track.points(now_s))
        return Face(
            track=track.number,
            label=track.label,
            box=box,
            keypoints=keypoints,
            score=track.score,
            landmarks=landmarks,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runner.close()


def _is_there(mesh: Mesh, track: int, boxes: dict[int, Box]) -> bool:
    """Whether these landmarks lie on a face: their own, and not a neighbour's."""
    if not mesh.presence >= PRESENCE:  # nor where that is no number
        return False
    box = mesh_box(mesh.points)
    own = box.overlap(boxes[track])
    if not own >= SLIPPED:
        return False
    for number, other in boxes.items():
        if box.overlap(other) >= own and number != track:
            return False
    return True
