"""Augmentation is chance with a seed: the same again for the same seed, and never off the scale."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from train.augment import Augmentation, augment

STILL = Augmentation(
    rotation_deg=0.0,
    shift=0.0,
    shear=0.0,
    zoom=0.0,
    flip=0.0,
    gamma=0.0,
    contrast=0.0,
    brightness=0.0,
    coarse=0.0,
    noise=0.0,
    erase=0.0,
)
CROPS = np.random.default_rng(1).integers(0, 256, (6, 48, 48)).astype(np.uint8)


def changed(how: Augmentation, *, seed: int = 0, side_px: int = 48) -> np.ndarray:
    return augment(CROPS, how, np.random.default_rng(seed), side_px=side_px)


def test_same_seed_same_pictures() -> None:
    """A run can be repeated to the pixel."""
    np.testing.assert_array_equal(changed(Augmentation()), changed(Augmentation()))
    assert (changed(Augmentation()) != changed(Augmentation(), seed=1)).any()


def test_no_limits_no_change() -> None:
    """With every limit at nought the pictures pass through."""
    np.testing.assert_array_equal(changed(STILL), CROPS)


def test_a_certain_flip_is_the_mirror_image() -> None:
    """The map keeps the centre of the picture in its place."""
    np.testing.assert_array_equal(
        changed(STILL.model_copy(update={"flip": 1.0})), CROPS[:, :, ::-1]
    )


@pytest.mark.parametrize("side_px", [32, 40, 48])
def test_any_side(side_px: int) -> None:
    """Small pictures for the early phases come from the same step."""
    found = changed(Augmentation(), side_px=side_px)
    assert found.shape == (6, side_px, side_px)
    assert found.dtype == np.uint8


def test_a_picture_that_is_only_resized_keeps_its_mean() -> None:
    """Nothing is shifted off the edge when the side changes."""
    smooth = np.tile(np.linspace(0, 250, 48), (1, 48, 1)).astype(np.uint8)
    found = augment(smooth, STILL, np.random.default_rng(0), side_px=32)
    assert abs(float(found.mean()) - float(smooth.mean())) < 1.0


def test_the_input_is_left_alone() -> None:
    """Pictures are shared between epochs."""
    before = CROPS.copy()
    changed(Augmentation())
    np.testing.assert_array_equal(CROPS, before)
