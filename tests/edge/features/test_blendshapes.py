"""Channels: blendshapes and head pose as the recurrent networks read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.bundle.manifest import ChannelTransform
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

shapes = arrays(np.float32, (4, 52), elements=st.floats(0, 1, width=32))


def form(*names: str, count: int, **changes: object) -> ChannelTransform:
    plain = {"pose": False, "log_floor": None, "mean": (0.0,) * count, "std": (1.0,) * count}
    return ChannelTransform.model_validate({"blendshapes": names, **plain, **changes})


def only(**values: float) -> NDArray[np.float32]:
    out = np.zeros(len(NAMES), np.float32)
    for name, value in values.items():
        out[NAMES.index(name)] = value
    return out


def test_the_names_are_mediapipes() -> None:
    """52 of them, each once; 33 are informative."""
    assert len(set(NAMES)) == len(NAMES) == 52
    assert len(set(INFORMATIVE)) == len(INFORMATIVE) == 33
    assert set(INFORMATIVE) <= set(NAMES)


def test_pairs() -> None:
    """Both sides of a pair give their mean and left minus right; other names stay."""
    pair = form("mouthSmileLeft", "mouthSmileRight", "jawOpen", count=3, pair=True)
    assert channel_names(pair) == ("mouthSmileMean", "mouthSmileSkew", "jawOpen")
    got = levels(only(mouthSmileLeft=0.6, mouthSmileRight=0.2, jawOpen=0.5), None, pair)
    np.testing.assert_allclose(got, [0.4, 0.4, 0.5], rtol=1e-6)


def test_log_has_a_floor() -> None:
    """The logarithm is taken above the floor, so that zero is finite."""
    logged = form("jawOpen", count=1, log_floor=0.01)
    np.testing.assert_allclose(levels(only(jawOpen=0.99), None, logged), [0.0], atol=1e-6)
    assert np.isfinite(levels(only(), None, logged)).all()


def test_pose_comes_last() -> None:
    """Yaw, pitch and roll follow the blendshapes; a missing pose counts as frontal."""
    posed = form("jawOpen", count=4, pose=True)
    pose = np.array([10, -5, 2], np.float32)
    np.testing.assert_allclose(levels(only(jawOpen=1), pose, posed), [1, 10, -5, 2])
    np.testing.assert_allclose(levels(only(jawOpen=1), None, posed), [1, 0, 0, 0])


@given(shapes)
def test_a_resting_person_reads_as_an_average_one(seen: NDArray[np.float32]) -> None:
    """What is always there in a face is taken away; head pose is no property of a person."""
    posed = form("jawOpen", "browInnerUp", count=5, pose=True, mean=(0.1, 0.2, 0, 0, 0))
    pose = np.tile(np.array([20, 0, 0], np.float32), (len(seen), 1))
    measured = levels(seen, pose, posed)
    offset = resting_offset(measured, posed)
    middle = channels(np.median(measured, axis=0), posed, offset)
    np.testing.assert_allclose(middle[:2], 0, atol=1e-6)
    assert middle[2] == LIMIT


@given(shapes)
def test_mirroring_twice_is_nothing(values: NDArray[np.float32]) -> None:
    """Mirroring swaps left and right; the mean of a pair does not change, its skew turns."""
    np.testing.assert_array_equal(mirrored(mirrored(values)), values)
    pair = form("eyeWideLeft", "eyeWideRight", count=2, pair=True)
    straight, turned = levels(values, None, pair), levels(mirrored(values), None, pair)
    np.testing.assert_allclose(straight[:, 0], turned[:, 0], atol=1e-6)
    np.testing.assert_allclose(straight[:, 1], -turned[:, 1], atol=1e-6)


@given(shapes)
def test_channels_stay_in_range(values: NDArray[np.float32]) -> None:
    """However extreme a face, the int8 scale holds it."""
    narrow = form(*INFORMATIVE, count=33, log_floor=1e-3, std=(0.01,) * 33)
    assert np.abs(channels(levels(values, None, narrow), narrow)).max() <= LIMIT
