"""Features are the same on the bench and on the device, and do what their contracts say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.features.blendshapes import (
    INFORMATIVE,
    LIMIT,
    NAMES,
    channel_names,
    channels,
    levels,
    mirrored,
    resting_offset,
)
from edge.standardise import GAIN, MIDDLE, standardise_crop

RNG = np.random.default_rng(3)


class Form:
    """Channels as the shipped net reads them, with made-up statistics."""

    blendshapes = INFORMATIVE
    pose = True
    log_floor = 0.02
    pair = True
    subtract_neutral = True
    mean = (*(-3.0 + 0.05 * i for i in range(33)), 0.0, 0.0, 0.0)
    std = (0.5,) * 33 + (10.0, 10.0, 10.0)


@given(gain=st.floats(0.5, 1.5), level=st.floats(-20, 20))
def test_light_is_taken_out(gain: float, level: float) -> None:
    """A darker or flatter picture of the same face gives nearly the same crop."""
    ramp = np.tile(np.linspace(60, 160, 48), (48, 1))
    other = np.clip(np.rint((ramp - 110) * gain + 110 + level), 0, 255)
    one = standardise_crop(np.rint(ramp).astype(np.uint8)).astype(int)
    two = standardise_crop(other.astype(np.uint8)).astype(int)
    assert np.abs(one - two).max() <= 3


def test_crop_has_the_promised_mean_and_spread() -> None:
    """Mean 128 and 48 grey values a standard deviation, each crop by itself."""
    crops = RNG.normal(90, 20, (5, 48, 48)).clip(0, 255).astype(np.uint8)
    crops[1] //= 2
    found = standardise_crop(crops).astype(float)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), MIDDLE, atol=0.6)
    np.testing.assert_allclose(found.std(axis=(1, 2)), GAIN, atol=1.0)
    np.testing.assert_array_equal(standardise_crop(crops[2]), found[2].astype(np.uint8))


def test_a_flat_crop_stays_quiet() -> None:
    """Noise in a nearly uniform picture is not blown up to full contrast."""
    flat = np.full((48, 48), 100, np.uint8)
    flat[::2] = 101
    assert np.ptp(standardise_crop(flat).astype(int)) <= 8


def test_there_are_fifty_two_and_thirty_three() -> None:
    """MediaPipe's count, and the reference's."""
    assert len(set(NAMES)) == 52
    assert len(set(INFORMATIVE)) == 33
    assert set(INFORMATIVE) <= set(NAMES)


def test_pairs_become_mean_and_skew() -> None:
    """A one-sided smile shows in the skew alone."""
    shapes = np.full((2, 52), 0.1, np.float32)
    shapes[1, [NAMES.index("mouthSmileLeft"), NAMES.index("mouthSmileRight")]] = (0.2, 0.05)
    names = channel_names(Form())
    change = np.diff(levels(shapes, None, Form()), axis=0)[0]
    moved = {name for name, value in zip(names, change, strict=True) if abs(value) > 1e-6}
    assert moved <= {"mouthSmileMean", "mouthSmileSkew"}
    assert change[names.index("mouthSmileSkew")] > 1.0
    assert names[-3:] == ("yaw", "pitch", "roll")
    assert len(names) == 36


def test_mirroring_twice_changes_nothing_and_once_turns_the_skew() -> None:
    """The mirror image swaps the sides."""
    shapes = RNG.uniform(0, 1, (4, 52)).astype(np.float32)
    np.testing.assert_array_equal(mirrored(mirrored(shapes)), shapes)
    skew = [name.endswith("Skew") for name in channel_names(Form())]
    one, two = levels(shapes, None, Form()), levels(mirrored(shapes), None, Form())
    np.testing.assert_allclose(one[:, skew], -two[:, skew], atol=1e-6)


def test_a_known_person_at_rest_reads_as_nought() -> None:
    """The resting offset brings a person's own neutral face to the mean, pose excepted."""
    shapes = np.repeat(RNG.uniform(0, 0.3, (1, 52)).astype(np.float32), 9, axis=0)
    pose = np.tile(np.array([5.0, -3.0, 2.0], np.float32), (9, 1))
    seen = levels(shapes, pose, Form())
    found = channels(seen, Form(), resting_offset(seen, Form()))
    np.testing.assert_allclose(found[0, :-3], 0.0, atol=1e-5)
    np.testing.assert_allclose(found[0, -3:], [0.5, -0.3, 0.2], atol=1e-6)


def test_channels_never_leave_the_int8_range() -> None:
    """Whatever comes in, the quantised input does not saturate unseen."""
    wild = levels(np.ones((1, 52), np.float32), np.full((1, 3), 500.0, np.float32), Form())
    assert np.abs(channels(wild, Form())).max() <= LIMIT


def test_without_neutral_subtraction_the_offset_is_ignored() -> None:
    """A form may ask for the plain channels."""

    class Plain(Form):
        subtract_neutral = False

    seen = levels(RNG.uniform(0, 1, (3, 52)).astype(np.float32), None, Plain())
    offset = np.ones(36, np.float32)
    np.testing.assert_array_equal(channels(seen, Plain(), offset), channels(seen, Plain()))


@pytest.mark.parametrize("shape", [(52,), (4, 52), (2, 3, 52)])
def test_any_leading_shape(shape: tuple[int, ...]) -> None:
    """One face, many faces, or sequences of them."""
    found = channels(levels(np.zeros(shape, np.float32), None, Form()), Form())
    assert found.shape == (*shape[:-1], 36)
    assert found.dtype == np.float32
