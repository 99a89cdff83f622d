"""Who is who from frame to frame, by motion and place alone; appearance is never compared."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.faces.assignment import best_pairs
from edge.faces.kalman import KalmanFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edge.values import Box

GATE: Final = 20.0
"""Worth of a perfect pair; a pair whose log-likelihood ratio costs more is no pair."""
TAIL: Final = 4.0
"""Degrees of freedom of the error: heads jerk more often than a normal distribution allows."""
RATIO_SPREAD: Final = 0.15
"""Spread of the logarithm of the size between two sightings."""
REACH: Final = 0.6
REACH_PER_S: Final = 1.2
"""Farthest jump of a face, face sizes: the first at once, the second for each second unseen."""
FAINT_REACH: Final = 0.35
"""Farthest jump to a faint detection, face sizes: it must lie where the face is expected."""
TENTATIVE_COST: Final = 4.0
"""What a track seen only once pays when it competes with an established one."""
START_SCORE: Final = 0.55
"""A detection with a lower score can continue a track, but neither begin nor confirm one."""
SURE_SCORE: Final = 0.85
"""A face detected with this score is shown at once, others when seen again."""
STILL: Final = 0.08
"""A centre that stays within this many face sizes (a size within this share) has not moved."""
EXPRESSION: Final = 0.25
"""A blendshape that changes by more than this is a sign of life."""
LANDMARKS_LEAD_S: Final = 0.2
"""A face whose landmarks are newer is led by them; detections then only confirm it."""
LANDMARKS_OVERLAP: Final = 0.4
"""Below this overlap with the detection the landmarks have slipped off."""
MAX_FAILED_LANDMARKS: Final = 2
"""Measurements by the landmark model without a face, after which a new track is no face."""
LOST: Final = 8
"""Detection rounds in a row without the face, after which landmarks alone no longer hold it."""
SHOWN_BONUS: Final = 1.3
"""Factor on the size of a face already shown where more faces are seen than may be followed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """One face as a detector sees it.

    Attributes:
        box: Where it is, pixels of the frame.
        keypoints: Shape ``(5, 2)``, float32, pixels of the frame, as in `edge.values.Face`.
        score: Confidence, 0 to 1.
    """

    box: Box
    keypoints: NDArray[np.float32]
    score: float


class Track:
    """One face over time; written by `Tracker` alone, but for ``failed_landmarks``.

    Attributes:
        number: Unique while the process runs; what was hidden and comes back gets a new one.
        label: Random name.
        motion: Where it is and goes.
        score: Confidence of the last sighting.
        seen_s: Capture time of the last sighting, seconds.
        reported_s: Capture time of the newest frame when that sighting was reported, seconds: a
            detector that works beside the caller reports late.
        landmarks_s: Capture time of the last sighting by landmarks, seconds.
        missed: Detection rounds in a row that should have found it and did not.
        failed_landmarks: Measurements in a row in which the landmark model saw no face, before it
            ever saw one.
        ignored: Whether it has not moved for so long that it is taken for a picture on the wall.
    """

    __slots__ = (
        "anchor",
        "confirmed",
        "expression",
        "failed_landmarks",
        "ignored",
        "keypoints",
        "label",
        "landmarks_s",
        "missed",
        "motion",
        "number",
        "reported_s",
        "score",
        "seen_s",
        "shown",
        "still_since_s",
    )

    def __init__(
        self, number: int, label: str, detection: Detection, measured_s: float, now_s: float
    ) -> None:
        self.number = number
        self.label = label
        self.motion = KalmanFilter(detection.box, measured_s)
        self.score = detection.score
        self.seen_s = measured_s
        self.reported_s = now_s
        self.landmarks_s = -math.inf
        self.missed = 0
        self.failed_landmarks = 0
        self.confirmed = detection.score >= SURE_SCORE
        self.ignored = False
        self.shown = False
        self.anchor = (self.motion.x, self.motion.y, self.motion.size)
        self.still_since_s = measured_s
        self.expression: NDArray[np.float32] | None = None
        self.keypoints = _relative(detection)

    def box(self, now_s: float) -> Box:
        """Where the face is expected at ``now_s``."""
        return self.motion.box(now_s)

    def points(self, now_s: float) -> NDArray[np.float32]:
        """Where its five keypoints are expected at ``now_s``: shape ``(5, 2)``, pixels."""
        estimate = self.motion.predict(now_s)
        return self.keypoints * np.float32(estimate.size) + np.array(
            (estimate.x, estimate.y), dtype=np.float32
        )


