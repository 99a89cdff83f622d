"""Two ways to answer the same pictures, compared picture by picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much oftener one of two is right.

    Attributes:
        points: Accuracy with less accuracy without, in percentage points.
        low: Lower end of the 95 % interval, bootstrapped over pictures.
        high: Its upper end.
        won: Pictures that only the first gets right.
        lost: Pictures that only the second gets right.
        n: Pictures.
    """

    points: float
    low: float
    high: float
    won: int
    lost: int
    n: int

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"{self.points:+.2f} points (95 % {self.low:+.2f} to {self.high:+.2f}, paired;"
            f" {self.won} pictures won, {self.lost} lost, n = {self.n})"
        )


def paired_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, seed: int = 0
) -> Difference:
    """Compare which pictures each of two gets right.

    A resample of pictures is a draw of how many were won, lost and neither, so nothing else is
    drawn.

    Args:
        first: Whether it is right, ``(n,)``.
        second: Likewise, of the same pictures.
        seed: Of the bootstrap.
    """
    n = len(first)
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    shares = np.array([won, lost, n - won - lost]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, (0.025, 0.975))
    return Difference(
        points=100.0 * (won - lost) / n,
        low=100.0 * float(low),
        high=100.0 * float(high),
        won=won,
        lost=lost,
        n=n,
    )
