"""How long each stage takes: the last few hundred values of each, and their percentiles."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.messages import Percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT: Final = 512
RECENT: Final = 60
ENOUGH: Final = 20


class StageTimes:
    """Collects durations by stage in constant memory."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._seconds: dict[str, deque[float]] = {}
        self._count: Counter[str] = Counter()
        self._sum_s: dict[str, float] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Record one duration."""
        values = self._seconds.get(stage)
        if values is None:
            values = self._seconds[stage] = deque(maxlen=self._kept)
        values.append(seconds)
        self._count[stage] += 1
        self._sum_s[stage] = self._sum_s.get(stage, 0.0) + seconds

    def newest(self, stage: str) -> float:
        """Return the last duration recorded of a stage, seconds; zero where there is none."""
        values = self._seconds.get(stage)
        return values[-1] if values else 0.0

    def percentiles(self, stage: str) -> Percentiles:
        """Summarise one stage; all zero where nothing was recorded."""
        totals = {"count": self._count[stage], "sum_ms": 1e3 * self._sum_s.get(stage, 0.0)}
        return _percentiles(self._seconds.get(stage, ())).model_copy(update=totals)

    def summary(self) -> dict[str, Percentiles]:
        """Summarise every stage, in the order they were first seen."""
        return {stage: self.percentiles(stage) for stage in self._seconds}


class RecentLatency:
    """The latency of the last few frames at one level of effort: what the governor acts on.

    A change of level is judged by the frames after it alone, and by no fewer than `ENOUGH` of
    them; the first frames of a process, which load and warm things, weigh no more than others.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        """Record one frame."""
        self._seconds.append(seconds)

    def clear(self) -> None:
        """Forget what was measured at another level."""
        self._seconds.clear()

    def p95_ms(self) -> float | None:
        """95th percentile, or ``None`` while there are too few frames to judge by."""
        return _percentiles(self._seconds).p95_ms if len(self._seconds) >= ENOUGH else None


def _percentiles(values: Sequence[float]) -> Percentiles:
    if not values:
        return Percentiles(p50_ms=0.0, p95_ms=0.0, p99_ms=0.0)
    p50, p95, p99 = (1e3 * float(v) for v in np.percentile(values, (50, 95, 99)))
    return Percentiles(p50_ms=p50, p95_ms=p95, p99_ms=p99)
