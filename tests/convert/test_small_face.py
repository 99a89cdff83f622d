"""The comparison of the small-face network's int8 form with its float form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convert.small_face import LEAST_CORRELATION, agreement


def test_outputs_that_stand_still_agree_with_nothing() -> None:
    """They count as 0, and a comparison of nothing reaches no limit."""
    rng = np.random.default_rng(1)
    wanted = rng.uniform(0, 1, (50, 52))
    assert agreement(wanted, wanted) == pytest.approx(1.0)
    dead = np.full_like(wanted, 0.3)
    assert agreement(dead, wanted) == 0.0
    half = np.where(np.arange(52) < 40, dead, wanted)
    assert agreement(half, wanted) == 0.0
    nothing = agreement(wanted, dead)
    assert math.isnan(nothing)
    assert not nothing >= LEAST_CORRELATION
