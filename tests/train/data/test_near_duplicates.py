"""The same photograph is found again, a different one is not."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from train.data.near_duplicates import NEAR, near_duplicates, nearest

RNG = np.random.default_rng(6)


def photographs(n: int) -> np.ndarray:
    coarse = RNG.integers(0, 256, (n, 8, 8)).astype(np.uint8)
    return np.stack([cv2.resize(one, (48, 48), interpolation=cv2.INTER_CUBIC) for one in coarse])


KNOWN = photographs(40)


def test_a_copy_in_other_light_or_mirrored_is_found() -> None:
    """Brightness, contrast, a little noise and the mirror do not hide it."""
    darker = (KNOWN[7] * 0.7).astype(np.uint8)
    noisy = np.clip(KNOWN[11] + RNG.normal(0, 2, (48, 48)), 0, 255).astype(np.uint8)
    asked = np.stack([darker, noisy, KNOWN[3][:, ::-1]])
    index, bits = nearest(asked, KNOWN)
    assert index.tolist() == [7, 11, 3]
    assert bits.max() <= NEAR


def test_another_photograph_is_not() -> None:
    """Unrelated pictures lie far beyond the limit."""
    assert not near_duplicates(photographs(40), KNOWN).any()
