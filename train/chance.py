"""Where the chance of a training step comes from."""

from __future__ import annotations

import numpy as np


def step_chance(seed: int, epoch: int, step: int) -> np.random.Generator:
    """Return the source of chance of one step."""
    # Counted from 1: numpy takes [seed, epoch, 0] for [seed, epoch], which draws the order.
    return np.random.default_rng([seed, epoch, step + 1])
