"""Regions and smoothing of landmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.faces.mesh import BLENDSHAPE_POINTS, mesh_box, mesh_keypoints
from edge.faces.one_euro import OneEuro
from edge.faces.roi import Roi, roi_of_keypoints, roi_of_landmarks


@given(
    st.floats(-500, 2000), st.floats(-500, 2000), st.floats(10, 800), st.floats(-math.pi, math.pi)
)
def test_the_crop_maps_back(x: float, y: float, side: float, angle: float) -> None:
    """The crop's middle is the region's middle, and its sides have the region's length."""
    matrix = Roi(x, y, side, side, angle).matrix(256)
    middle = matrix @ (128, 128, 1)
    assert middle == pytest.approx((x, y), abs=1e-6)
    corner, right = matrix @ (0, 0, 1), matrix @ (256, 0, 1)
    assert math.dist(corner, right) == pytest.approx(side)
    found = math.atan2(right[1] - corner[1], right[0] - corner[0])
    assert math.remainder(found - angle, math.tau) == pytest.approx(0, abs=1e-6)  # -pi is pi


def test_both_ways_to_a_region_agree() -> None:
    """A level face gives a level region around it, larger than the face."""
    keypoints = np.array([(80, 90), (120, 90), (100, 112), (84, 132), (116, 132)], np.float32)
    roi = roi_of_keypoints(keypoints)
    assert roi.angle == pytest.approx(0)
    assert roi.x == pytest.approx(100)
    assert 100 < roi.y < 115
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = (100, 108)
    points[:4, :2] = [(60, 60), (140, 60), (60, 155), (140, 155)]
    points[(33, 263), :2] = [(72, 90), (128, 90)]
    around = roi_of_landmarks(points)
    assert around.angle == pytest.approx(0)
    assert around.width == around.height == pytest.approx(1.5 * 95)
    assert abs(around.width - roi.width) < 0.25 * around.width


def test_numbers_of_the_blendshape_model() -> None:
    """It reads 146 different landmarks, the ten of the irises among them."""
    assert len(BLENDSHAPE_POINTS) == len(set(BLENDSHAPE_POINTS.tolist())) == 146
    assert set(range(468, 478)) <= set(BLENDSHAPE_POINTS.tolist())
    assert list(BLENDSHAPE_POINTS) == sorted(BLENDSHAPE_POINTS)


def test_box_and_keypoints_of_a_mesh() -> None:
    """The box holds all points; eyes are the middle of their corners."""
    points = np.random.default_rng(1).uniform(50, 150, (478, 3)).astype(np.float32)
    box = mesh_box(points)
    assert (points[:, 0] >= box.x).all()
    assert (points[:, 1] <= box.y + box.height + 1e-3).all()
    assert mesh_keypoints(points)[0] == pytest.approx((points[33, :2] + points[133, :2]) / 2)


def test_smoothing_is_steady_at_rest_and_prompt_in_motion() -> None:
    """Jitter shrinks to a tenth; a moving face lags by less than a tenth of its step."""
    random = np.random.default_rng(2)
    rest = random.uniform(50, 150, (478, 3)).astype(np.float32)
    still, out = OneEuro(), []
    for step in range(60):
        jitter = random.normal(0, 0.02, rest.shape).astype(np.float32)
        out.append(still.apply(rest + jitter, step / 30))
    assert np.std(np.stack(out[30:]), axis=0).mean() < 0.02 / 2
    moving = OneEuro()
    for step in range(30):
        shifted = rest + np.float32(5.0 * step)
        smooth = moving.apply(shifted, step / 30)
    assert np.abs(smooth - shifted).max() < 1.5


def test_smoothing_begins_with_what_it_is_given() -> None:
    """The first landmarks pass unchanged, as do those of the same instant."""
    points = np.ones((478, 3), np.float32)
    smooth = OneEuro()
    assert (smooth.apply(points, 1.0) == points).all()
    assert (smooth.apply(points * 2, 1.0) == points * 2).all()
