"""Channels are blendshapes and pose, mixed and scaled as the manifest says."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import BundleError
from edge.models.channels import BLENDSHAPES, Channels
from edge.models.manifest import ChannelTransform


def transform(*names: str, count: int, **changes: object) -> ChannelTransform:
    plain = {"pose": False, "log_floor": None, "mean": (0.0,) * count, "std": (1.0,) * count}
    return ChannelTransform.model_validate({"blendshapes": names, **plain, **changes})


def shapes(**values: float) -> np.ndarray:
    out = np.zeros(len(BLENDSHAPES), np.float32)
    for name, value in values.items():
        out[BLENDSHAPES.index(name)] = value
    return out


def test_names() -> None:
    """There are 52 blendshapes, each once."""
    assert len(set(BLENDSHAPES)) == 52


def test_pairs() -> None:
    """A name without its side gives the mean of the sides and left minus right."""
    channels = Channels(transform("mouthSmile", "jawOpen", count=3, pair=True))
    assert channels.names == ("mouthSmileMean", "mouthSmileDifference", "jawOpen")
    raw = channels.raw(shapes(mouthSmileLeft=0.6, mouthSmileRight=0.2, jawOpen=0.5), None)
    np.testing.assert_allclose(raw, [0.4, 0.4, 0.5], rtol=1e-6)


def test_log_comes_before_the_mean() -> None:
    """The logarithm is taken of each blendshape, with its floor."""
    channels = Channels(transform("jawOpen", count=1, log_floor=0.01))
    np.testing.assert_allclose(channels.raw(shapes(jawOpen=0.99), None), [0.0], atol=1e-6)


def test_pose_follows() -> None:
    """Yaw, pitch and roll come last; a missing pose counts as frontal."""
    channels = Channels(transform("jawOpen", count=4, pose=True))
    pose = np.array([10, -5, 2], np.float32)
    np.testing.assert_allclose(channels.raw(shapes(jawOpen=1), pose), [1, 10, -5, 2])
    np.testing.assert_allclose(channels.raw(shapes(jawOpen=1), None), [1, 0, 0, 0])


def test_scaling() -> None:
    """Neutral and mean are subtracted, then divided by the deviation."""
    channels = Channels(transform("jawOpen", count=1, mean=(0.1,), std=(0.5,)))
    scaled = channels.scaled(np.array([0.8], np.float32), np.array([0.2], np.float32))
    np.testing.assert_allclose(scaled, [1.0], rtol=1e-6)


def test_rows_at_once() -> None:
    """Many faces go through at once as one by one."""
    channels = Channels(transform("mouthSmile", "browInnerUp", count=6, pair=True, pose=True))
    rng = np.random.default_rng(1)
    many = rng.random((5, 52), np.float32)
    poses = rng.random((5, 3), np.float32)
    each = [channels.raw(row, pose) for row, pose in zip(many, poses, strict=True)]
    np.testing.assert_allclose(channels.raw(many, poses), each, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param(transform("jawOpen", count=2), "makes 1 channels but has 2", id="count"),
        pytest.param(transform("grin", count=1), "no blendshape", id="name"),
        pytest.param(transform("mouthSmile", count=1), "no blendshape", id="side missing"),
        pytest.param(transform("jawOpen", count=1, std=(0.0,)), "above zero", id="flat"),
    ],
)
def test_refused(wrong: ChannelTransform, words: str) -> None:
    """A transform that cannot work is refused with the reason."""
    with pytest.raises(BundleError, match=words):
        Channels(wrong)
