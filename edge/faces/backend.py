"""What every way of finding faces offers, what it may cost, and what it did cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from edge.values import Face, Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeBudget:
    """The knobs that shed load; a back end without a knob ignores it.

    Attributes:
        landmark_budget: Faces whose landmarks are measured in one frame; the others keep theirs.
        mesh_budget: Of these, those that MediaPipe's models look at too, to correct the small
            network.
        mesh_interval_s: Time between two such looks at one face, seconds.
        landmark_interval_s: Time between two measurements of one face, seconds; half of it where
            its keypoints have moved.
        detect_every: Frames from one search for faces to the next; tracks carry on between.
        detector_scale: Share of the usual detector input's width and height, 0.25 to 1.
    """

    landmark_budget: int = 12
    mesh_budget: int = 1
    mesh_interval_s: float = 0.17
    landmark_interval_s: float = 0.09
    detect_every: int = 3
    detector_scale: float = 1.0

    def __post_init__(self) -> None:
        budgets = (self.landmark_budget, self.mesh_budget)
        intervals = (self.landmark_interval_s, self.mesh_interval_s)
        if min(*budgets, *intervals) < 0 or self.detect_every < 1:
            raise ValueError(
                "budgets and intervals of landmarks must be 0 or more, detect_every 1 or more"
            )
        if not 0.25 <= self.detector_scale <= 1.0:
            raise ValueError(f"detector_scale {self.detector_scale} is outside 0.25 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FacesReport:
    """What the last frame's faces cost and how fresh they are.

    Attributes:
        stages_s: Seconds spent in each part of the last call, such as ``detect``, ``landmarks``.
        faces: Faces returned.
        too_small: Those of them too small for landmarks.
        measured: Those whose landmarks were measured on this frame.
        tried: Those and the ones whose landmarks were looked for in vain.
        corrected: Looks of MediaPipe's models, those in vain included.
        landmarks_age_s: Age of each face's landmarks, seconds, by track number; 0 for those
            measured on this frame.
    """

    stages_s: Mapping[str, float] = field(default_factory=dict)
    faces: int = 0
    too_small: int = 0
    measured: int = 0
    tried: int = 0
    corrected: int = 0
    landmarks_age_s: Mapping[int, float] = field(default_factory=dict)


class FaceFinder(Protocol):
    """Finds the faces of each frame and keeps their identity from frame to frame.

    Calls must come from one thread with capture times that never decrease. It is a context
    manager: leaving it frees threads and models.
    """

    @property
    def name(self) -> str:
        """The back end as it stands in ``/info``, such as ``mediapipe 1.2.2``."""
        ...

    @property
    def reason(self) -> str:
        """Why this back end was taken, one line for the log and ``/info``."""
        ...

    @property
    def report(self) -> FacesReport:
        """Cost and freshness of the last call, for ``/health``."""
        ...

    @property
    def forgotten(self) -> tuple[int, ...]:
        """Tracks that ended with the last call; what is kept of them must be dropped."""
        ...

    def find(self, frame: Frame) -> tuple[Face, ...]:
        """Return the faces in ``frame``, ordered by track; none is an empty tuple."""
        ...

    def set_budget(self, budget: ComputeBudget) -> None:
        """Set how much work the next calls may do; may be called between any two frames."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
