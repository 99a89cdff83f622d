"""What is kept of one face between two measurements of its landmarks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.faces.correction import Correction
from edge.faces.one_euro import OneEuro
from edge.faces.roi import Roi, roi_of_keypoints, roi_of_landmarks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.faces.tracker import Detection, Track
    from edge.values import Landmarks

SAME_S: Final = 0.07
"""A region this new is looked at again as it is; an older one is moved with the track."""
STALE_S: Final = 1.0
"""An older region says nothing any more; smoothing begins anew."""


class LandmarkState:
    """Region, smoothing and last landmarks of one face.

    Attributes:
        landmarks: The last ones measured; ``None`` before, and after the face was not found.
        closer: Box and keypoints by them, which the track was last told.
        measured_s: When they were measured, minus infinity before.
        tried_s: When they were last tried for.
        ever: Whether any were ever measured.
        correction: What MediaPipe's models saw of this face beyond the small network.
        looked_s: When they looked last, minus infinity before.
        corrected_s: When they saw it last, minus infinity before.
    """

    __slots__ = (
        "_keypoints",
        "_place",
        "_roi",
        "_smooth",
        "closer",
        "corrected_s",
        "correction",
        "ever",
        "landmarks",
        "looked_s",
        "measured_s",
        "tried_s",
    )

    def __init__(self) -> None:
        self.landmarks: Landmarks | None = None
        self.closer: Detection | None = None
        self.measured_s = -math.inf
        self.tried_s = -math.inf
        self.ever = False
        self.correction = Correction()
        self.looked_s = -math.inf
        self.corrected_s = -math.inf
        self._roi: Roi | None = None
        self._smooth = OneEuro()
        self._place = (0.0, 0.0, 1.0)
        self._keypoints: NDArray[np.float32] | None = None

    def regions(self, track: Track, now_s: float) -> Iterator[Roi]:
        """Where to look: first by the last landmarks, then by the track's keypoints."""
        age = now_s - self.measured_s
        if self._roi is not None and age <= STALE_S:
            if age <= SAME_S:
                yield self._roi
            else:
                estimate = track.motion.predict(now_s)
                x, y, size = self._place
                yield self._roi.moved(estimate.x - x, estimate.y - y, estimate.size / size)
        yield roi_of_keypoints(track.points(now_s))

    def update(self, points: NDArray[np.float32], now_s: float) -> NDArray[np.float32]:
        """Keep landmarks as the next region, and return them smoothed."""
        if now_s - self.measured_s > STALE_S:
            self._smooth = OneEuro()
        self._roi = roi_of_landmarks(points)
        self.measured_s = now_s
        self.ever = True
        return self._smooth.apply(points, now_s)

    def anchor(self, track: Track, now_s: float) -> None:
        """Keep where the track is, so that the region can be moved with it."""
        estimate = track.motion.predict(now_s)
        self._place = (estimate.x, estimate.y, estimate.size)
        self._keypoints = track.keypoints

    def keypoint_change(self, keypoints: NDArray[np.float32]) -> float:
        """How far the keypoints have moved within the face since, face sizes."""
        if self._keypoints is None or keypoints is self._keypoints:
            return 0.0
        return float(np.abs(keypoints - self._keypoints).max())

    def reset(self) -> None:
        """Forget the region and landmarks of a face that was not where they said."""
        self.landmarks = None
        self.measured_s = -math.inf
        self._roi = None
        self._smooth = OneEuro()
