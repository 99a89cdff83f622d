"""The frozen values that travel between the stages of the frame path."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoshift.emotions import Emotion

T = TypeVar("T", bound=np.generic)


def frozen(array: NDArray[T]) -> NDArray[T]:
    """Make an array read-only in place and return it."""
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture from a camera, clip or stream.

    Attributes:
        image: Shape ``(height, width, 3)``, uint8, BGR, read-only.
        seq: Number of the frame since the source was opened; gaps are frames that were dropped.
        captured_s: Capture time in seconds: the monotonic clock for live sources, the position in
            the clip for files that are replayed.
    """

    image: NDArray[np.uint8]
    seq: int
    captured_s: float

    @property
    def width_px(self) -> int:
        """Width of the picture."""
        return int(self.image.shape[1])

    @property
    def height_px(self) -> int:
        """Height of the picture."""
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An upright rectangle in pixels of the frame; it may reach beyond the picture.

    Attributes:
        x, y: Left and upper edge.
        width, height: Size, positive.
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the rectangle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union with ``other``, 0 to 1."""
        right, other_right = self.x + self.width, other.x + other.width
        if right <= other.x or other_right <= self.x:  # nearly always, among many faces
            return 0.0
        wide = min(right, other_right) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if high <= 0:
            return 0.0
        shared = wide * high
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Landmarks:
    """What the landmark and blendshape models say of one face.

    Attributes:
        points: Shape ``(478, 3)``, float32, pixels of the frame (z in the same scale), read-only.
        blendshapes: Shape ``(52,)``, float32, 0 to 1, MediaPipe's order, read-only.
        measured_s: Capture time of the frame they were measured on, seconds.
    """

    points: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    measured_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One face in one frame, with its identity over time.

    Attributes:
        track: Number of the track, unique while the process runs, never used again.
        label: The track's random name in messages; it says nothing of who the person is.
        box: Where the face is.
        keypoints: Shape ``(5, 2)``, float32, pixels of the frame, read-only: the person's right
            eye, left eye, tip of the nose, right and left corner of the mouth.
        score: Confidence that this is a face, 0 to 1.
        landmarks: The dense landmarks and blendshapes, which may be older than the frame
            (``measured_s``); ``None`` for a face too small or not yet measured.
    """

    track: int
    label: str
    box: Box
    keypoints: NDArray[np.float32]
    score: float
    landmarks: Landmarks | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """What the networks are shown of one face at one instant.

    Attributes:
        track: Number of the track.
        label: Random name of the track.
        captured_s: Capture time, seconds.
        crop: Shape ``(48, 48)``, uint8, grey, upright, framed as the FER2013 pictures, read-only.
        blendshapes: Shape ``(52,)``, float32, or ``None`` where none was measured on
            this frame.
        pose: Shape ``(3,)``, float32: yaw, pitch and roll in degrees, or ``None`` likewise.
    """

    track: int
    label: str
    captured_s: float
    crop: NDArray[np.uint8]
    blendshapes: NDArray[np.float32] | None
    pose: NDArray[np.float32] | None


class EvidenceSource(IntEnum):
    """Who speaks of a face: the rows of `Prediction.log_probs`."""

    FERPLUS = 0
    """The picture members' head that learnt the votes of FER+."""
    FER2013 = 1
    """Their head that learnt the labels of FER2013."""
    RECURRENT = 2
    """The recurrent member, which sees blendshapes and head pose over time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Calibrated class probabilities for one face at one instant.

    Attributes:
        track: Number of the track.
        label: Random name of the track.
        captured_s: Capture time, seconds.
        probs: Shape ``(len(Emotion),)``, float32, sums to 1, read-only.
        log_probs: Shape ``(len(EvidenceSource), len(Emotion))``, float32, read-only: what each
            source says by itself, NaN in the row of one that says nothing. ``None`` where there
            is no more than ``probs``.
        talking: How surely this person talks, 0 to 1.
        degraded: Whether load shedding or missing landmarks left a member of the ensemble out.
    """

    track: int
    label: str
    captured_s: float
    probs: NDArray[np.float32]
    log_probs: NDArray[np.float32] | None = None
    talking: float = 0.0
    degraded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A decided change of one face's emotion.

    Attributes:
        track: Number of the track.
        label: Random name of the track.
        before: The emotion that ended; ``None`` (unknown) for a face's first settled emotion.
        after: The emotion that began; never ``before``.
        confidence: Calibrated probability that ``after`` is right, 0 to 1.
        onset_s: When the change began, same clock as ``decided_s``, never after it.
        decided_s: Capture time of the frame on which it was decided, seconds.
        dwell_s: How long ``before`` had lasted, seconds.
        degraded: Whether any evidence for it came from a reduced ensemble.
    """

    track: int
    label: str
    before: Emotion | None
    after: Emotion
    confidence: float
    onset_s: float
    decided_s: float
    dwell_s: float
    degraded: bool = False
