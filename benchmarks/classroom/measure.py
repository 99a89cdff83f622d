"""Accuracy in the simulated classroom: recall by size, identity switches, false faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.classroom.finders import open_finder
from benchmarks.classroom.layouts import board, classroom, empty_room
from benchmarks.classroom.score import Score
from edge.assets import YUNET
from edge.capture.clip import Clip
from edge.config import Faces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from benchmarks.classroom.actors import ClassroomActor
    from benchmarks.classroom.scene import ClassroomScene, TrueFaces
    from edge.faces.backend import ComputeBudget
    from edge.values import Frame
    from emoshift.downloads import Download

WARM_S = 0.5
"""Time a back end has to find everyone before recall is counted."""


def score_scene(
    scene: ClassroomScene,
    actors: tuple[ClassroomActor, ...],
    *,
    count: int,
    config: Faces | None = None,
    effort: ComputeBudget | None = None,
    detector: Download = YUNET,
) -> Score:
    """Run a back end in line over ``count`` frames of a scene and score what it finds."""
    frames = scene.frames(actors, count)
    return score_frames(frames, config=config, effort=effort, detector=detector, warm_s=WARM_S)


def score_frames(
    frames: Iterable[tuple[Frame, tuple[TrueFaces, ...]]],
    *,
    config: Faces | None = None,
    effort: ComputeBudget | None = None,
    detector: Download = YUNET,
    warm_s: float = 0.0,
) -> Score:
    """Run a back end in line over frames with known faces."""
    score = Score()
    settings = config or Faces(backend="direct")
    with open_finder(settings, detector=detector) as finder:
        if effort is not None:
            finder.set_budget(effort)
        for frame, truths in frames:
            faces = finder.find(frame)
            if (round_s := finder.report.stages_s.get("detector_round")) is not None:
                score.rounds_s.append(round_s)
            if frame.captured_s >= warm_s:
                score.add(faces, truths, frame.captured_s)
    return score


def recall_by_size(
    actors: tuple[ClassroomActor, ...],
    *,
    sizes_px: Iterable[float],
    faces: int = 30,
    count: int = 60,
    seeds: Iterable[int] = (100, 101),
    detector: Download = YUNET,
) -> dict[float, Score]:
    """Score boards of equal faces, 1280 x 720, one entry for each face width."""
    scores = {}
    for size in sizes_px:
        total = Score()
        for seed in seeds:
            scene = board(actors, faces=faces, face_px=size, seed=seed)
            config = Faces(backend="direct", min_width_px=max(8, int(size * 0.7)))
            total = total.plus(
                score_scene(scene, actors, count=count, config=config, detector=detector)
            )
        scores[size] = total
    return scores


def identity(
    actors: tuple[ClassroomActor, ...],
    *,
    faces: int = 30,
    seconds: float = 20.0,
    seeds: Iterable[int] = (100, 101),
) -> Score:
    """Score a classroom in which some walk across and faces are hidden now and then."""
    total = Score()
    for seed in seeds:
        scene = classroom(actors, faces=faces, seed=seed, minutes=seconds / 60)
        total = total.plus(score_scene(scene, actors, count=round(seconds * scene.fps)))
    return total


def faceless(*, seconds: float = 20.0, clips: Iterable[Path] = ()) -> Score:
    """Score pictures without a face: an empty cluttered room, and clips that show none."""
    total = Score()
    for seed in (100, 101):
        scene = empty_room(seed=seed)
        total = total.plus(score_scene(scene, (), count=round(seconds * scene.fps)))
    for clip in clips:
        total = total.plus(score_frames(_clip(clip)))
    return total


def _clip(path: Path) -> Iterator[tuple[Frame, tuple[TrueFaces, ...]]]:
    for frame in Clip(path).frames():
        yield frame, ()
