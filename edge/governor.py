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

    A level that was taken back and had to be shed again soon is held twice as long the next time,
    so that a load on the edge does not make it swing.
    """

    def __init__(self) -> None:
        self._level = 0
        self._since_s: float | None = None
        self._hold_s = _RETURN_AFTER_S
        self._returned_s = float("-inf")

    @property
    def level(self) -> int:
        """0 (everything) to `HIGHEST_LEVEL`."""
        return self._level

    def decide(self, load: Load) -> int:
        """Take in the newest measurement and return the level to run at."""
        if self._since_s is None:
            self._since_s = load.now_s
        elapsed_s = load.now_s - self._since_s
        share = load.p95_ms / load.budget_ms
        if (share > _SHED_ABOVE or load.hot) and elapsed_s >= _SHED_AFTER_S:
            if self._level < HIGHEST_LEVEL:
                swung = load.now_s - self._returned_s < 2 * self._hold_s
                self._hold_s = min(self._hold_s * 2, 300.0) if swung else _RETURN_AFTER_S
                self._level += 1
            self._since_s = load.now_s
        elif share < _RETURN_BELOW and not load.hot and self._level > 0:
            if elapsed_s >= self._hold_s:
                self._level -= 1
                self._since_s = self._returned_s = load.now_s
        elif share >= _RETURN_BELOW:
            self._since_s = max(self._since_s, load.now_s - _SHED_AFTER_S)
        return self._level
