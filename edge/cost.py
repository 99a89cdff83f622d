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


_LONGEST_S: Final = 2.0
"""More is taken for this much: while a machine stands still (a stopped process, a card that hangs)
nothing costs anything, and no plan should go by it for minutes."""


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
        seconds = min(max(seconds, 0.0), _LONGEST_S)
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
LOOK_SPACING_S: Final = 0.08
"""Least time between two looks, at whichever face: a fast machine gains nothing by more. Thirty
faces, looked at so often together, are read as well as each alone (`docs/adr`, 53)."""
LOOK_PATIENCE_S: Final = 0.1
"""A look that is due waits up to this long for a frame with room for it."""


class FramePlanner:
    """Says how much of a frame's work fits in what is left of its budget.

    Where a frame has no room both to measure faces and to classify them, it measures, and the next
    frame classifies. However late a frame is, it does at least one of the two for one face that is
    due, and of two frames in a row one does each; whoever is left out is first in the next one, so
    that everybody's turn comes.

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
        self._put_off = 0

    def look_limit(self, age_s: float, *, waited_s: float, at_most: int) -> int:
        """At how many faces MediaPipe's models may look in a frame whose work begins now.

        Looks are spaced by `LOOK_SHARE`, and by `LOOK_SPACING_S` at least. One that does not fit
        is left for a frame that is taken sooner after its capture, for `LOOK_PATIENCE_S` at most;
        where no frame has room for it, waiting would not help.

        Args:
            age_s: Time since the frame was captured.
            waited_s: Time since the last look, at whichever face.
            at_most: Never more than these.
        """
        spacing_s = max(self.looks.predict(1) / LOOK_SHARE, LOOK_SPACING_S)
        if waited_s < spacing_s:
            return 0
        needed_s = self.looks.predict(at_most) + self.landmarks.predict(1)
        needed_s += self.classification.predict(self._put_off) + self.rest.predict(self._faces)
        fits = age_s + needed_s <= self._planned_s
        fits_elsewhere = self._put_off > 0 or needed_s <= self._planned_s
        overdue = not self._put_off and waited_s >= spacing_s + LOOK_PATIENCE_S
        return at_most if fits or overdue or not fits_elsewhere else 0

    def landmark_limit(self, age_s: float, *, at_most: int, looks: int = 0) -> int:
        """How many faces to measure in a frame whose work begins now.

        Each of them will be classified too, since its blendshapes are new.

        Args:
            age_s: Time since the frame was captured.
            at_most: Never more than these.
            looks: At how many of them MediaPipe's models will look too.
        """
        left_s = self._planned_s - age_s - self.rest.predict(self._faces)
        left_s -= self.looks.predict(looks)
        count = self.landmarks.most(left_s, at_most=at_most)
        while count and self._both(count) > left_s:
            count -= 1
        return count if self._put_off else min(max(1, count), at_most)

    def classification_limit(self, age_s: float, *, at_most: int, measured: int = 0) -> int:
        """How many faces to classify, once the faces of a frame are found and measured.

        Args:
            age_s: Time since the frame was captured.
            at_most: Never more than these.
            measured: How many were measured in this frame.

        Returns:
            0 leaves them all to the next frame.
        """
        fits = self.classification.most(self._planned_s - age_s, at_most=at_most)
        may_put_off = measured > 0 and not self._put_off
        self._put_off = min(measured, at_most) if may_put_off and not fits else 0
        return 0 if self._put_off else min(max(1, fits), at_most)

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
            measured: Whose landmarks were looked for, whether they were seen or not.
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
        """Seconds to measure so many faces, and to classify them and those that were put off."""
        classified = min(count + self._put_off, max(count, self._faces))
        return self.landmarks.predict(count) + self.classification.predict(classified)
