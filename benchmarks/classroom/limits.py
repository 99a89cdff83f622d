"""How small a face may be before its landmarks stop showing its expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.classroom.finders import landmark_model
from edge.faces.landmarker import Landmarker
from edge.faces.roi import Roi, roi_of_landmarks
from edge.faces.small_face import SmallFaceNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from numpy.typing import NDArray

    from benchmarks.classroom.actors import ClassroomActor
    from edge.values import Box

    _Seen: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
    """Landmarks and blendshapes."""
    _Look: TypeAlias = Callable[[NDArray[np.uint8], Roi], _Seen]

STRIDE = 4
WIDE_PX = 120.0
"""Actors shown narrower than this cannot serve as reference."""
MOVING = 0.05
"""Blendshapes that vary by less (standard deviation) say nothing about agreement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Agreement of small faces with the same faces at full size.

    Attributes:
        by: What measured the small faces; at full size MediaPipe's models did.
        face_px: Width of the small faces.
        n: Faces compared.
        landmark_error: Mean distance over the distance of the outer eye corners.
        blendshape_error: Mean absolute difference.
        correlation: Median over the blendshapes that vary and over people.
    """

    by: str
    face_px: float
    n: int
    landmark_error: float
    blendshape_error: float
    correlation: float


def landmark_limits(
    actors: tuple[ClassroomActor, ...], *, sizes_px: Iterable[float]
) -> tuple[Limit, ...]:
    """Shrink known faces and compare their landmarks and blendshapes with those at full size."""
    landmarker, network = Landmarker(landmark_model()), SmallFaceNetwork()
    wide = [actor for actor in actors if actor.face_px >= WIDE_PX]

    def by_mediapipe(head: NDArray[np.uint8], roi: Roi) -> _Seen:
        points = landmarker.measure(head, roi).points
        return points, landmarker.blendshapes(points)

    def by_network(head: NDArray[np.uint8], roi: Roi) -> _Seen:
        (mesh,), (shapes, *_) = network.measure(head, [roi])
        return mesh.points, shapes

    full = [[_measure(by_mediapipe, head, 1.0, box) for head, box in _some(a)] for a in wide]
    return tuple(
        _limit(name, look, wide, full, size)
        for name, look in (("MediaPipe", by_mediapipe), ("small network", by_network))
        for size in sizes_px
    )


def _some(actor: ClassroomActor) -> list[tuple[np.ndarray, Box]]:
    return list(zip(actor.heads[::STRIDE], actor.boxes[::STRIDE], strict=True))


def _measure(look: _Look, head: np.ndarray, scale: float, box: Box) -> _Seen:
    """Landmarks and blendshapes of one head, shrunk by ``scale``; pixels of the shrunk head."""
    if scale < 1:
        head = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x, y = box.centre
    side = 1.5 * max(box.width, box.height) * scale
    roi = Roi(x * scale, y * scale, side, side, 0.0)
    return look(head, roi_of_landmarks(look(head, roi)[0]))


def _limit(
    name: str,
    look: _Look,
    actors: list[ClassroomActor],
    full: list[list[tuple[np.ndarray, np.ndarray]]],
    size: float,
) -> Limit:
    places, shapes, correlations = [], [], []
    for actor, reference in zip(actors, full, strict=True):
        scale = size / actor.face_px
        small = [_measure(look, head, scale, box) for head, box in _some(actor)]
        for (points, values), (true_points, true_values) in zip(small, reference, strict=True):
            eyes = float(np.linalg.norm(true_points[263, :2] - true_points[33, :2]))
            off = np.linalg.norm(points[:, :2] / scale - true_points[:, :2], axis=1).mean()
            places.append(float(off) / eyes)
            shapes.append(float(np.abs(values - true_values).mean()))
        seen = np.stack([values for _, values in small])
        true = np.stack([values for _, values in reference])
        moving = (true.std(axis=0) > MOVING) & (seen.std(axis=0) > 1e-6)
        correlations += [
            float(np.corrcoef(seen[:, i], true[:, i])[0, 1]) for i in np.flatnonzero(moving)
        ]
    return Limit(
        by=name,
        face_px=size,
        n=len(places),
        landmark_error=float(np.mean(places)),
        blendshape_error=float(np.mean(shapes)),
        correlation=float(np.median(correlations)),
    )
