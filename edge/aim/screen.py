"""How ``edge aim`` looks on a terminal: shapes of characters, then numbers and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.aim.verdict import Verdict, advise, coverage_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.aim.report import FaceShape, Outline, Report

COLUMNS: Final = 72
"""Width of the drawing; a character is about twice as high as it is wide."""

_MARKS: Final = {Verdict.LANDMARKS: "L", Verdict.PICTURE: "p", Verdict.TOO_SMALL: "-"}
_BRAILLE: Final = 0x2800
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def draw(report: Report, outline: Outline | None = None) -> list[str]:
    """Return the whole screen, line by line.

    Args:
        report: The newest report.
        outline: The newest outline picture, while they are shown.
    """
    lines: list[str] = []
    if outline is not None:
        lines += _draw_outline(outline)
    elif report.width and report.height:
        lines += _draw_faces(report)
    lines += status_lines(report)
    return lines


def status_lines(report: Report) -> list[str]:
    """Return the numbers, and what should be changed."""
    if report.state != "running":
        return [f"camera: {report.state}", *(f"! {line}" for line in advise(report))]
    counted = dict.fromkeys(Verdict, 0)
    for face in report.faces:
        counted[verdict_of(face)] += 1
    faces = ", ".join(
        f"{count} {verdict.value} ({_MARKS[verdict]})" for verdict, count in counted.items()
    )
    covered = coverage_of(report)
    coverage = (
        "no face in the last minute"
        if covered is None
        else f"faces in the last minute from {covered.left} to {covered.right} % of the width and"
        f" {covered.top} to {covered.bottom} % of the height"
    )
    light = (
        f"{report.fps:.1f} a second, brightness {report.brightness} %, sharpness {report.sharpness}"
    )
    return [
        f"picture    {report.width}x{report.height}, {light}",
        f"faces      {len(report.faces)}: {faces}",
        f"coverage   {coverage}",
        *(f"! {line}" for line in advise(report)),
    ]


def short_line(report: Report) -> str:
    """Return one line, for where nothing can be drawn."""
    widths = " ".join(f"{face.width}px" for face in report.faces)
    count = "1 face" if len(report.faces) == 1 else f"{len(report.faces)} faces"
    return (
        f"{report.state}: {report.width}x{report.height}, {report.fps:.1f} a second, brightness"
        f" {report.brightness} %, sharpness {report.sharpness}, {count}"
        + (f" ({widths})" if widths else "")
    )


def _draw_faces(report: Report) -> list[str]:
    rows = max(8, round(COLUMNS * report.height / report.width / 2))
    canvas = [[" "] * COLUMNS for _ in range(rows)]
    for face in sorted(report.faces, key=lambda face: face.width):
        _draw_face(canvas, face, COLUMNS / report.width, rows / report.height)
    return [
        "┌" + "─" * COLUMNS + "┐",
        *("│" + "".join(row) + "│" for row in canvas),
        "└" + "─" * COLUMNS + "┘",
    ]


def _draw_face(canvas: list[list[str]], face: FaceShape, across: float, down: float) -> None:
    left, right = round(face.x * across), round((face.x + face.width) * across)
    top, bottom = round(face.y * down), round((face.y + face.height) * down)
    right, bottom = max(right, left + 1), max(bottom, top + 1)

    def put(row: int, column: int, character: str) -> None:
        if 0 <= row < len(canvas) and 0 <= column < COLUMNS:
            canvas[row][column] = character

    for column in range(left + 1, right):
        put(top, column, "─")
        put(bottom, column, "─")
    for row in range(top + 1, bottom):
        put(row, left, "│")
        put(row, right, "│")
    for row, column, corner in (
        (top, left, "┌"),
        (top, right, "┐"),
        (bottom, left, "└"),
        (bottom, right, "┘"),
    ):
        put(row, column, corner)
    label = f"{face.width}{_MARKS[verdict_of(face)]}"
    start = (left + right - len(label) + 1) // 2
    for place, character in enumerate(label):
        put((top + bottom) // 2, start + place, character)


def _draw_outline(outline: Outline) -> Iterator[str]:
    """Draw eight dots a character, as Braille does."""

    def dot(row: int, column: int) -> int:
        if row >= outline.rows or column >= outline.columns:
            return 0
        place = row * outline.columns + column
        return outline.bits[place // 8] >> (7 - place % 8) & 1

    for top in range(0, outline.rows, 4):
        yield "".join(
            chr(
                _BRAILLE
                + sum(
                    _DOTS[down][across] * dot(top + down, left + across)
                    for down in range(4)
                    for across in range(2)
                )
            )
            for left in range(0, outline.columns, 2)
        )
