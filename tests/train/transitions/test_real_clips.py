"""Views of a clip: the same people and times in other pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from emoshift.emotions import Emotion
from train.transitions.real_clips import AS_IT_IS, VIEWS, RealClip, View
from train.transitions.streams import Truth

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clip(tmp_path: Path) -> RealClip:
    """Three pictures, bright on the left."""
    for number in range(3):
        image = np.full((60, 80, 3), 10 * number, np.uint8)
        image[:, :40] += 100
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), image)
    truth = Truth(name="t", start=Emotion.NEUTRAL, changes=(), duration_s=4.1)
    return RealClip(path=tmp_path, group="onset", person="p", truth=truth)


def test_a_view_shows_the_same_moments(clip: RealClip) -> None:
    """Mirrored, smaller and begun later: each frame keeps its number and its time."""
    plain = {frame.seq: frame for frame in clip.frames()}
    view = View(mirrored=True, scale=0.5, skipped=2)
    seen = list(replace(clip, view=view).frames())
    assert [frame.seq for frame in seen] == list(plain)[2:]
    for frame in seen:
        assert frame.captured_s == plain[frame.seq].captured_s
        assert frame.image.shape == (30, 40, 3)
        assert not frame.image.flags.writeable
        left, right = frame.image[:, :19].mean(), frame.image[:, 21:].mean()
        assert left < right - 50


def test_each_view_has_recordings_of_its_own(clip: RealClip) -> None:
    """What was recorded of one view is never taken for another."""
    digests = {replace(clip, view=view).digest() for view in VIEWS}
    assert len(digests) == len(VIEWS)
    assert VIEWS[0] == AS_IT_IS
