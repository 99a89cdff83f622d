"""The changes on the device are those of `train.augment`: other draws, one distribution."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("jax", reason="needs JAX: the training environment brings it")

import jax
import jax.numpy as jnp

from edge.standardise import standardise_crop
from tests.train.test_augment import CROPS, STILL
from train.augment import Augmentation, augment
from train.augment_on_device import DeviceAugmentation, as_input_on_device, coarse_maps
from train.data.images import as_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FACE = cv2.GaussianBlur(CROPS[0], (0, 0), 3)
FACE = cv2.normalize(FACE, None, 20, 235, cv2.NORM_MINMAX)
MANY = np.repeat(FACE[None], 4000, axis=0)


@cache
def compiled(how: Augmentation) -> Callable[..., jax.Array]:
    return jax.jit(DeviceAugmentation(how, 48).augment, static_argnames="side_px")


def changed(
    crops: NDArray[np.uint8], how: Augmentation, *, seed: int = 0, strength: float = 1.0
) -> NDArray[np.uint8]:
    whole = np.asarray(
        compiled(how)(jax.random.key(seed), jnp.asarray(crops), side_px=32, strength=strength)
    )
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert whole.min() >= 0
    assert whole.max() <= 255
    return whole.astype(np.uint8)


def gradient(images: NDArray[np.uint8]) -> float:
    values = images.astype(np.float64)
    return float(np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=2)).mean())


ALL = Augmentation()


def alone(**limits: float) -> Augmentation:
    return STILL.model_copy(update=limits)


ALONE = {
    "everything": ALL,
    "geometry": alone(rotation_deg=30.0, shift=0.2, shear=0.2, zoom=0.2, flip=0.3, crop_least=0.5),
    "coarse and tone": alone(coarse=0.7, gamma=0.3, contrast=0.3, brightness=30.0),
    "noise and erase": alone(noise=12.0, erase=0.7),
}


@pytest.mark.parametrize("name", ALONE)
def test_the_distribution_is_the_same(name: str) -> None:
    """Of each pixel the mean and mean square of its change, within five standard errors.

    Of the images how sharp they are, and how their levels spread.
    """
    how = ALONE[name]
    here = changed(MANY, how, strength=0.8)
    there = augment(MANY, how, np.random.default_rng(0), side_px=32, strength=0.8)
    still = augment(FACE[None], STILL, np.random.default_rng(0), side_px=32)[0].astype(np.float64)
    for power, rounding in ((1, 0.5), (2, 2.0)):
        one, two = ((images - still) ** power for images in (here, there))
        error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / len(MANY))
        assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) <= 5 * error + rounding).all()
    assert gradient(here) == pytest.approx(gradient(there), rel=0.02)
    levels = [images.mean(axis=(1, 2)).std() for images in (here, there)]
    assert levels[0] == pytest.approx(levels[1], rel=0.1, abs=0.05)


def test_without_strength_and_tone_only_the_size_changes() -> None:
    """To the grey value, as OpenCV resizes by the same map."""
    quiet = ALL.model_copy(
        update={"flip": 0.0, "gamma": 0.0, "contrast": 0.0, "brightness": 0.0, "noise": 0.0}
    )
    found = changed(CROPS, quiet, strength=0.0).astype(int)
    expected = augment(CROPS, STILL, np.random.default_rng(0), side_px=32).astype(int)
    assert np.abs(found - expected).max() <= 4  # OpenCV rounds the place of a pixel to 1/32


def test_the_same_key_draws_the_same_images() -> None:
    """Another one others: a run can be repeated and resumed."""
    first = changed(MANY, ALL)
    np.testing.assert_array_equal(first, changed(MANY, ALL))
    assert (first != changed(MANY, ALL, seed=1)).any()


def test_limits_are_kept() -> None:
    """No erased rectangle is larger, and no image is lighter, than the limits allow."""
    grey = np.full((4000, 48, 48), 100, np.uint8)
    level = changed(grey, alone(brightness=30.0))
    assert set(np.unique(level)) == set(range(70, 131))
    erased = changed(grey, alone(erase=1.0)) != 100
    wide, high = erased.any(axis=1).sum(axis=1), erased.any(axis=2).sum(axis=1)
    assert max(wide.max(), high.max()) == int(0.3 * 32)
    assert min(wide[wide > 0].min(), high[high > 0].min()) == int(0.1 * 32)


@pytest.mark.parametrize("small_px", [19, 24, 37, 48])
def test_shrinking_and_enlarging_is_opencvs(small_px: int) -> None:
    """One map for each axis does both at once."""
    maps = coarse_maps(48)[small_px - 4]
    small = cv2.resize(FACE, (small_px, small_px), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(maps @ FACE @ maps.T, expected, atol=1.5)


def test_inputs_are_standardised_as_on_the_device() -> None:
    """One formula in both, to the last grey value but for rounding of halves."""
    found = np.asarray(as_input_on_device(jnp.asarray(MANY[:4], "float32")))
    expected = as_input(standardise_crop(MANY[:4]))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1 / 64
    assert (found != expected).mean() < 0.001
