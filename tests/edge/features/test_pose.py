"""Head pose from landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.features.pose import DEPTH, FOREHEAD, LEFT, RIGHT, SLOPE_DEG, UNDER_NOSE, head_pose

if TYPE_CHECKING:
    from numpy.typing import NDArray


def head(yaw: float, pitch: float, roll: float) -> NDArray[np.float32]:
    """A schematic head, 100 pixels wide, turned by the angles given (degrees)."""
    points = np.zeros((478, 3))
    points[RIGHT] = (-50, 0, 20)
    points[LEFT] = (50, 0, 20)
    slope = np.radians(SLOPE_DEG)
    points[FOREHEAD] = (0, -60 * np.cos(slope), -60 * np.sin(slope))
    points[UNDER_NOSE] = (0, 40 * np.cos(slope), 40 * np.sin(slope))
    a, b, c = np.radians((pitch, -yaw, roll))
    about_x = np.array([(1, 0, 0), (0, np.cos(a), -np.sin(a)), (0, np.sin(a), np.cos(a))])
    about_y = np.array([(np.cos(b), 0, np.sin(b)), (0, 1, 0), (-np.sin(b), 0, np.cos(b))])
    about_z = np.array([(np.cos(c), -np.sin(c), 0), (np.sin(c), np.cos(c), 0), (0, 0, 1)])
    turned = points @ (about_z @ about_y @ about_x).T
    turned[:, 2] /= DEPTH
    return (turned + np.array((320, 240, 0))).astype(np.float32)


@pytest.mark.parametrize(
    "angles",
    [
        pytest.param((0, 0, 0), id="level"),
        pytest.param((30, 0, 0), id="to the picture's right"),
        pytest.param((0, 20, 0), id="looking down"),
        pytest.param((0, 0, 25), id="leaning clockwise"),
        pytest.param((-35, 15, -20), id="all three"),
    ],
)
def test_angles_are_read_back(angles: tuple[float, float, float]) -> None:
    """A head turned by known angles shows them."""
    assert head_pose(head(*angles)) == pytest.approx(angles, abs=0.01)


def test_many_heads_at_once() -> None:
    """Leading dimensions are kept."""
    both = np.stack([head(10, 0, 0), head(0, 0, -40)])
    pose = head_pose(both)
    assert pose.shape == (2, 3)
    assert pose.dtype == np.float32
    assert pose[1] == pytest.approx((0, 0, -40), abs=0.01)


def test_points_in_one_place_give_numbers() -> None:
    """A degenerate mesh does not divide by zero."""
    assert np.isfinite(head_pose(np.zeros((478, 3), dtype=np.float32))).all()
