"""BlazeFace, full range: windows that leave nothing out, and a class that is found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.faces.blazeface import FULL, WINDOW_OVERLAP_PX, FullRangeBlazeFace, windows
from edge.faces.detector import Region
from edge.faces.tracker import START_SCORE

if TYPE_CHECKING:
    from pathlib import Path

    from edge.values import Frame

regions = st.builds(
    Region,
    x=st.integers(0, 500),
    y=st.integers(0, 500),
    width=st.integers(16, 4000),
    height=st.integers(16, 4000),
    scale=st.floats(0.05, 1.0),
)


@given(regions, st.floats(0, 1), st.floats(0, 1))
@example(Region(x=0, y=0, width=280, height=308, scale=0.6875), 1.0, 0.0)
def test_every_place_is_seen_whole(region: Region, across: float, down: float) -> None:
    """Whatever is no wider than the overlap lies in one window as a whole, edges included."""
    found = windows(region)
    side = found[0][2]
    face = min(0.9 * WINDOW_OVERLAP_PX / region.scale, region.width, region.height)
    x = region.x + across * (region.width - face)
    y = region.y + down * (region.height - face)
    assert any(
        left - 1e-6 <= x and x + face <= left + side + 1e-6
        and upper - 1e-6 <= y and y + face <= upper + side + 1e-6
        for left, upper, _ in found
    )  # fmt: skip


@given(regions)
def test_windows_are_about_as_fine_as_asked(region: Region) -> None:
    """No window is more than a fifth coarser than the region's scale."""
    side = FULL.side_px / region.scale
    assert all(given <= side * 1.2 for _, _, given in windows(region))


@pytest.mark.clip
@pytest.mark.parametrize("face_px", [26, 40, 90])
def test_a_row_of_faces(blazeface: Path, sample_frames: list[Frame], face_px: int) -> None:
    """Each face is reported once, wherever the windows cut the picture."""
    head = sample_frames[0].image[20:120, 40:140]
    size = round(face_px * 100 / 56)  # the face is 56 of the 100 pixels wide
    small = cv2.resize(head, (size, size), interpolation=cv2.INTER_AREA)
    image = np.full((360, 1280, 3), 90, dtype=np.uint8)
    lefts = [10 + i * (1260 - size) // 9 for i in range(10)]
    lefts = lefts[:: 2 if face_px > 60 else 1]
    for left in lefts:
        image[130 : 130 + size, left : left + size] = small
    detector = FullRangeBlazeFace(blazeface)
    found = detector.search(image, Region(x=0, y=0, width=1280, height=360, scale=1.0))
    sure = [one for one in found if one.score >= START_SCORE]
    assert len(sure) == len(lefts)
