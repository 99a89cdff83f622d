"""Level (c): whole rendered clips, and real ones, through the device's entire pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.features.extract import describe
from emoshift.errors import OutputError
from train.transitions.actors import enlarged
from train.transitions.disturbances import disturbed
from train.transitions.image_streams import collect
from train.transitions.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.pipeline import Step
    from edge.values import Prediction, Transition
    from train.transitions.image_streams import Classify, Scene
    from train.transitions.streams import Truth

    Replay = Callable[[Path], Iterable[Step]]

SIZE: Final = (480, 360)
FACE_PX: Final = 192
FPS: Final = 12.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """What the pipeline made of a clip.

    Attributes:
        stream: The networks' probabilities, with the truth.
        events: The changes the pipeline itself decided.
        others: The same faces classified by another network, where one was given.
    """

    stream: Stream
    events: tuple[Transition, ...]
    others: Stream | None = None


def record(clip: Path, truth: Truth, replay: Replay, *, other: Classify | None = None) -> Recorded:
    """Run a clip through the pipeline and keep what every stage said of the faces."""
    seen: dict[int, list[Prediction]] = {}
    else_: dict[int, list[Prediction]] = {}
    events: list[Transition] = []
    for step in replay(clip):
        events.extend(step.transitions)
        for prediction in step.predictions:
            seen.setdefault(prediction.track, []).append(prediction)
        if other is not None:
            for prediction in other(describe(step.frame, step.faces)):
                else_.setdefault(prediction.track, []).append(prediction)
    return Recorded(
        stream=Stream(truth=truth, series=tuple(map(collect, seen.values()))),
        events=tuple(events),
        others=None
        if other is None
        else Stream(truth=truth, series=tuple(map(collect, else_.values()))),
    )


def render(scene: Scene, path: Path, *, seed: int) -> None:
    """Write a scene as a clip: the enlarged face wanders over a plain backdrop.

    Raises:
        OutputError: OpenCV cannot write the file.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    if not writer.isOpened():
        raise OutputError(f"{path}: OpenCV cannot write mp4v here")
    rng = np.random.default_rng(seed)
    # Four random corners, blended: anything livelier has blobs that detectors take for faces.
    corners = rng.uniform(50, 170, (2, 2))
    backdrop = cv2.resize(corners, SIZE, interpolation=cv2.INTER_LINEAR)
    phase = rng.uniform(0, 2 * np.pi, 2)
    mask = _soft_edge()
    last = 0
    try:
        for index in range(int(scene.truth.duration_s * FPS)):
            at_s = index / FPS
            last = min(last + int(scene.times_s[last] < at_s), len(scene.times_s) - 1)
            before, after, share = scene.course.mix(at_s)
            image = (1 - share) * _large(scene, before) + share * _large(scene, after)
            face = disturbed(np.asarray(image, np.float32), scene.moments[last])
            x = round((SIZE[0] - FACE_PX) * (0.5 + 0.35 * np.sin(at_s * 0.5 + phase[0])))
            y = round((SIZE[1] - FACE_PX) * (0.5 + 0.35 * np.sin(at_s * 0.7 + phase[1])))
            frame = backdrop.copy()
            under = frame[y : y + FACE_PX, x : x + FACE_PX]
            under += mask * (face - under)
            grey = np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)
            writer.write(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    finally:
        writer.release()


def _large(scene: Scene, place: int) -> NDArray[np.float32]:
    image = scene.actor.picture(scene.course, place).image
    return enlarged(image, FACE_PX // image.shape[0]).astype(np.float32)


def _soft_edge() -> NDArray[np.float32]:
    """One inside, falling to zero over the last tenth."""
    ramp = np.clip(np.minimum(np.arange(FACE_PX), np.arange(FACE_PX)[::-1]) / (0.1 * FACE_PX), 0, 1)
    return np.asarray(np.outer(ramp, ramp), np.float32)