class Tracker:
    """Gives faces their identity; the work for each face does not grow with time.

    Args:
        labels: Source of the random names: `random.SystemRandom` for live sources, a seeded
            `random.Random` where a replay must give the same names again.
        forget_after_s: A face unseen for longer is forgotten, and new when it returns.
        max_faces: Faces shown at a time, the largest first.
        ignore_still_after_s: A face that does not move for this long is ignored; 0 never.
        tolerated: Detection rounds in a row that may miss a face that is still shown.
    """

    def __init__(
        self,
        *,
        labels: random.Random,
        forget_after_s: float = 1.5,
        max_faces: int = 30,
        ignore_still_after_s: float = 120.0,
        tolerated: int = 1,
    ) -> None:
        self._labels = labels
        self._forget_after_s = forget_after_s
        self._max_faces = max_faces
        self._ignore_still_after_s = ignore_still_after_s
        self._tolerated = tolerated
        self._count = 0
        self._tracks: list[Track] = []
        self._forgotten: list[int] = []

    @property
    def tracks(self) -> tuple[Track, ...]:
        """All living tracks, those not yet shown and those ignored included."""
        return tuple(self._tracks)

    def advance(self, now_s: float) -> tuple[int, ...]:
        """Forget what has been unseen or still for too long, or was no face after all.

        Returns:
            Numbers of the shown tracks that ended since the last call; each is returned once.
        """
        kept = []
        for track in self._tracks:
            doubtful = not track.confirmed and track.missed
            # By the time of the report: a round that takes longer than that would else find nobody.
            if doubtful or now_s - track.reported_s > self._forget_after_s:
                if track.shown:
                    self._forgotten.append(track.number)
                continue
            kept.append(track)
            if (
                self._ignore_still_after_s
                and track.seen_s - track.still_since_s >= self._ignore_still_after_s
            ):
                track.ignored = True
            no_face = track.failed_landmarks >= MAX_FAILED_LANDMARKS
            if track.shown and (track.ignored or no_face):
                self._forgotten.append(track.number)
                track.shown = False
        self._tracks = kept
        ended, self._forgotten = tuple(self._forgotten), []
        return ended

    def associate(
        self,
        detections: Sequence[Detection],
        measured_s: float,
        expected: Callable[[Box], bool] | None = None,
        *,
        now_s: float | None = None,
    ) -> tuple[Track | None, ...]:
        """Match one round of detections to the tracks, and begin tracks for the rest.

        Args:
            detections: Every face found in one frame, without duplicates.
            measured_s: Capture time of that frame, which may lie a little in the past.
            expected: Says whether the round should have found a face with a given box; without
                it, every face.
            now_s: Capture time of the present frame; ``measured_s`` unless given.

        Returns:
            The track of each detection, in their order; ``None`` for faint ones that continue no
            track, and for those beyond twice ``max_faces``, the smallest first.
        """
        now_s = measured_s if now_s is None else now_s
        order = sorted(range(len(detections)), key=lambda i: -detections[i].box.width)
        taken = order[: 2 * self._max_faces]
        found: list[Track | None] = [None] * len(detections)
        before = tuple(self._tracks)
        pairs = best_pairs(self._match_scores([(i, detections[i]) for i in taken], measured_s))
        for row, index in pairs:
            found[index] = before[row]
            self._confirm(before[row], detections[index], measured_s)
            before[row].reported_s = now_s
        matched = {row for row, _ in pairs}
        for row, track in enumerate(before):
            if row not in matched and (expected is None or expected(track.box(measured_s))):
                track.missed += 1
        for index in taken:
            if found[index] is None and detections[index].score >= START_SCORE:
                found[index] = self._begin(detections[index], measured_s, now_s)
        return tuple(found)

    def refine(self, track: Track, detection: Detection, measured_s: float) -> None:
        """Take in the landmarks' closer look at a face that is known to be ``track``."""
        if track.missed <= LOST:
            track.landmarks_s = track.reported_s = measured_s
            self._see(track, detection, measured_s)

    def express(self, track: Track, blendshapes: NDArray[np.float32], measured_s: float) -> None:
        """Take a changed expression, such as a blink, for life: this is no picture on the wall.

        Args:
            track: Whose expression it is.
            blendshapes: Shape ``(52,)``, float32.
            measured_s: Capture time of the frame they were measured on.
        """
        if track.expression is None:
            track.expression = blendshapes
        elif float(np.abs(blendshapes - track.expression).max()) > EXPRESSION:
            track.expression = blendshapes
            self._mark_moving(track, measured_s)

    def restart_identity(self, track: Track) -> None:
        """Let a track begin anew that was hidden, since what was kept of it has been dropped."""
        self._count += 1
        track.number, track.label, track.ignored = self._count, self._label(), False
        track.failed_landmarks = 0
        # The tuple of tracks stays ordered by number.
        self._tracks.remove(track)
        self._tracks.append(track)

    def visible(self, now_s: float) -> tuple[Track, ...]:
        """The tracks to show now: confirmed, not ignored, seen lately; ordered by number.

        Args:
            now_s: Capture time of the present frame.
        """
        lately = [
            track
            for track in self._tracks
            if track.confirmed
            and not track.ignored
            and track.failed_landmarks < MAX_FAILED_LANDMARKS
            and (track.missed <= self._tolerated or now_s - track.landmarks_s <= LANDMARKS_LEAD_S)
        ]
        if len(lately) > self._max_faces:
            lately.sort(key=lambda t: -t.motion.size * (SHOWN_BONUS if t.shown else 1.0))
            lately = sorted(lately[: self._max_faces], key=lambda t: t.number)
        for track in lately:
            track.shown = True
        return tuple(lately)

    def _begin(self, detection: Detection, measured_s: float, now_s: float) -> Track:
        self._count += 1
        track = Track(self._count, self._label(), detection, measured_s, now_s)
        self._tracks.append(track)
        return track

    def _label(self) -> str:
        return f"{self._labels.getrandbits(40):010x}"

    def _confirm(self, track: Track, detection: Detection, measured_s: float) -> None:
        """Take in a detection; of a face led by its landmarks it moves nothing."""
        track.missed = 0
        if (
            measured_s - track.landmarks_s <= LANDMARKS_LEAD_S
            and track.box(measured_s).overlap(detection.box) > LANDMARKS_OVERLAP
        ):
            track.score = detection.score
            track.seen_s = max(track.seen_s, measured_s)
            track.confirmed = True
        else:
            track.landmarks_s = -math.inf
            self._see(track, detection, measured_s)

    def _see(self, track: Track, detection: Detection, measured_s: float) -> None:
        track.motion.correct(detection.box, measured_s)
        track.keypoints = _relative(detection)
        track.score = detection.score
        if measured_s > track.seen_s:
            track.seen_s = measured_s
            track.confirmed |= detection.score >= START_SCORE
        x, y, size = track.anchor
        motion = track.motion
        moved = math.hypot(motion.x - x, motion.y - y) > STILL * size
        if moved or abs(motion.size - size) > STILL * size:
            track.anchor = (motion.x, motion.y, motion.size)
            self._mark_moving(track, measured_s)

    def _mark_moving(self, track: Track, now_s: float) -> None:
        track.still_since_s = now_s
        if track.ignored:
            self.restart_identity(track)

    def _match_scores(
        self, detections: Iterable[tuple[int, Detection]], measured_s: float
    ) -> dict[tuple[int, int], float]:
        """How much each pair of a track and a detection speaks for itself; only possible ones."""
        measured = [
            (
                index,
                *detection.box.centre,
                math.sqrt(detection.box.width * detection.box.height),
                detection.score < START_SCORE,
            )
            for index, detection in detections
        ]
        scores: dict[tuple[int, int], float] = {}
        for row, track in enumerate(self._tracks):
            estimate = track.motion.predict(measured_s)
            unseen_s = max(0.0, measured_s - track.seen_s)
            reach = (REACH + REACH_PER_S * unseen_s) * estimate.size
            noise = track.motion.innovation(estimate.size)
            spread = estimate.variance + noise
            base = GATE - 2.0 * math.log(spread / noise)
            if not track.confirmed:
                base -= TENTATIVE_COST
            for index, x, y, size, faint in measured:
                off_x, off_y = x - estimate.x, y - estimate.y
                farthest = FAINT_REACH * estimate.size if faint else reach
                if abs(off_x) > farthest or abs(off_y) > farthest:
                    continue
                off = (off_x * off_x + off_y * off_y) / (estimate.size * estimate.size)
                ratio = math.log(size / estimate.size) / RATIO_SPREAD
                score = base - TAIL * math.log1p(off / (TAIL * spread)) - ratio * ratio
                if score > 0:
                    scores[row, index] = score
        return scores


def label_source(seed: int | None) -> random.Random:
    """Randomness for names: the system's own, or repeatable where ``seed`` is given."""
    if seed is None:
        return random.SystemRandom()
    return random.Random(seed)


def _relative(detection: Detection) -> NDArray[np.float32]:
    """Keypoints from the centre of the box, in face sizes: shape ``(5, 2)``."""
    box = detection.box
    size = math.sqrt(box.width * box.height)
    return ((detection.keypoints - np.array(box.centre, dtype=np.float32)) / size).astype(
        np.float32
    )
