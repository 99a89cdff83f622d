"""Figures from samples: distributions, bootstrap intervals, slopes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.reports.schema import Distribution, Interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SAMPLES: Final = 400
"""Samples of each distribution that are kept in a report."""
RESAMPLES: Final = 2000
LEVEL: Final = 0.95
_SEED: Final = 7
_DIGITS: Final = 4  # a tenth of a microsecond, in milliseconds


def summarise(values_ms: NDArray[np.floating], budget_ms: float | None = None) -> Distribution:
    """Describe durations; all zero where there are none.

    Args:
        values_ms: Shape ``(n,)``, milliseconds.
        budget_ms: What they should stay below.
    """
    n = len(values_ms)
    if n == 0:
        return Distribution(n=0, min=0, mean=0, p50=0, p90=0, p95=0, p99=0, max=0)
    values = values_ms.astype(np.float64)
    p50, p90, p95, p99 = (round(float(v), _DIGITS) for v in np.percentile(values, (50, 90, 95, 99)))
    return Distribution(
        n=n,
        min=round(float(values.min()), _DIGITS),
        mean=round(float(values.mean()), _DIGITS),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        max=round(float(values.max()), _DIGITS),
        over_budget=None if budget_ms is None else float(np.mean(values > budget_ms)),
    )


def thin(values_ms: NDArray[np.floating], most: int = SAMPLES) -> tuple[float, ...]:
    """Pick up to ``most`` values, evenly spread and in order."""
    if len(values_ms) > most:
        values_ms = values_ms[np.linspace(0, len(values_ms) - 1, most).round().astype(np.intp)]
    return tuple(round(float(v), _DIGITS) for v in values_ms)


def percentile(share: float) -> Callable[[NDArray[np.floating]], NDArray[np.floating]]:
    """Make a statistic over the last axis, for `bootstrap_ratio`."""

    def statistic(values: NDArray[np.floating]) -> NDArray[np.floating]:
        found: NDArray[np.floating] = np.percentile(values, share, axis=-1)
        return found

    return statistic


def bootstrap_ratio(
    over: NDArray[np.floating],
    under: NDArray[np.floating],
    statistic: Callable[[NDArray[np.floating]], NDArray[np.floating]],
    *,
    paired: bool = False,
) -> Interval:
    """Estimate ``statistic(over) / statistic(under)`` with its bootstrap interval.

    Neighbouring durations resemble each other, so blocks of neighbours are drawn, not single
    values (circular block bootstrap, Politis and Romano 1992); a block holds the square root of
    the number of samples.

    Args:
        over: Shape ``(n,)``, not empty, positive.
        under: Shape ``(m,)``, likewise.
        statistic: From the last axis to one number.
        paired: The samples belong together one by one and are drawn together, singly.
    """
    random = np.random.default_rng(_SEED)
    if paired:
        chosen = random.integers(len(over), size=(RESAMPLES, len(over)))
        tops, bottoms = over[chosen], under[chosen]
    else:
        tops, bottoms = (values[_blocks(len(values), random)] for values in (over, under))
    ratios = statistic(tops) / statistic(bottoms)
    low, high = np.quantile(ratios, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(
        estimate=round(float(statistic(over) / statistic(under)), 4),
        low=round(float(low), 4),
        high=round(float(high), 4),
        level=LEVEL,
    )


def wilson(right: int, n: int) -> Interval:
    """Interval of a share (Wilson 1927)."""
    z = 1.959964
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Interval(
        estimate=round(share, 4), low=round(middle - half, 4), high=round(middle + half, 4)
    )


def slope(times: NDArray[np.floating], values: NDArray[np.floating]) -> float | None:
    """Least-squares slope; ``None`` with fewer than three points or no spread in time."""
    if len(times) < 3 or float(np.ptp(times)) == 0:
        return None
    return float(np.polyfit(times, values, 1)[0])


def _blocks(n: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Indices of `RESAMPLES` resamples of ``n`` values: shape ``(RESAMPLES, n)``."""
    length = max(1, round(n**0.5))
    starts = random.integers(n, size=(RESAMPLES, -(-n // length)))
    indices = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :n] % n
    chosen: NDArray[np.intp] = indices.astype(np.intp)
    return chosen
