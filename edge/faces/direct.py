"""Faces by the project's own detector and tracker, with MediaPipe's landmark models in LiteRT.

One frame: take what the detector found, match it to the tracks, measure the landmarks of the few
faces that need it most, and let the tracks say where all the others are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.faces.effort import Effort, FacesReport
from edge.faces.landmark_scheduler import Need, choose
from edge.faces.landmark_state import Look
from edge.faces.mesh import mesh_box, mesh_keypoints
from edge.faces.search_regions import Survey
from edge.faces.tracker import LED_S, REFUTED, Detection, Tracker, label_source
from edge.values import Face, Landmarks, frozen

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from edge.config import Faces
    from edge.faces.detector import Detector
    from edge.faces.detector_runner import Round, Searcher
    from edge.faces.landmarker import Landmarker
    from edge.faces.tracker import Track
    from edge.values import Box, Frame

LANDMARK_PX: Final = 32.0
"""Narrower faces get no landmarks: there blendshapes still follow those of the same face at full
size with a correlation of 0.94 (five people, n = 150), at 24 pixels with 0.86."""
PRESENCE: Final = 0.5
SLIPPED: Final = 0.3
"""Landmarks that overlap their track's box by less have slipped off the face."""
RETRY_S: Final = 0.5
"""Time between two looks at a track in which no face was seen."""
SETTLED: Final = 2
"""Factor on the detection interval while every face in view is held by its landmarks."""
DETECT_S: Final = 0.07
"""Detection is due after this time for each frame of its interval, should frames be slow."""


