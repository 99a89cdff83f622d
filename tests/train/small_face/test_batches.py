"""What the small-face network learns from: labels that follow every change of the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.faces.small_face import LOG_FLOOR, SIDE_PX
from edge.features.blendshapes import NAMES, mirrored
from train.small_face.batches import FaceBatches, FarFaces, make_batch, shape_levels
from train.small_face.measure import PATCH_PX, PATCH_SIDE, FaceSamples, read_samples, write_samples
from train.small_face.mirror import COUNTERPARTS, mirrored_points

if TYPE_CHECKING:
    from pathlib import Path

STILL = FarFaces(
    rotation_deg=0,
    shift=0,
    zoom=0,
    gamma=0,
    contrast=0,
    brightness=0,
    blur=0,
    noise=0,
    surroundings=0,
    elsewhere=0,
    plain=0,
)


def samples(count: int = 4, *, uneven: bool = False) -> FaceSamples:
    """Patches, plain or as uneven as faces, with a bright spot where the first landmark is."""
    rng = np.random.default_rng(3)
    points = rng.uniform(0.35, 0.65, (count, 478, 3)).astype(np.float16)
    patches = np.full((count, PATCH_PX, PATCH_PX), 60, np.uint8)
    if uneven:
        coarse = rng.integers(20, 100, (count, 12, 12), np.uint8)
        patches = np.stack([cv2.resize(one, (PATCH_PX, PATCH_PX)) for one in coarse])
    for patch, (x, y, _) in zip(patches, points[:, 0].astype(float), strict=True):
        patch[round(y * PATCH_PX) - 2 : round(y * PATCH_PX) + 2, :][
            :, round(x * PATCH_PX) - 2 : round(x * PATCH_PX) + 2
        ] = 250
    return FaceSamples(
        patches=patches,
        inside=np.ones(patches.shape, np.bool_),
        points=points,
        blendshapes=rng.uniform(0, 1, (count, 52)).astype(np.float32),
        rows=np.arange(count),
    )


def test_counterparts_are_pairs() -> None:
    """Each landmark is the counterpart of its counterpart, and eyes change places."""
    assert np.array_equal(COUNTERPARTS[COUNTERPARTS], np.arange(478))
    assert COUNTERPARTS[33] == 263
    assert COUNTERPARTS[61] == 291
    assert COUNTERPARTS[1] == 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_mirrored_twice_is_as_before(seed: int) -> None:
    """The mirror image of the mirror image is the face."""
    points = np.random.default_rng(seed).uniform(0, 1, (478, 3)).astype(np.float32)
    assert mirrored_points(mirrored_points(points, 1.0), 1.0) == pytest.approx(points, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_landmarks_stay_on_what_they_mark(seed: int) -> None:
    """Turned, shifted, enlarged or mirrored: the spot is where the label says."""
    faces = samples()
    how = STILL.model_copy(update={"rotation_deg": 12.0, "shift": 0.05, "zoom": 0.1})
    inputs, points, _, _ = make_batch(
        faces, np.arange(4), how, np.random.default_rng(seed), width_px=100.0
    )
    for picture, marks in zip(inputs[..., 0], points, strict=True):
        weight = picture - picture.min()
        weight[weight < 0.5 * weight.max()] = 0
        rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] + 0.5
        spot = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        # The mirror image of landmark 0 is landmark 0: it lies on the middle line.
        assert spot / SIDE_PX - 0.5 == pytest.approx(marks[0, :2], abs=2.0 / SIDE_PX)


def test_blendshapes_are_mirrored_with_the_picture() -> None:
    """A face comes as it is or as its mirror image, with the blendshapes of that."""
    faces = samples(32)
    _, points, shapes, there = make_batch(faces, np.arange(32), STILL, np.random.default_rng(5))
    upright = np.abs((points[:, 0, 0] / PATCH_SIDE + 0.5) - faces.points[:, 0, 0]) < 0.01
    assert there.min() == 1
    assert 4 < upright.sum() < 28
    same, other = shape_levels(faces.blendshapes), shape_levels(mirrored(faces.blendshapes))
    assert np.allclose(shapes[upright], same[upright])
    assert np.allclose(shapes[~upright], other[~upright])


def test_plain_surfaces_are_no_face() -> None:
    """A wall shows nothing of the faces it stands in for, and is labelled as no face."""
    how = STILL.model_copy(update={"plain": 1.0})
    faces = samples(16)
    others = replace(faces, patches=255 - faces.patches)
    walls, _, _, there = make_batch(faces, np.arange(16), how, np.random.default_rng(2))
    again, *_ = make_batch(others, np.arange(16), how, np.random.default_rng(2))
    assert there.max() == 0
    assert np.array_equal(walls, again)


def test_levels_are_those_of_the_recurrent_network() -> None:
    """The logarithm has a floor, so that a blendshape at rest is a number."""
    levels = shape_levels(np.zeros((1, len(NAMES)), np.float32))
    assert levels == pytest.approx(np.log(LOG_FLOOR))


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    """It follows from the seed, the epoch and the step alone."""
    batches = FaceBatches(samples=samples(8), how=FarFaces(), batch_size=4, seed=9)
    first, again, next_ = batches.draw(1, 0), batches.draw(1, 0), batches.draw(1, 1)
    assert batches.steps == 2
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], next_[0])


def test_samples_are_kept(tmp_path: Path) -> None:
    """What was written is read."""
    faces = samples()
    write_samples(tmp_path / "cache" / "faces.npz", faces)
    read = read_samples(tmp_path / "cache" / "faces.npz")
    for name in FaceSamples.__dataclass_fields__:
        assert np.array_equal(getattr(read, name), getattr(faces, name))
