"""How far what the device sees has moved from what its bundle was built on.

The population stability index of two histograms with shares ``p`` and ``q`` is
``sum((p - q) * ln(p / q))``: 0 where they agree; usually less than 0.1 is no drift and more than
0.25 a large one. Small counts alone give about ``(bins - 1) / n``, so nothing is reported before
there are enough. Old sightings fade, so that the figure describes the last hour or so. One person
is never like a population, so nothing is reported of a few either; a classroom is not the training
set: it is the change over weeks that says something, not the figure of the first day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.bundle.manifest import DriftBaseline, Histogram
    from edge.values import Prediction

FADE_S: Final = 3600.0
"""After this time a sighting counts 1/e."""
ENOUGH: Final = 300.0
"""Faces looked at, one quality a second, before anything is reported."""
ENOUGH_PEOPLE: Final = 10.0
"""Different faces among them; one that left and came back counts again."""
_LEAST: Final = 1e-4
"""An empty bin counts as this share, as is usual, so that one alone does not decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Distances from the baseline; ``None`` without one, or while too little was seen.

    Attributes:
        blendshapes: Mean over the recurrent member's blendshape channels.
        confidence: Of the ensemble's largest probability.
    """

    blendshapes: float | None = None
    confidence: float | None = None

    @property
    def largest(self) -> float | None:
        """The larger of the two."""
        return max((v for v in (self.blendshapes, self.confidence) if v is not None), default=None)


class DriftGauge:
    """Counts what is seen, in constant memory.

    Args:
        baseline: The bundle's; without one nothing is counted or reported.
    """

    def __init__(self, baseline: DriftBaseline | None) -> None:
        self._channels = [_Counts(h) for h in baseline.blendshapes] if baseline else []
        self._confidence = _Counts(baseline.confidence) if baseline else None
        self._faded_s: float | None = None
        self._newest = -1
        self._people = 0.0
        self._present = 0

    def add(
        self, channels: NDArray[np.float32], predictions: Sequence[Prediction], now_s: float
    ) -> None:
        """Take in the faces of one moment.

        Args:
            channels: What the recurrent member was shown, ``(faces, channels)``; may be empty, and
                hold channels that the baseline does not count behind those it does.
            predictions: Of each face; tracks are numbered in the order of their appearance.
            now_s: Seconds, never decreasing.
        """
        if self._confidence is None:
            return
        kept = 1.0 if self._faded_s is None else math.exp((self._faded_s - now_s) / FADE_S)
        self._faded_s = now_s
        for counts in (*self._channels, self._confidence):
            counts.fade(kept)
        self._people *= kept
        self._present = len(predictions)
        if predictions:
            self._people += sum(p.track > self._newest for p in predictions)
            self._newest = max(self._newest, *(p.track for p in predictions))
            self._confidence.add(np.array([p.probs.max() for p in predictions], np.float32))
        if len(channels):
            for counts, values in zip(self._channels, channels.T, strict=False):
                counts.add(values)

    def read(self) -> Drift:
        """Compare what was seen with the baseline."""
        if self._confidence is None or max(self._people, self._present) < ENOUGH_PEOPLE:
            return Drift()
        indices = [counts.index() for counts in self._channels]
        known = [index for index in indices if index is not None]
        return Drift(
            blendshapes=float(np.mean(known)) if known else None,
            confidence=self._confidence.index(),
        )


class _Counts:
    """One quantity beside its baseline."""

    def __init__(self, histogram: Histogram) -> None:
        self._edges = np.asarray(histogram.edges, np.float32)
        self._expected = np.asarray(histogram.shares, np.float64)
        self._counts = np.zeros(len(histogram.shares))

    def fade(self, kept: float) -> None:
        self._counts *= kept

    def add(self, values: NDArray[np.float32]) -> None:
        bins = bin_numbers(values, self._edges)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def index(self) -> float | None:
        total = float(self._counts.sum())
        return stability_index(self._counts / total, self._expected) if total >= ENOUGH else None


def bin_numbers(values: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.intp]:
    """Number each value's bin; a value on an edge belongs to the bin above it."""
    return np.searchsorted(edges, values, side="right")


def stability_index(seen: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return the population stability index of two sets of shares over the same bins."""
    p, q = np.maximum(seen, _LEAST), np.maximum(expected, _LEAST)
    return float(((p - q) * np.log(p / q)).sum())
