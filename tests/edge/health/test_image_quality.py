"""Brightness and sharpness of pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.health.image_quality import measure_image_quality

SCENE = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (36, 64, 3), dtype=np.uint8),
    (1280, 720),
    interpolation=cv2.INTER_NEAREST,
)


@pytest.mark.parametrize(("grey", "brightness"), [(0, 0.0), (128, 0.502), (255, 1.0)])
def test_brightness(grey: int, brightness: float) -> None:
    """It is the share of white; an even picture has no sharpness at all."""
    quality = measure_image_quality(np.full((48, 64, 3), grey, dtype=np.uint8))
    assert quality.brightness == pytest.approx(brightness, abs=1e-3)
    assert quality.sharpness == 0.0


def test_sharpness_falls_out_of_focus() -> None:
    """The same scene out of focus is told from the sharp one, at any size of the picture."""
    blurred = measure_image_quality(cv2.GaussianBlur(SCENE, (0, 0), 12)).sharpness
    small = measure_image_quality(
        cv2.resize(SCENE, (640, 360), interpolation=cv2.INTER_AREA)
    ).sharpness
    sharp = measure_image_quality(SCENE).sharpness
    assert blurred < sharp / 20
    assert small == pytest.approx(sharp, rel=0.2)
