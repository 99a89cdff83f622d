"""The daemon's loop as it would go on a slower board: real work here, the board's time there.

The camera gives 30 pictures a second; whenever a frame is done, by the board's time, the newest one
is taken, and what was captured meanwhile is missed. The planner that cuts each frame to its budget
is the daemon's own, and is told what the work would have cost there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.cost import FramePlanner

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CAMERA_FPS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one frame's work would cost on the board.

    Attributes:
        faces, measured, looks, classified: In view, with landmarks of this frame, looked at by
            MediaPipe's models too, and classified.
        landmarks_s, looks_s, classification_s, rest_s: Seconds there, the detector's left out.
    """

    faces: int
    measured: int
    looks: int
    classified: int
    landmarks_s: float
    looks_s: float
    classification_s: float
    rest_s: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.landmarks_s + self.looks_s + self.classification_s + self.rest_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulated:
    """What the loop came to.

    Attributes:
        latency_ms: From the capture of each frame to its end, the wait for its turn included:
            shape ``(frames,)``.
        fps: Frames a second.
        looks: Classifications of each face a second.
    """

    latency_ms: NDArray[np.float64]
    fps: float
    looks: float


class BoardPlanner(FramePlanner):
    """The daemon's planner by the costs on a board.

    What a frame has cost so far is told by the costs learned, because the clock here is this
    machine's.

    Args:
        budget_s: From capture to outbox.
        measured: How many faces' landmarks the present frame has measured, and at how many of
            them MediaPipe's models looked too.
    """

    def __init__(self, budget_s: float, measured: Callable[[], tuple[int, int]]) -> None:
        super().__init__(budget_s)
        self._measured = measured
        self.age_s = 0.0

    def look_limit(
        self,
        age_s: float,  # noqa: ARG002 - see above
        *,
        waited_s: float,
        at_most: int,
    ) -> int:
        """As `FramePlanner.look_limit`, with the age on the board."""
        return super().look_limit(self.age_s, waited_s=waited_s, at_most=at_most)

    def landmark_limit(
        self,
        age_s: float,  # noqa: ARG002 - see above
        *,
        at_most: int,
        looks: int = 0,
    ) -> int:
        """As `FramePlanner.landmark_limit`, with the age on the board."""
        return super().landmark_limit(self.age_s, at_most=at_most, looks=looks)

    def classification_limit(
        self,
        age_s: float,  # noqa: ARG002 - see above
        *,
        at_most: int,
        measured: int = 0,
    ) -> int:
        """As `FramePlanner.classification_limit`, with the age on the board."""
        with_landmarks, looks = self._measured()
        spent_s = self.landmarks.predict(with_landmarks) + self.looks.predict(looks)
        spent_s += self.rest.predict(self._faces)
        return super().classification_limit(
            self.age_s + spent_s, at_most=at_most, measured=measured
        )

    def observe(self, **_: float) -> None:
        """Not what it cost here."""

    def take_in(self, work: Work) -> None:
        """Learn what a frame has cost on the board."""
        super().observe(
            faces=work.faces,
            measured=work.measured,
            landmarks_s=work.landmarks_s,
            looks=work.looks,
            looks_s=work.looks_s,
            classified=work.classified,
            classification_s=work.classification_s,
            rest_s=work.rest_s,
        )


def simulate(
    step: Callable[[float, int], Work],
    planner: BoardPlanner,
    *,
    seconds: float,
    settle_s: float,
    starts_s: float,
) -> Simulated:
    """Run the loop for some time of the board.

    Args:
        step: Does the work on a frame, given its capture time, seconds, and the number of pictures
            since the last one.
        planner: Cuts the frames.
        seconds: How long what counts goes on.
        settle_s: How long it goes on before.
        starts_s: Capture time of the last frame before.
    """
    latency_ms, faces, classified = [], 0, 0
    taken, free_s = 0, 0.0
    counted_from_s = None
    while free_s < settle_s + seconds:
        newest = math.floor(free_s * CAMERA_FPS + 1e-9)
        number = max(newest, taken + 1)
        captured_s = number / CAMERA_FPS
        begins_s = max(free_s, captured_s)
        planner.age_s = begins_s - captured_s
        work = step(starts_s + captured_s, number - taken)
        planner.take_in(work)
        taken, free_s = number, begins_s + work.seconds
        if begins_s >= settle_s:
            counted_from_s = begins_s if counted_from_s is None else counted_from_s
            latency_ms.append((free_s - captured_s) * 1e3)
            faces, classified = max(faces, work.faces), classified + work.classified
    if counted_from_s is None:  # a single frame took longer than everything
        return Simulated(latency_ms=np.array([work.seconds * 1e3]), fps=1 / work.seconds, looks=0.0)
    lasted_s = max(free_s, (taken + 1) / CAMERA_FPS) - counted_from_s
    return Simulated(
        latency_ms=np.array(latency_ms),
        fps=min(len(latency_ms) / lasted_s, float(CAMERA_FPS)),
        looks=classified / max(faces, 1) / lasted_s,
    )
