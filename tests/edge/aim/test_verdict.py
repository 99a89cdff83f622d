"""What a technician is told of a face and of a picture."""

from __future__ import annotations

import pytest

from edge.aim.report import CELLS_ACROSS, CELLS_DOWN, FaceShape, Report
from edge.aim.screen import draw, short_line
from edge.aim.verdict import LANDMARKS_PX, Coverage, Verdict, advise, coverage_of, verdict_of
from edge.faces.direct import MESH_PX

GOOD = {
    "state": "running",
    "width": 1280,
    "height": 720,
    "brightness": 45,
    "sharpness": 300,
    "fps": 25.0,
    "searched": True,
}


def face(width: int, x: int = 600, y: int = 300) -> FaceShape:
    return FaceShape(number=1, x=x, y=y, width=width, height=round(1.3 * width), score=90)


@pytest.mark.parametrize(
    ("width", "verdict"),
    [
        (60, Verdict.LANDMARKS),
        (32, Verdict.LANDMARKS),
        (31, Verdict.PICTURE),
        (20, Verdict.PICTURE),
        (19, Verdict.TOO_SMALL),
    ],
)
def test_a_face_is_judged_by_its_width(width: int, verdict: Verdict) -> None:
    """As docs/classroom.md has it."""
    assert verdict_of(face(width)) is verdict


def test_the_widths_are_those_of_the_device() -> None:
    """The page calls by "landmarks" what gets them."""
    assert LANDMARKS_PX == MESH_PX


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param({"brightness": 10}, "Too dark", id="dark"),
        pytest.param({"brightness": 95}, "Too bright", id="bright"),
        pytest.param({"sharpness": 5}, "Not sharp", id="out of focus"),
        pytest.param({"fps": 4.0}, "4.0 pictures a second", id="slow"),
        pytest.param({"faces": ()}, "No face found", id="nobody"),
        pytest.param({"faces": (face(40), face(12))}, "1 of 2 faces are too small", id="small"),
        pytest.param({"faces": (face(40, x=-5),)}, "touch the edge", id="cut"),
        pytest.param({"state": "lost"}, "camera is lost", id="lost"),
    ],
)
def test_what_to_do_is_said(change: dict[str, object], word: str) -> None:
    """Each fault is one line with what to do; a good picture has none."""
    good = {**GOOD, "faces": (face(40),)}
    assert list(advise(Report(**good))) == []
    lines = list(advise(Report(**{**good, **change})))
    assert len(lines) == 1
    assert word in lines[0]


def test_coverage() -> None:
    """The part of the picture in which faces have been, to the cell."""
    seen = [0] * (CELLS_ACROSS * CELLS_DOWN)
    seen[3 * CELLS_ACROSS + 4] = seen[5 * CELLS_ACROSS + 11] = 50
    assert coverage_of(Report(**GOOD, seen=tuple(seen))) == Coverage(
        left=25, right=75, top=33, bottom=66
    )
    assert coverage_of(Report(**GOOD)) is None


def test_the_terminal() -> None:
    """Every face is a rectangle with its width and its verdict's mark; all lines are one width."""
    report = Report(**GOOD, faces=(face(120, 100, 100), face(24, 900, 400), face(900, -300, -300)))
    screen = draw(report)
    assert "120L" in "\n".join(screen)
    assert "24p" in "\n".join(screen)
    drawing = [line for line in screen if line.startswith(("│", "┌", "└"))]
    assert len({len(line) for line in drawing}) == 1
    assert "3 faces (120px 24px 900px)" in short_line(report)
