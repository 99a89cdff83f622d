"""Run MediaPipe's face landmarker over small grey crops and keep what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

ENLARGED_PX: Final = 192
BORDER_PX: Final = 48
POINTS: Final = 478
BLENDSHAPES: Final = 52


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What was measured on one crop.

    Attributes:
        points: ``(478, 3)``, float32, pixels of the crop, z in the same scale.
        blendshapes: ``(52,)``, float32, MediaPipe's order.
        matrix: ``(4, 4)``, float32, MediaPipe's facial transformation matrix.
    """

    points: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    matrix: NDArray[np.float32]


def measure(
    crops: Iterable[NDArray[np.uint8]], model: Path, *, confidence: float = 0.3
) -> Iterator[Measured | None]:
    """Yield what the landmarker measures on each grey crop; ``None`` where it finds no face.

    A crop is enlarged to 192 pixels and given a replicated border, because the detector expects
    some room around a face.
    """
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.IMAGE,
        min_face_detection_confidence=confidence,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for crop in crops:
            picture = enlarge(crop)
            found = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=picture))
            if not found.face_landmarks:
                yield None
                continue
            scale = crop.shape[1] / ENLARGED_PX
            side = picture.shape[1]
            points = np.array(
                [(p.x * side, p.y * side, p.z * side) for p in found.face_landmarks[0]], np.float32
            )
            points[:, :2] -= BORDER_PX
            yield Measured(
                points=points * np.float32(scale),
                blendshapes=np.array([c.score for c in found.face_blendshapes[0]], np.float32),
                matrix=np.asarray(found.facial_transformation_matrixes[0], np.float32),
            )


def enlarge(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a square grey crop as a bordered RGB picture, 288 x 288 x 3."""
    large = cv2.resize(crop, (ENLARGED_PX, ENLARGED_PX), interpolation=cv2.INTER_CUBIC)
    edges = (BORDER_PX, BORDER_PX, BORDER_PX, BORDER_PX)
    large = cv2.copyMakeBorder(large, *edges, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB), np.uint8)


def measure_clip(
    frames: Iterable[NDArray[np.uint8]], model: Path, *, rate: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure the face of each RGB frame of a clip, unsmoothed, as the device does.

    Returns:
        Blendshapes ``(found, 52)`` and landmarks ``(found, 478, 3)`` in pixels, float32.
    """
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=2,  # with one face MediaPipe smooths the landmarks
        output_face_blendshapes=True,
    )
    shapes: list[list[float]] = []
    points: list[list[tuple[float, float, float]]] = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for number, frame in enumerate(frames):
            picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=frame)
            found = landmarker.detect_for_video(picture, round(number * 1000 / rate))
            if found.face_landmarks:
                high, wide = frame.shape[:2]
                shapes.append([c.score for c in found.face_blendshapes[0]])
                face = found.face_landmarks[0]
                points.append([(p.x * wide, p.y * high, p.z * wide) for p in face])
    return np.array(shapes, np.float32), np.array(points, np.float32)