class DirectFaces:
    """Detector, tracker, landmarks and blendshapes, each at its own pace.

    Args:
        config: How faces are found.
        detector: Which detector.
        searcher: How it is run: in line, or on its own thread.
        landmarker: The landmark models.
        random_seed: Makes the tracks' random names repeatable; ``None`` for live sources.
        reason: Why this back end was taken.
    """

    def __init__(
        self,
        config: Faces,
        *,
        detector: Detector,
        searcher: Searcher,
        landmarker: Landmarker,
        random_seed: int | None = None,
        reason: str = "",
    ) -> None:
        self._config = config
        self._detector = detector
        self._searcher = searcher
        self._landmarker = landmarker
        self._reason = reason
        self._survey = Survey(
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
        self._looks: dict[int, Look] = {}
        self._effort = Effort()
        self._forgotten: tuple[int, ...] = ()
        self._report = FacesReport()
        self._frames_since = self._effort.detect_every
        self._offered_s = -np.inf
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

    def spend(self, effort: Effort) -> None:
        """Set how much work the next calls may do."""
        self._effort = effort

    def find(self, frame: Frame) -> tuple[Face, ...]:
        """Return the faces in ``frame``, ordered by track."""
        now_s = frame.captured_s
        began = time.perf_counter()
        self._offer(frame)
        done = self._searcher.take()
        searched = time.perf_counter()
        if done is not None:
            self._match(done)
        self._forgotten = self._tracker.advance(now_s)
        living = {track.number for track in self._tracker.tracks}
        self._looks = {n: look for n, look in self._looks.items() if n in living}
        tracks = self._visible(frame)
        matched = time.perf_counter()
        measured = self._measure_some(frame, tracks)
        tracks = self._visible(frame)  # less those that the models refuted
        landmarked = time.perf_counter()
        faces = tuple(self._face(track, now_s) for track in tracks)
        self._settled = bool(tracks) and all(now_s - track.led_s <= LED_S for track in tracks)
        stages = {
            "detect": searched - began,
            "track": matched - searched + time.perf_counter() - landmarked,
            "landmarks": landmarked - matched,
        }
        if done is not None:
            stages["detector_round"] = done.took_s
        self._report = FacesReport(
            stages_s=stages,
            faces=len(faces),
            too_small=sum(face.box.width < LANDMARK_PX for face in faces),
            measured=measured,
            landmarks_age_s={
                face.track: now_s - face.landmarks.measured_s
                for face in faces
                if face.landmarks is not None
            },
        )
        return faces

    def _offer(self, frame: Frame) -> None:
        """Give the detector this frame if a round is due."""
        self._frames_since += 1
        every = self._effort.detect_every * (SETTLED if self._settled else 1)
        waited_s = frame.captured_s - self._offered_s
        if self._searcher.busy or (self._frames_since < every and waited_s < every * DETECT_S):
            return
        known = [track.box(frame.captured_s) for track in self._tracker.tracks if track.confirmed]
        region = self._survey.next(
            frame.width_px, frame.height_px, known, self._effort.detector_scale
        )
        self._searcher.offer(frame, region)
        self._frames_since, self._offered_s = 0, frame.captured_s

    def _visible(self, frame: Frame) -> tuple[Track, ...]:
        """The tracks to show: whose middle has left the picture is not among them."""
        inside = []
        for track in self._tracker.visible(frame.captured_s):
            guess = track.motion.guess(frame.captured_s)
            if 0 <= guess.x < frame.width_px and 0 <= guess.y < frame.height_px:
                inside.append(track)
        return tuple(inside)

    def _match(self, done: Round) -> None:
        """Give one round of detections to the tracker."""
        detections = [
            found
            for found in done.detections
            if found.box.width >= self._config.min_width_px
            and not self._survey.cuts(done.region, found.box, done.frame_size)
        ]
        self._tracker.associate(
            detections,
            done.measured_s,
            lambda box: self._survey.could_find(done.region, box, done.frame_size),
        )

    def _measure_some(self, frame: Frame, tracks: tuple[Track, ...]) -> int:
        """Measure the landmarks of the faces that need it most; returns how many succeeded."""
        now_s = frame.captured_s
        refuted = tuple(
            track
            for track in self._tracker.tracks
            if track.refuted >= REFUTED and now_s - self._looks[track.number].tried_s >= RETRY_S
        )
        by_number = {
            track.number: track
            for track in tracks + refuted
            if track.box(now_s).width >= LANDMARK_PX
        }
        needs = []
        for number, track in by_number.items():
            look = self._looks.get(number)
            if look is None:
                needs.append(Need(number, None, 0.0))
            else:
                needs.append(Need(number, now_s - look.tried_s, look.change(track.keypoints)))
        chosen = choose(
            needs,
            budget=self._effort.landmark_budget,
            interval_s=self._effort.landmark_interval_s,
        )
        boxes = {track.number: track.box(now_s) for track in tracks + refuted} if chosen else {}
        return sum(self._measure(frame, by_number[number], boxes) for number in chosen)

    def _measure(self, frame: Frame, track: Track, boxes: dict[int, Box]) -> bool:
        """Measure one face; tells whether it was there."""
        now_s = frame.captured_s
        look = self._looks.setdefault(track.number, Look())
        look.tried_s = now_s
        mesh = None
        for roi in look.regions(track, now_s):
            seen = self._landmarker.measure(frame.image, roi)
            if seen.presence >= PRESENCE and _is_on(mesh_box(seen.points), track.number, boxes):
                mesh = seen
                break
        if mesh is None:
            track.refuted += not look.ever
            look.reset()
            return False
        track.refuted = 0
        often = now_s - look.measured_s <= LED_S
        points = look.take(mesh.points, now_s)
        shapes = self._landmarker.blendshapes(points)
        look.landmarks = Landmarks(
            points=frozen(points), blendshapes=frozen(shapes), measured_s=now_s
        )
        self._tracker.express(track, shapes, now_s)
        if often:
            closer = Detection(
                box=mesh_box(points), keypoints=mesh_keypoints(points), score=track.score
            )
            self._tracker.refine(track, closer, now_s)
        look.remember(track, now_s)
        return True

    def _face(self, track: Track, now_s: float) -> Face:
        look = self._looks.get(track.number)
        landmarks = look.landmarks if look is not None else None
        if landmarks is not None and track.led_s == landmarks.measured_s == now_s:
            box = mesh_box(landmarks.points)
            keypoints = mesh_keypoints(landmarks.points)
        else:
            box, keypoints = track.box(now_s), track.points(now_s)
        return Face(
            track=track.number,
            label=track.label,
            box=box,
            keypoints=frozen(keypoints),
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
        self._searcher.close()


def _is_on(box: Box, track: int, boxes: dict[int, Box]) -> bool:
    """Whether landmarks with this box lie on their own face and not on a neighbour's."""
    own = box.overlap(boxes[track])
    return own >= SLIPPED and all(
        box.overlap(other) < own for number, other in boxes.items() if number != track
    )
