"""Many faces are described together, each as if it were alone."""

from __future__ import annotations

import numpy as np

from edge.features.extract import describe
from edge.values import Box, Face, Frame, Landmarks, frozen

NOW_S = 3.0


def face(track: int, *, measured_s: float | None) -> Face:
    rng = np.random.default_rng(track)
    landmarks = None
    if measured_s is not None:
        landmarks = Landmarks(
            points=frozen(rng.uniform(0, 200, (478, 3)).astype(np.float32)),
            blendshapes=frozen(rng.uniform(0, 1, 52).astype(np.float32)),
            measured_s=measured_s,
        )
    return Face(
        track=track,
        label=f"t{track}",
        box=Box(x=20, y=20, width=80, height=80),
        keypoints=frozen(rng.uniform(20, 100, (5, 2)).astype(np.float32)),
        score=0.9,
        landmarks=landmarks,
    )


def test_many_faces_are_described_as_each_alone() -> None:
    """What was measured on this frame goes to its own face, bit for bit; what is older to none."""
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    frame = Frame(image=frozen(image), seq=0, captured_s=NOW_S)
    faces = [face(n, measured_s=when) for n, when in enumerate((NOW_S, None, 2.9, NOW_S))]
    together = describe(frame, faces)
    assert [one.pose is None for one in together] == [False, True, True, False]
    for one, shown in zip(faces, together, strict=True):
        (alone,) = describe(frame, [one])
        np.testing.assert_array_equal(shown.crop, alone.crop)
        np.testing.assert_array_equal(shown.pose, alone.pose)
        assert shown.blendshapes is alone.blendshapes


def test_blendshapes_of_an_earlier_frame_count_where_they_are_new() -> None:
    """A frame that classified nobody leaves what it measured to the next one."""
    image = np.zeros((240, 320, 3), np.uint8)
    frame = Frame(image=frozen(image), seq=0, captured_s=NOW_S)
    faces = [face(n, measured_s=when) for n, when in enumerate((NOW_S, 2.9, 2.8))]
    described = describe(frame, faces, since_s=2.9)
    assert [one.blendshapes is None for one in described] == [False, False, True]
    np.testing.assert_array_equal(described[0].pose, describe(frame, faces[:1])[0].pose)
