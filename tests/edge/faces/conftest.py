"""Fixtures of the face tests: assets and clips, or a skip that says what is absent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge.values import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]
Asset = Callable[[str], Path]


@pytest.fixture(scope="session")
def asset() -> Asset:
    """Return the path of an asset by its file name."""
    folders = [Path(p) for p in [os.environ.get("EMOSHIFT_ASSETS")] if p]
    folders.append(ROOT / ".cache" / "assets")

    def find(name: str) -> Path:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
        pytest.skip(f"{name} is in neither EMOSHIFT_ASSETS nor .cache/assets")

    return find


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
def sample_frames(asset: Asset) -> list[Frame]:
    """The sample clip: 120 frames of one talking man, 176 x 144."""
    return read_clip(asset("carphone_pristine.mp4"), 120)


@pytest.fixture(scope="session")
def blank() -> Callable[[int, int], NDArray[np.uint8]]:
    """Return a grey picture of a given width and height."""
    return lambda width, height: np.full((height, width, 3), 128, dtype=np.uint8)
