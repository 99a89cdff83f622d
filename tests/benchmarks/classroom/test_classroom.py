"""The simulated classroom knows what it shows, and the score counts what is found."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.classroom.actors import ClassroomActor
from benchmarks.classroom.layouts import board, classroom
from benchmarks.classroom.scene import ClassroomScene, SimulatedFace, TrueFaces
from benchmarks.classroom.score import Score
from edge.values import Box, Face


@pytest.fixture
def actors() -> tuple[ClassroomActor, ...]:
    """One person whose face is a white square in the middle of a grey head."""
    head = np.full((120, 100, 3), 60, dtype=np.uint8)
    head[35:85, 25:75] = 255
    alpha = np.ones((120, 100), dtype=np.float32)
    box = Box(x=25, y=35, width=50, height=50)
    return (
        ClassroomActor(
            name="square",
            heads=(head, head),
            alpha=alpha,
            boxes=(box, box),
            fps=30.0,
            changes=((1, "happy"),),
        ),
    )


def pupil(**settings: object) -> SimulatedFace:
    usual = {"actor": 0, "clip_s": 0.0, "mirrored": False, "x": 160.0, "y": 120.0, "width_px": 40.0}
    return SimulatedFace(**(usual | settings))  # type: ignore[arg-type]


def scene(*pupils: SimulatedFace) -> ClassroomScene:
    return ClassroomScene(width_px=320, height_px=240, fps=10.0, pupils=pupils, seed=1)


@pytest.mark.parametrize("width_px", [14.0, 40.0, 90.0])
def test_the_face_is_where_the_truth_says(
    actors: tuple[ClassroomActor, ...], width_px: float
) -> None:
    """At every size the known box is the painted face."""
    frame, (truth,) = scene(pupil(width_px=width_px)).render(actors, 0)
    assert truth.box.width == pytest.approx(width_px)
    assert truth.box.centre == pytest.approx((160, 120), abs=0.01)
    assert truth.visible > 0.9
    x, y = round(truth.box.x), round(truth.box.y)
    size = round(width_px)
    inner = frame.image[y + 2 : y + size - 2, x + 2 : x + size - 2]
    assert inner.mean() > 240
    around = frame.image[y - 3, x : x + size]
    assert around.mean() < 150


def test_nearer_people_hide_farther_ones(actors: tuple[ClassroomActor, ...]) -> None:
    """Who stands behind, or behind a book, is less visible."""
    near, far = pupil(width_px=60.0), pupil(width_px=30.0)
    _, truths = scene(near, far).render(actors, 0)
    assert truths[0].visible > 0.9
    assert truths[1].visible < 0.1
    _, (hidden,) = scene(pupil(hidden=((0.0, 1.0),))).render(actors, 5)
    _, (back,) = scene(pupil(hidden=((0.0, 1.0),))).render(actors, 12)
    assert hidden.visible < 0.5 < back.visible


def test_a_scene_is_always_alike(actors: tuple[ClassroomActor, ...]) -> None:
    """The same seed gives the same pictures, another one others."""
    pictures = [
        classroom(actors, faces=6, width_px=320, height_px=240, seed=seed).render(actors, 7)[0]
        for seed in (3, 3, 4)
    ]
    assert (pictures[0].image == pictures[1].image).all()
    assert (pictures[0].image != pictures[2].image).any()


@pytest.mark.parametrize("faces", [1, 7, 30])
def test_everyone_has_a_seat(actors: tuple[ClassroomActor, ...], faces: int) -> None:
    """On a board every face lies whole in the picture and hides no other."""
    _, truths = board(actors, faces=faces, face_px=20).render(actors, 0)
    assert len(truths) == faces
    assert min(truth.visible for truth in truths) > 0.9


def face(track: int, x: float) -> Face:
    return Face(
        track=track,
        label="",
        box=Box(x=x, y=0, width=10, height=10),
        keypoints=np.zeros((5, 2), dtype=np.float32),
        score=1.0,
        landmarks=None,
    )


def truth(pupil: int, x: float, visible: float = 1.0) -> TrueFaces:
    return TrueFaces(pupil=pupil, box=Box(x=x, y=0, width=10, height=10), visible=visible)


@pytest.mark.parametrize(
    ("story", "recall", "switches", "false"),
    [
        pytest.param([([face(1, 0)], [truth(0, 0)])] * 3, 1.0, 0, 0, id="followed"),
        pytest.param([([], [truth(0, 0)])] * 3, 0.0, 0, 0, id="never found"),
        pytest.param([([], [truth(0, 0, 0.2)])] * 3, 1.0, 0, 0, id="hidden need not be found"),
        pytest.param(
            [([face(1, 0)], [truth(0, 0)]), ([face(2, 0)], [truth(0, 0)])], 1.0, 1, 0, id="renamed"
        ),
        pytest.param(
            [
                ([face(1, 0), face(2, 50)], [truth(0, 0), truth(1, 50)]),
                ([face(2, 0), face(1, 50)], [truth(0, 0), truth(1, 50)]),
            ],
            1.0,
            2,
            0,
            id="exchanged",
        ),
        pytest.param([([face(1, 0), face(9, 80)], [truth(0, 0)])] * 3, 1.0, 0, 1, id="one false"),
        pytest.param(
            [([face(1, 0), face(2, 8)], [truth(0, 0)])], 1.0, 0, 0, id="near is not false"
        ),
        pytest.param(
            [
                ([face(1, 0)], [truth(0, 0)]),
                *[([], [truth(0, 0, 0.0)])] * 11,
                ([face(2, 0)], [truth(0, 0)]),
            ],
            1.0,
            0,
            0,
            id="new after long absence",
        ),
    ],
)
def test_score(
    story: list[tuple[list[Face], list[TrueFaces]]], recall: float, switches: int, false: int
) -> None:
    """Recall, switches and false tracks of a story of frames, ten a second."""
    score = Score()
    for step, (faces, truths) in enumerate(story):
        score.add(faces, truths, step / 10)
    assert score.recall == pytest.approx(recall)
    assert score.switches == switches
    assert len(score.false) == false
