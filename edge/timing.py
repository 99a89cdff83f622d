"""How long each stage takes: the last few hundred values of each, and their percentiles."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles of a stage's duration over the values kept, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    max_ms: float


class StageTimes:
    """Collects durations by stage in constant memory."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._seconds: dict[str, deque[float]] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Record one duration."""
        values = self._seconds.get(stage)
        if values is None:
            values = self._seconds[stage] = deque(maxlen=self._kept)
        values.append(seconds)

    def spread(self, stage: str) -> Spread:
        """Summarise one stage; all zero where nothing was recorded."""
        values = self._seconds.get(stage)
        if not values:
            return Spread(count=0, p50_ms=0.0, p95_ms=0.0, max_ms=0.0)
        p50, p95 = np.percentile(values, (50, 95))
        return Spread(
            count=len(values),
            p50_ms=round(1e3 * float(p50), 2),
            p95_ms=round(1e3 * float(p95), 2),
            max_ms=round(1e3 * max(values), 2),
        )

    def summary(self) -> Mapping[str, Spread]:
        """Summarise every stage, in the order they were first seen."""
        return {stage: self.spread(stage) for stage in self._seconds}
