"""What the process with the camera sends to ``edge aim``: numbers of fixed form, and nothing else.

Every message has a known length and every number in it a known range; one that does not fit ends
the command. There is no text in it, and no room for a picture. Imports the standard library alone:
the process that reads it loads nothing that decodes pictures.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CELLS_ACROSS: Final = 16
CELLS_DOWN: Final = 9
"""The picture's grid in which faces are counted."""
MOST_FACES: Final = 100
LONGER_SIDE: Final = 160
"""Dots of an outline picture along its longer side."""
OUTLINE_S: Final = 300
"""How long outlines are shown after somebody has agreed, seconds."""

CAMERA_STATES: Final = ("opening", "running", "lost", "ended")

_HEAD: Final = struct.Struct("<2sBHHHHHBHB")
_FACE: Final = struct.Struct("<HhhHHB")
_OUTLINE: Final = struct.Struct("<2sHBB")
_REPORT_MARK: Final = b"AR"
_OUTLINE_MARK: Final = b"AO"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceShape:
    """One face as a rectangle, in whole pixels of the frame; it may reach beyond the picture.

    Attributes:
        number: Of this face while it is followed.
        x, y: Left and upper edge.
        width, height: Size.
        score: Confidence that this is a face, percent.
    """

    number: int
    x: int
    y: int
    width: int
    height: int
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the camera stands at one instant.

    Attributes:
        state: One of `CAMERA_STATES`.
        width, height: Of the picture, pixels; 0 before the first one.
        brightness: Mean grey level, percent.
        sharpness: Variance of the Laplacian (`edge.health.image_quality`), rounded.
        fps: Frames a second that were looked at, to a tenth.
        searched: Whether the detector has looked since the start.
        outline_s: Seconds for which outlines are still shown; 0 where they are not.
        faces: The faces, at most `MOST_FACES`.
        seen: Where faces have been in the last minute: for each of `CELLS_ACROSS` times
            `CELLS_DOWN` cells, row by row, the share of the looks that found a face there, percent.
    """

    state: str
    width: int = 0
    height: int = 0
    brightness: int = 0
    sharpness: int = 0
    fps: float = 0.0
    searched: bool = False
    outline_s: int = 0
    faces: tuple[FaceShape, ...] = ()
    seen: tuple[int, ...] = (0,) * (CELLS_ACROSS * CELLS_DOWN)

    def encode(self) -> bytes:
        """Write it for the pipe."""
        head = _HEAD.pack(
            _REPORT_MARK,
            CAMERA_STATES.index(self.state),
            self.width,
            self.height,
            self.brightness,
            min(self.sharpness, 0xFFFF),
            min(round(10 * self.fps), 0xFFFF),
            self.searched,
            self.outline_s,
            len(self.faces),
        )
        faces = b"".join(
            _FACE.pack(f.number & 0xFFFF, f.x, f.y, f.width, f.height, f.score) for f in self.faces
        )
        return head + bytes(self.seen) + faces


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Where edges are in a picture, faces left out: one bit a dot.

    Attributes:
        seconds_left: How long outlines are still shown.
        columns, rows: Dots; the longer side has `LONGER_SIDE`.
        bits: Row after row, eight dots a byte, the first in the highest bit; the last byte is
            filled with zeros.
    """

    seconds_left: int
    columns: int
    rows: int
    bits: bytes

    def encode(self) -> bytes:
        """Write it for the pipe."""
        head = _OUTLINE.pack(_OUTLINE_MARK, self.seconds_left, self.columns, self.rows)
        return head + self.bits


class NotOfThisForm(ValueError):  # noqa: N818 - it says what is wrong with a message
    """A message from the process with the camera is not what it may be."""


def read_message(pipe: BinaryIO) -> Report | Outline | None:
    """Read the next message; ``None`` at the end of the pipe.

    Raises:
        NotOfThisForm: It is anything but one of the two, with every number in its range.
    """
    mark = pipe.read(2)
    if not mark:
        return None
    if mark == _REPORT_MARK:
        return _read_report(pipe)
    if mark == _OUTLINE_MARK:
        return _read_outline(pipe)
    raise NotOfThisForm("begins with neither mark")


def _read_report(pipe: BinaryIO) -> Report:
    _, state, width, height, brightness, sharpness, tenths, searched, outline_s, count = (
        _HEAD.unpack(_REPORT_MARK + _exactly(pipe, _HEAD.size - 2))
    )
    seen = _exactly(pipe, CELLS_ACROSS * CELLS_DOWN)
    _demand(state < len(CAMERA_STATES) and searched < 2 and count <= MOST_FACES)
    _demand(brightness <= 100 and max(seen) <= 100 and outline_s <= OUTLINE_S)
    faces = [_FACE.unpack(_exactly(pipe, _FACE.size)) for _ in range(count)]
    _demand(all(score <= 100 for *_, score in faces))
    return Report(
        state=CAMERA_STATES[state],
        width=width,
        height=height,
        brightness=brightness,
        sharpness=sharpness,
        fps=tenths / 10,
        searched=bool(searched),
        outline_s=outline_s,
        faces=_shapes(faces),
        seen=tuple(seen),
    )


def _shapes(faces: Sequence[tuple[int, ...]]) -> tuple[FaceShape, ...]:
    return tuple(
        FaceShape(number=number, x=x, y=y, width=width, height=height, score=score)
        for number, x, y, width, height, score in faces
    )


def _read_outline(pipe: BinaryIO) -> Outline:
    _, left_s, columns, rows = _OUTLINE.unpack(_OUTLINE_MARK + _exactly(pipe, _OUTLINE.size - 2))
    _demand(left_s <= OUTLINE_S and min(columns, rows) >= 1 and max(columns, rows) == LONGER_SIDE)
    bits = _exactly(pipe, -(-columns * rows // 8))
    return Outline(seconds_left=left_s, columns=columns, rows=rows, bits=bits)


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size)
    _demand(len(data) == size)
    return data


def _demand(holds: bool) -> None:
    if not holds:
        raise NotOfThisForm("a number is out of its range, or the message is cut short")
