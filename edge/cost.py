"""What the work on a frame costs on this machine, learned while it runs, and what of it still fits.

A part of the work costs a fixed time and a time for each face. Both are estimated from the stage
times of the last frames, so that the plan for a frame is cut before the budget breaks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

PLANNED_SHARE: Final = 0.8
"""Share of the budget that is planned with; the rest is for what varies from frame to frame. It is
less than what makes the governor shed load."""
_KEPT: Final = 0.9
"""Weight of an observation after one more: the estimate rests on the last ten or so."""
_DOUBT: Final = 0.05
"""Weight of the start values and of the assumption that nothing is fixed. It decides while every
observation has the same count, and makes the prediction for more faces too high rather than too
low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds for ``n`` faces: ``fixed_s + n * each_s``; nothing for none.

    Attributes:
        fixed_s: Whatever the number.
        each_s: For each.
    """

    fixed_s: float
    each_s: float

    def predict(self, count: int) -> float:
        """Seconds for so many faces."""
        return self.fixed_s + count * self.each_s if count > 0 else 0.0


class CostModel:
    """Learns the cost of one part of the work by least squares with forgetting.

    Args:
        start: What to assume before anything was measured.
    """

    def __init__(self, start: Cost) -> None:
        self._start = start
        self._w = self._n = self._nn = self._s = self._ns = 0.0
        self._cost = start

    @property
    def cost(self) -> Cost:
        """The present estimate; neither part of it is ever negative."""
        return self._cost

    def observe(self, count: int, seconds: float) -> None:
        """Take in that ``count`` faces took so long; a count of zero says nothing."""
        if count <= 0 or not math.isfinite(seconds):
            return
        seconds = max(seconds, 0.0)
        self._w = _KEPT * self._w + 1.0
        self._n = _KEPT * self._n + count
        self._nn = _KEPT * self._nn + count * count
        self._s = _KEPT * self._s + seconds
        self._ns = _KEPT * self._ns + count * seconds
        self._cost = self._solve()

    def predict(self, count: int) -> float:
        """Seconds that so many faces will take."""
        return self._cost.predict(count)

    def most(self, seconds: float, *, at_most: int) -> int:
        """Return the most faces whose predicted cost is within ``seconds``, up to ``at_most``."""
        left_s = seconds - self._cost.fixed_s
        if left_s < 0.0 or at_most <= 0:
            return 0
        if left_s >= at_most * self._cost.each_s:
            count = at_most
        else:
            count = int(left_s / self._cost.each_s)
        while count and self.predict(count) > seconds:  # rounding
            count -= 1
        return count

    def _solve(self) -> Cost:
        """Least squares with both parts at least zero, and a slight pull of the fixed one to it."""
        w, determinant = self._w + _DOUBT, (self._w + _DOUBT) * self._nn - self._n * self._n
        fixed_s = (self._s * self._nn - self._ns * self._n) / determinant
        each_s = (w * self._ns - self._n * self._s) / determinant
        if fixed_s < 0.0:
            fixed_s, each_s = 0.0, self._ns / self._nn
        elif each_s < 0.0:
            fixed_s, each_s = self._s / self._w, 0.0
        return Cost(fixed_s=fixed_s, each_s=each_s)


_LANDMARKS: Final = Cost(fixed_s=0.002, each_s=0.006)
_LOOK: Final = Cost(fixed_s=0.0, each_s=0.035)
_CLASSIFICATION: Final = Cost(fixed_s=0.004, each_s=0.008)
_REST: Final = Cost(fixed_s=0.010, each_s=0.0005)
"""Assumed at first, dear rather than cheap; a few frames correct it."""
LOOK_SHARE: Final = 0.3
"""Looks of MediaPipe's models take at most this share of a processor core, over all faces:
a board that takes 80 ms for one has nearly four a second."""


class FramePlanner:
    """Says how much of a frame's work fits in what is left of its budget.

    At least one face is measured and one classified in each frame, however late it is: whoever is
    left out is first in the next one, so that everybody's turn comes.

    Args:
        budget_s: From capture to outbox.
    """

    def __init__(self, budget_s: float) -> None:
        self._planned_s = PLANNED_SHARE * budget_s
        self.landmarks = CostModel(_LANDMARKS)
        self.looks = CostModel(_LOOK)
        self.classification = CostModel(_CLASSIFICATION)
        self.rest = CostModel(_REST)
        self._faces = 1

    def landmark_limit(self, age_s: float, *, at_most: int, looks: int = 0) -> int:
        """How many faces to measure in a frame whose work begins now.

        Each of them will be classified too, since its blendshapes are new.

        Args:
            age_s: Time since the frame was captured.
            at_most: Never more than these.
            looks: At how many of them MediaPipe's models will look too.
        """
        left_s = self._planned_s - age_s - self.rest.predict(self._faces)
        left_s -= self.looks.predict(looks) if looks else 0.0
        count = max(1, self.landmarks.most(left_s, at_most=at_most))
        while count > 1 and self._both(count) > left_s:
            count -= 1
        return min(count, at_most)

    def look_spacing(self) -> float:
        """Seconds from one look of MediaPipe's models, at whichever face, to the next."""
        return self.looks.predict(1) / LOOK_SHARE

    def classification_limit(self, age_s: float, *, at_most: int) -> int:
        """How many faces to classify, once the faces of a frame are found and measured.

        Args:
            age_s: Time since the frame was captured.
            at_most: Never more than these.
        """
        fits = self.classification.most(self._planned_s - age_s, at_most=at_most)
        return min(max(1, fits), at_most)

    def observe(
        self,
        *,
        faces: int,
        measured: int,
        landmarks_s: float,
        looks: int = 0,
        looks_s: float = 0.0,
        classified: int,
        classification_s: float,
        rest_s: float,
    ) -> None:
        """Take in what a frame has cost.

        Args:
            faces: In view.
            measured: Whose landmarks were measured.
            landmarks_s: Seconds for that.
            looks: At how many MediaPipe's models looked too.
            looks_s: Seconds for that.
            classified: Classified.
            classification_s: Seconds for that, crops included.
            rest_s: Seconds for everything else.
        """
        self._faces = max(1, faces)
        self.landmarks.observe(measured, landmarks_s)
        self.looks.observe(looks, looks_s)
        self.classification.observe(classified, classification_s)
        self.rest.observe(self._faces, rest_s)

    def _both(self, count: int) -> float:
        return self.landmarks.predict(count) + self.classification.predict(count)
