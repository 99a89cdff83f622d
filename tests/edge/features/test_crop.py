"""The aligned crop: where the face is in the frame must not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.features.crop import CROP_PX, aligned_crop, similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = np.array([[15.2, 19.0], [32.6, 19.0], [24.0, 28.0], [16.7, 37.1], [31.1, 37.1]])


def placed(scale: float, degrees: float, x: float, y: float) -> NDArray[np.float64]:
    """The canonical keypoints turned, scaled about their centre, and moved to (x, y)."""
    turn = cv2.getRotationMatrix2D((24.0, 28.0), degrees, scale)
    moved: NDArray[np.float64] = POINTS @ turn[:, :2].T + turn[:, 2] + (x - 24, y - 28)
    return moved


def picture() -> NDArray[np.uint8]:
    """A smooth grey pattern with no symmetry, 48x48."""
    y, x = np.mgrid[0:CROP_PX, 0:CROP_PX] / CROP_PX
    return np.asarray(127 + 60 * np.sin(5 * x + y) + 50 * np.cos(4 * y * y), dtype=np.uint8)


@given(
    scale=st.floats(0.8, 6.0),
    degrees=st.floats(-60, 60),
    x=st.floats(150, 350),
    y=st.floats(150, 350),
)
def test_place_scale_and_turn_do_not_matter(
    scale: float, degrees: float, x: float, y: float
) -> None:
    """The same face anywhere in the frame gives the same crop."""
    turn = cv2.getRotationMatrix2D((24.0, 28.0), degrees, scale)
    turn[:, 2] += (x - 24, y - 28)
    grey = cv2.warpAffine(
        picture(), turn, (500, 500), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    crop = aligned_crop(
        cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), placed(scale, degrees, x, y).astype(np.float32)
    )
    inner = slice(4, -4)
    difference = np.abs(crop[inner, inner].astype(int) - picture()[inner, inner])
    assert difference.mean() < 3.0


@given(
    x=st.floats(-200, 800),
    y=st.floats(-200, 800),
    scale=st.floats(0.01, 40),
    degrees=st.floats(-180, 180),
)
def test_any_keypoints_give_a_crop(x: float, y: float, scale: float, degrees: float) -> None:
    """Faces at, or beyond, the border of the frame are no error."""
    image = np.zeros((480, 640, 3), dtype=np.uint8)
    crop = aligned_crop(image, placed(scale, degrees, x, y).astype(np.float32))
    assert crop.shape == (CROP_PX, CROP_PX)
    assert crop.dtype == np.uint8
    assert not crop.flags.writeable


def test_coinciding_keypoints_give_a_crop() -> None:
    """Keypoints that collapse to one point are no error either."""
    crop = aligned_crop(np.zeros((48, 64, 3), np.uint8), np.full((5, 2), 20, np.float32))
    assert crop.shape == (CROP_PX, CROP_PX)


@given(degrees=st.floats(-180, 180), scale=st.floats(0.05, 50), x=st.floats(-100, 100))
def test_similarity_is_recovered(degrees: float, scale: float, x: float) -> None:
    """Points moved by a similarity are mapped back by it."""
    turn = cv2.getRotationMatrix2D((0, 0), degrees, scale)
    turn[:, 2] = (x, -x)
    moved = POINTS @ turn[:, :2].T + turn[:, 2]
    np.testing.assert_allclose(similarity(POINTS, moved), turn, atol=1e-6 * max(1, scale, abs(x)))
