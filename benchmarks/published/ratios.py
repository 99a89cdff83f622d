"""How much slower a network is on a board, from networks of its kind timed here and there.

Ratios of times spread like factors, so all arithmetic is with their logarithms. Of some networks'
ratios follows an interval for the next network of the kind: the prediction interval of a normal
sample, mean and Student's t times the deviation times ``sqrt(1 + 1/n)``. What is reached over
another board or number of threads is the product of two such ratios; half widths of independent
ratios add in quadrature.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

from emoshift.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.published.figures import Board, FigureSet, Kind

LEVEL: Final = 0.9
"""Share of networks that an interval should hold."""
ANCHOR_THREADS: Final = 4
"""Most is published with four threads: other numbers of threads are reached from there."""
LEAST: Final = 3
"""Networks that must have been timed in both places before an interval is drawn from them."""
_T95: Final = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)
"""95th percentile of Student's t with 1 to 10 degrees of freedom."""
_Z95: Final = 1.645


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times slower, as an interval.

    Attributes:
        log: Logarithm of the estimate.
        half: Half the interval's width, on the same scale.
        steps: How it was reached, with the number of networks it rests on.
        sources: Keys of the sources.
    """

    log: float
    half: float
    steps: tuple[str, ...]
    sources: frozenset[str]

    @property
    def estimate(self) -> float:
        """Geometric mean."""
        return math.exp(self.log)

    @property
    def low(self) -> float:
        """Lower end."""
        return math.exp(self.log - self.half)

    @property
    def high(self) -> float:
        """Upper end."""
        return math.exp(self.log + self.half)

    def then(self, other: Ratio) -> Ratio:
        """Multiply by an independent ratio."""
        return Ratio(
            log=self.log + other.log,
            half=math.hypot(self.half, other.half),
            steps=self.steps + other.steps,
            sources=self.sources | other.sources,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One network timed in two places.

    Attributes:
        network: Its name.
        source: Key of the source that timed it in the second place.
        before_ms, after_ms: In the first and in the second place.
    """

    network: str
    source: str
    before_ms: float
    after_ms: float

    @property
    def family(self) -> str:
        """What its siblings share: ``efficientdet`` of ``efficientdet-lite0``."""
        return re.split(r"(?:lite)?(?:v?\d|-)", self.network)[0]

    @property
    def log(self) -> float:
        """Logarithm of the ratio."""
        return math.log(self.after_ms / self.before_ms)


def predicted(pairs: Sequence[Pair], step: str = "") -> Ratio:
    """Return the interval in which the next network's ratio is expected.

    Args:
        pairs: Two or more.
        step: What the ratio leads from and to.
    """
    logs = [pair.log for pair in pairs]
    n = len(logs)
    return Ratio(
        log=fmean(logs),
        half=_t95(n - 1) * stdev(logs) * math.sqrt(1 + 1 / n),
        steps=(f"{step} by {n} networks",),
        sources=frozenset(pair.source for pair in pairs),
    )


def between(first: Board, second: Board, kind: Kind, threads: int) -> list[Pair]:
    """Pair the networks of a kind that one source timed on both boards in the same way."""
    found = []
    for here in _of(first, kind, threads):
        for there in _of(second, kind, threads):
            if (here.source, here.runtime) == (there.source, there.runtime):
                found += _common(here.ms, there.ms, there.source)
    return found


def by_threads(board: Board, kind: Kind, before: int, after: int) -> list[Pair]:
    """Pair the networks of a kind that one source timed with both numbers of threads."""
    found = []
    for here in _of(board, kind, before):
        for there in _of(board, kind, after):
            if (here.source, here.runtime) == (there.source, there.runtime):
                found += _common(here.ms, there.ms, there.source)
    return found


def direct(here_ms: Mapping[str, float], board: Board, kind: Kind, threads: int) -> list[Pair]:
    """Pair the networks that were timed here with those published of the board."""
    found = []
    for there in _of(board, kind, threads):
        if there.fast_kernels:
            found += _common(here_ms, there.ms, there.source)
    return found


def slower(
    here_ms: Mapping[str, float],
    boards: Mapping[str, Board],
    key: str,
    kind: Kind,
    threads: int,
) -> Ratio:
    """Return how many times slower a network of a kind is on a board than on this machine.

    Straight where enough networks were timed here and there with four threads, else over the
    board's relative; then from four threads to the number asked for.

    Args:
        here_ms: Milliseconds of networks of this kind on this machine, one thread.
        boards: All boards.
        key: The board.
        kind: The network's kind.
        threads: Threads it has on the board.

    Raises:
        UsageError: Too little is published.
    """
    board = boards[key]
    pairs = direct(here_ms, board, kind, ANCHOR_THREADS)
    if len(pairs) >= LEAST:
        there = predicted(pairs, f"this machine to {key}, {ANCHOR_THREADS} threads,")
    elif board.related is not None:
        relative = boards[board.related]
        there = slower(here_ms, boards, relative.key, kind, ANCHOR_THREADS).then(
            _over_kinds(
                lambda kind: between(relative, board, kind, ANCHOR_THREADS),
                kind,
                f"{relative.key} to {key}",
            )
        )
    else:
        raise UsageError(f"{board.name}: too little is published of {kind} networks")
    if threads == ANCHOR_THREADS:
        return there

    def change(kind: Kind) -> list[Pair]:
        own = by_threads(board, kind, ANCHOR_THREADS, threads)
        if len(own) >= LEAST or board.related is None:
            return own
        return by_threads(boards[board.related], kind, ANCHOR_THREADS, threads)

    return there.then(_over_kinds(change, kind, f"{ANCHOR_THREADS} to {threads} threads"))


def _over_kinds(found: Callable[[Kind], list[Pair]], kind: Kind, step: str) -> Ratio:
    """Take a kind's own ratios; for OpenCV's float networks also those of the TFLite runtime."""
    kinds: tuple[Kind, ...] = ("opencv", "float32") if kind == "opencv" else (kind,)
    for each in kinds:
        pairs = found(each)
        if len(pairs) >= LEAST:
            return predicted(pairs, step if each == kind else f"{step} ({each})")
    raise UsageError(f"{step}: too little is published of {kind} networks")


def _of(board: Board, kind: Kind, threads: int) -> Iterable[FigureSet]:
    return (f for f in board.figures if (f.kind, f.threads) == (kind, threads))


def _common(before: Mapping[str, float], after: Mapping[str, float], source: str) -> list[Pair]:
    return [
        Pair(network=name, source=source, before_ms=before[name], after_ms=after[name])
        for name in after
        if name in before
    ]


def _t95(degrees: int) -> float:
    """Return the 95th percentile of Student's t; beyond the table by its expansion in 1/n."""
    if degrees <= len(_T95):
        return _T95[degrees - 1]
    return _Z95 + (_Z95**3 + _Z95) / (4 * degrees)
