"""What numbers from the camera mean for whoever hangs it: the verdicts of docs/classroom.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from edge.aim.report import CELLS_ACROSS, CELLS_DOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.aim.report import FaceShape, Report

LANDMARKS_PX: Final = 32
"""From this width on MediaPipe's models look at a face too (`edge.faces.direct.MESH_PX`)."""
PICTURE_PX: Final = 20
"""From this width on faces are found reliably; below, now and then."""

DARK, BRIGHT = 20, 80
"""Mean grey levels, percent, outside which a picture is too dark or too bright."""
BLURRED: Final = 20
"""Sharpness below which a picture is out of focus."""
SLOW_FPS: Final = 8.0


class Verdict(Enum):
    """What the device gets from a face of some width."""

    LANDMARKS = "landmarks"
    PICTURE = "picture network only"
    TOO_SMALL = "too small"


def verdict_of(face: FaceShape) -> Verdict:
    """Judge a face by its width."""
    if face.width >= LANDMARKS_PX:
        return Verdict.LANDMARKS
    return Verdict.PICTURE if face.width >= PICTURE_PX else Verdict.TOO_SMALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which part of the picture faces have been in during the last minute, percent of each side."""

    left: int
    right: int
    top: int
    bottom: int


def coverage_of(report: Report) -> Coverage | None:
    """Return the part of the picture in which faces have been; ``None`` where none has been."""
    cells = [divmod(place, CELLS_ACROSS) for place, share in enumerate(report.seen) if share]
    if not cells:
        return None
    rows, columns = [row for row, _ in cells], [column for _, column in cells]
    return Coverage(
        left=100 * min(columns) // CELLS_ACROSS,
        right=100 * (max(columns) + 1) // CELLS_ACROSS,
        top=100 * min(rows) // CELLS_DOWN,
        bottom=100 * (max(rows) + 1) // CELLS_DOWN,
    )


def advise(report: Report) -> Iterator[str]:
    """Say what should be changed, the most important thing first; nothing where all is well."""
    if report.state == "lost":
        yield "The camera is lost: check its plug and cable; edge doctor says more."
        return
    if report.state != "running":
        return
    if report.brightness < DARK:
        yield f"Too dark ({report.brightness} %): more light, or open the blinds."
    elif report.brightness > BRIGHT:
        yield f"Too bright ({report.brightness} %): no window or lamp in the picture."
    if report.sharpness < BLURRED:
        yield "Not sharp: turn the lens into focus, wipe it, or take its cover off."
    if 0 < report.fps < SLOW_FPS:
        yield f"{report.fps:.1f} pictures a second are few: more light, or a smaller picture."
    yield from _advise_on_faces(report)


def _advise_on_faces(report: Report) -> Iterator[str]:
    if not report.faces:
        if report.searched:
            yield "No face found: is somebody in view, and is the picture upright (camera.rotate)?"
        return
    small = sum(verdict_of(face) is Verdict.TOO_SMALL for face in report.faces)
    if small:
        yield (
            f"{small} of {len(report.faces)} faces are too small: hang the camera nearer, take a"
            " narrower lens or a larger picture (camera.width)."
        )
    if cut := sum(_is_cut(face, report) for face in report.faces):
        yield f"{cut} of {len(report.faces)} faces touch the edge: turn the camera towards them."


def _is_cut(face: FaceShape, report: Report) -> bool:
    return (
        face.x <= 0
        or face.y <= 0
        or face.x + face.width >= report.width
        or face.y + face.height >= report.height
    )
