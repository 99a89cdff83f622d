"""Counts of faces that describe nobody: with Laplace noise, whole, small ones as 0.

Used by the device for its windows and by the dashboard for those of its viewers; the reasons stand
in docs/adr/0050. Pure: its randomness is given.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

NOISE_SCALE: Final = 2.0
"""Scale of the Laplace noise of each count, faces. One face that is in another state for the whole
window changes two counts by one: no observer's odds change by more than e^(2/2)."""
LEAST_COUNT: Final = 3
"""A noisy count below this is published as 0."""


def noisy_count(value: float, random: random.Random, *, scale: float = NOISE_SCALE) -> int:
    """Return a count that may be published.

    Args:
        value: The true count or mean, faces.
        random: Of cryptographic quality, so that noise cannot be predicted and taken off.
        scale: Of the noise; see `NOISE_SCALE`.
    """
    u = random.random() - 0.5  # inversion of the Laplace distribution
    noise = -scale * math.copysign(math.log(max(1 - 2 * abs(u), 5e-324)), u)
    found = round(value + noise)
    return found if found >= LEAST_COUNT else 0
