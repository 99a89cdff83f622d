"""Measurements on clips that training rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the training environment: make test-train")

from edge.assets import LANDMARKER, find_asset
from emoshift.errors import InputError
from train.features.measure import measure_clips

if TYPE_CHECKING:
    from pathlib import Path


def test_a_clip_without_a_face_is_named(tmp_path: Path) -> None:
    """There is no motion to measure in it, and nothing is written."""
    model = find_asset(LANDMARKER)
    if model is None:
        pytest.skip(f"needs {LANDMARKER.name}: edge assets fetch")
    clip, rng = tmp_path / "street.mp4", np.random.default_rng(1)
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    for _ in range(10):
        noise = rng.integers(0, 255, (240, 320, 3)).astype(np.uint8)
        writer.write(cv2.GaussianBlur(noise, (0, 0), 9))
    writer.release()
    with pytest.raises(InputError, match=r"street.mp4: a face in 0 frames"):
        measure_clips([clip], model, tmp_path / "motion.json")
    assert not (tmp_path / "motion.json").exists()
