"""Who sits where: the scenes that the measurements use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.classroom.scene import ClassroomScene, SimulatedFace

if TYPE_CHECKING:
    from benchmarks.classroom.actors import ClassroomActor


def _usable(actors: tuple[ClassroomActor, ...], width_px: float) -> list[int]:
    """Actors whose heads need not be enlarged much to show a face this wide."""
    fit = [i for i, actor in enumerate(actors) if actor.face_px * 1.5 >= width_px]
    return fit or list(range(len(actors)))


def board(
    actors: tuple[ClassroomActor, ...],
    *,
    faces: int,
    face_px: float,
    width_px: int = 1280,
    height_px: int = 720,
    fps: float = 30.0,
    seed: int = 0,
) -> ClassroomScene:
    """Equal faces in rows, each swaying a little: what is measured by size."""
    random = np.random.default_rng(seed)
    columns = max(1, math.ceil(math.sqrt(faces * width_px / height_px)))
    rows = math.ceil(faces / columns)
    fit = _usable(actors, face_px)
    pupils = []
    for number in range(faces):
        column, row = number % columns, number // columns
        pupils.append(
            SimulatedFace(
                actor=fit[number % len(fit)],
                clip_s=float(random.uniform(0, 8)),
                mirrored=bool(random.integers(2)),
                x=(column + 0.5) * width_px / columns + float(random.uniform(-4, 4)),
                y=(row + 0.55) * height_px / rows + float(random.uniform(-4, 4)),
                width_px=face_px,
                sway_px=0.12 * face_px,
                sway_hz=float(random.uniform(0.1, 0.4)),
                phase=float(random.uniform(0, 6.3)),
                light=float(random.uniform(0.65, 1.15)),
            )
        )
    return ClassroomScene(
        width_px=width_px, height_px=height_px, fps=fps, pupils=tuple(pupils), seed=seed
    )


def classroom(
    actors: tuple[ClassroomActor, ...],
    *,
    faces: int,
    width_px: int = 1280,
    height_px: int = 720,
    fps: float = 30.0,
    seed: int = 0,
    near_px: float = 90.0,
    far_px: float = 26.0,
    walking: float = 0.13,
    minutes: float = 1.0,
) -> ClassroomScene:
    """Rows of pupils from near to far; some walk across, faces are hidden now and then.

    Args:
        actors: Who can appear.
        faces: How many do.
        width_px: Width of the picture.
        height_px: Height of the picture.
        fps: Frames a second.
        seed: Of everything that is random.
        near_px: Width of a face in the first row, in a picture 1280 pixels wide.
        far_px: Width of a face in the last row, likewise.
        walking: Share of the faces that walk from side to side.
        minutes: For how long faces are to be hidden now and then.
    """
    random = np.random.default_rng(seed)
    walkers = round(faces * walking)
    rows = max(1, round(math.sqrt(faces / 2)))
    pupils = []
    for number in range(faces):
        walks = number < walkers
        row = int(random.integers(rows)) if walks else (number - walkers) % rows
        depth = row / max(rows - 1, 1)
        size = near_px * (far_px / near_px) ** depth * float(random.uniform(0.92, 1.08))
        in_row = max(-(-(faces - walkers) // rows), 1)
        seat = (number - walkers) // rows
        x = (seat + 0.5 + 0.25 * (row % 2)) * width_px / (in_row + 0.25)
        y = height_px * (0.86 - 0.66 * depth)
        scale = width_px / 1280
        size *= scale
        fit = _usable(actors, size)
        pupils.append(
            SimulatedFace(
                actor=fit[int(random.integers(len(fit)))],
                clip_s=float(random.uniform(0, 8)),
                mirrored=bool(random.integers(2)),
                x=float(random.uniform(0, width_px)) if walks else x,
                y=y - (0.5 * size if walks else 0.0),
                width_px=size,
                speed_px_s=float(random.choice((-1, 1)) * random.uniform(1.0, 2.0) * size)
                if walks
                else 0.0,
                sway_px=0.25 * size,
                sway_hz=float(random.uniform(0.1, 0.45)),
                phase=float(random.uniform(0, 6.3)),
                light=float(random.uniform(0.6, 1.15)),
                blur_px=float(random.uniform(0, 0.8)),
                hidden=() if walks else _hidden(random, minutes * 60),
            )
        )
    return ClassroomScene(
        width_px=width_px, height_px=height_px, fps=fps, pupils=tuple(pupils), seed=seed
    )


def _hidden(random: np.random.Generator, until_s: float) -> tuple[tuple[float, float], ...]:
    """Hide a face for up to a second, about three times a minute."""
    spans = []
    at = float(random.exponential(20.0)) + 1.0
    while at < until_s:
        spans.append((at, at + float(random.uniform(0.3, 1.0))))
        at += float(random.exponential(20.0)) + 2.0
    return tuple(spans)


def empty_room(
    *, width_px: int = 1280, height_px: int = 720, fps: float = 30.0, seed: int = 0
) -> ClassroomScene:
    """A room without faces."""
    return ClassroomScene(width_px=width_px, height_px=height_px, fps=fps, pupils=(), seed=seed)
