"""What MediaPipe's models saw beyond the small network holds until they look again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.faces.correction import Correction
from edge.faces.roi import Roi

angles = st.floats(-math.pi, math.pi)
seeds = st.integers(0, 2**32 - 1)


def looks(seed: int, roi: Roi) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """What two networks see of one face: landmarks and blendshapes of each."""
    rng = np.random.default_rng(seed)
    points = rng.normal(0, roi.width / 6, (478, 3)).astype(np.float32) + np.float32(roi.x)
    return tuple(
        (
            points + rng.normal(0, roi.width / 50, (478, 3)).astype(np.float32),
            rng.uniform(0, 1, 52).astype(np.float32),
        )
        for _ in range(2)
    )


def test_nothing_is_added_before_the_first_look() -> None:
    """A face that MediaPipe has not seen is given as the small network sees it."""
    roi = Roi(100, 80, 60, 60, 0.2)
    (points, shapes), _ = looks(1, roi)
    same = Correction().apply(roi, points, shapes)
    assert same[0] is points
    assert same[1] is shapes


@settings(max_examples=50, deadline=None)
@given(seed=seeds, angle=angles)
def test_right_after_the_first_look_it_is_what_mediapipe_saw(seed: int, angle: float) -> None:
    """Added to the very look it was learned from, the difference gives the reference."""
    roi = Roi(200, 150, 90, 90, angle)
    small, reference = looks(seed, roi)
    correction = Correction()
    correction.learn(roi, small, reference)
    points, shapes = correction.apply(roi, *small)
    assert points == pytest.approx(reference[0], abs=1e-2)
    assert shapes == pytest.approx(reference[1], abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(seed=seeds, turn=angles, zoom=st.floats(0.5, 2.0))
def test_it_turns_and_grows_with_the_face(seed: int, turn: float, zoom: float) -> None:
    """A face seen alike elsewhere, turned and larger, gets the same correction in its own frame."""
    roi = Roi(200, 150, 90, 90, 0.1)
    moved = Roi(320, 90, 90 * zoom, 90 * zoom, 0.1 + turn)
    small, reference = looks(seed, roi)
    correction = Correction()
    correction.learn(roi, small, reference)
    added = correction.apply(roi, *small)[0] - small[0]
    elsewhere = correction.apply(moved, np.zeros_like(small[0]), small[1])[0]
    cos, sin = math.cos(turn), math.sin(turn)
    expected = np.column_stack(
        (cos * added[:, 0] - sin * added[:, 1], sin * added[:, 0] + cos * added[:, 1], added[:, 2])
    )
    assert elsewhere == pytest.approx(expected * zoom, abs=0.05)


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_blendshapes_stay_between_none_and_all(seed: int) -> None:
    """However far the two are apart, what comes out is a blendshape."""
    roi = Roi(10, 10, 40, 40, 0)
    rng = np.random.default_rng(seed)
    correction = Correction()
    for _ in range(3):
        small, reference = looks(int(rng.integers(2**32)), roi)
        correction.learn(roi, small, reference)
    shapes = correction.apply(roi, small[0], rng.uniform(0, 1, 52).astype(np.float32))[1]
    assert shapes.min() >= 0
    assert shapes.max() <= 1
