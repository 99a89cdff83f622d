"""Fixtures of the face tests: models and frames, or a skip that says what is absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge.assets import BLAZEFACE, YUNET, find_asset
from edge.values import Frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="session")
def yunet() -> Path:
    """The classroom detector."""
    found = find_asset(YUNET)
    if found is None:
        pytest.skip("needs YuNet: edge assets fetch")
    return found


@pytest.fixture(scope="session")
def blazeface() -> Path:
    """The classroom detector that takes YuNet's place."""
    found = find_asset(BLAZEFACE)
    if found is None:
        pytest.skip("needs full-range BlazeFace: edge assets fetch --all")
    return found


def read_clip(path: Path, count: int) -> list[Frame]:
    """Read the first ``count`` frames of a clip."""
    capture = cv2.VideoCapture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS)
    frames = []
    while len(frames) < count:
        ok, image = capture.read()
        if not ok:
            break
        image.flags.writeable = False
        frames.append(Frame(image=image, seq=len(frames), captured_s=len(frames) / fps))
    capture.release()
    return frames


@pytest.fixture(scope="session")
def sample_frames(sample_clip: Path) -> list[Frame]:
    """The sample clip: 120 frames of one talking man, 176 x 144."""
    return read_clip(sample_clip, 120)


@pytest.fixture(scope="session")
def blank() -> Callable[[int, int], NDArray[np.uint8]]:
    """Return a grey picture of a given width and height."""
    return lambda width, height: np.full((height, width, 3), 128, dtype=np.uint8)
