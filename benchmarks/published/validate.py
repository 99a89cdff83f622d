"""Predicts published figures from others, each as though it were unknown, and counts the hits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from benchmarks.published.ratios import (
    ANCHOR_THREADS,
    LEAST,
    Pair,
    between,
    by_threads,
    predicted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.published.figures import Board, Kind

_KINDS: Final[tuple[Kind, ...]] = ("float32", "int8", "opencv")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A published figure that was predicted without itself.

    Attributes:
        pair: The network, with the published figures in both places.
        low_ms, estimate_ms, high_ms: What was predicted of the second one.
    """

    pair: Pair
    low_ms: float
    estimate_ms: float
    high_ms: float

    @property
    def hit(self) -> bool:
        """Whether the published figure lies in the interval."""
        return self.low_ms <= self.pair.after_ms <= self.high_ms

    @property
    def wrong_by(self) -> float:
        """How far off the estimate is, as a factor of 1 or more."""
        return math.exp(abs(math.log(self.estimate_ms / self.pair.after_ms)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """All predictions of one kind from one place to another.

    Attributes:
        left_out: Each figure, predicted from all others.
        without_siblings: Predicted from networks of other families alone, where those suffice.
    """

    what: str
    kind: Kind
    threads: int
    left_out: tuple[LeftOut, ...]
    without_siblings: tuple[LeftOut, ...]

    @property
    def hits(self) -> int:
        """Published figures inside their interval."""
        return sum(one.hit for one in self.left_out)


def predict_left_out(pairs: Sequence[Pair], *, siblings: bool = True) -> tuple[LeftOut, ...]:
    """Predict each pair's second figure from its first and the other networks' ratios.

    Args:
        pairs: Networks timed in two places.
        siblings: Whether networks of its own family are among the others; else those of which too
            few others are left are not predicted.
    """
    found = []
    for pair in pairs:
        others = [
            other
            for other in pairs
            if other.network != pair.network and (siblings or other.family != pair.family)
        ]
        if len(others) < (LEAST if not siblings else 2):
            continue
        ratio = predicted(others)
        found.append(
            LeftOut(
                pair=pair,
                low_ms=pair.before_ms * ratio.low,
                estimate_ms=pair.before_ms * ratio.estimate,
                high_ms=pair.before_ms * ratio.high,
            )
        )
    return tuple(found)


def trials(boards: Mapping[str, Board]) -> tuple[Trial, ...]:
    """Predict every published figure that has enough others beside it.

    From board to board in one direction (backwards the arithmetic gives the same hits), and on each
    board from four threads to fewer.
    """
    ordered = sorted(boards.values(), key=lambda board: board.key, reverse=True)
    found = [
        (f"{second.key} from {first.key}", kind, threads, between(first, second, kind, threads))
        for first, second in combinations(ordered, 2)
        for kind in _KINDS
        for threads in (1, 2, 3, ANCHOR_THREADS)
    ] + [
        (
            f"{board.key} from {ANCHOR_THREADS} threads", kind, threads,
            by_threads(board, kind, ANCHOR_THREADS, threads),
        )
        for board in ordered
        for kind in _KINDS
        for threads in (1, 2, 3)
    ]  # fmt: skip
    return tuple(
        Trial(
            what=what,
            kind=kind,
            threads=threads,
            left_out=predict_left_out(pairs),
            without_siblings=predict_left_out(pairs, siblings=False),
        )
        for what, kind, threads, pairs in found
        if len(pairs) > LEAST
    )
