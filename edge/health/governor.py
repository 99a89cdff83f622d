"""Holds the latency budget by shedding load in steps, and takes it back when there is room.

Levels: 0 is everything; each further level gives up a little more (see `edge.pipeline`). The chip's
own throttling is answered before it bites: near the limit a level is given up at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HIGHEST_LEVEL: Final = 3
_SHED_ABOVE: Final = 0.9  # share of the budget
_RETURN_BELOW: Final = 0.6
_SHED_AFTER_S: Final = 1.0
_RETURN_AFTER_S: Final = 10.0
_LONGEST_KEEP_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the governor looks at.

    Attributes:
        now_s: Monotonic time, seconds.
        p95_ms: 95th percentile of capture-to-outbox over the last frames.
        budget_ms: What it must stay below.
        hot: Whether the chip throttles or is about to.
    """

    now_s: float
    p95_ms: float
    budget_ms: float
    hot: bool


class Governor:
    """Chooses the degradation level; one step at a time, up fast, down slowly.

    A level that was taken back and had to be shed again soon is kept twice as long the next time,
    so that a load on the edge does not make it swing.
    """

    def __init__(self) -> None:
        self._level = 0
        self._heavy_since_s: float | None = None
        self._light_since_s: float | None = None
        self._keep_s = _RETURN_AFTER_S
        self._returned_s = float("-inf")

    @property
    def level(self) -> int:
        """0 (everything) to `HIGHEST_LEVEL`."""
        return self._level

    def decide(self, load: Load) -> int:
        """Take in the newest measurement and return the level to run at."""
        share = load.p95_ms / load.budget_ms
        heavy = share > _SHED_ABOVE or load.hot
        light = share < _RETURN_BELOW and not load.hot
        self._heavy_since_s = _since(self._heavy_since_s, load.now_s, holds=heavy)
        self._light_since_s = _since(self._light_since_s, load.now_s, holds=light)
        if _lasted(self._heavy_since_s, load.now_s, _SHED_AFTER_S) and self._level < HIGHEST_LEVEL:
            swung = load.now_s - self._returned_s < 2 * self._keep_s
            self._keep_s = min(2 * self._keep_s, _LONGEST_KEEP_S) if swung else _RETURN_AFTER_S
            self._level += 1
            self._heavy_since_s = load.now_s
        elif _lasted(self._light_since_s, load.now_s, self._keep_s) and self._level > 0:
            self._level -= 1
            self._light_since_s = self._returned_s = load.now_s
        return self._level


def _since(since_s: float | None, now_s: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return now_s if since_s is None else since_s


def _lasted(since_s: float | None, now_s: float, for_s: float) -> bool:
    return since_s is not None and now_s - since_s >= for_s
