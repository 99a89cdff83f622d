"""From the faces of a frame to what the networks are shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.features.crop import aligned_crop
from edge.features.pose import head_pose
from edge.values import Features

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.values import Face, Frame


def describe(frame: Frame, faces: Iterable[Face]) -> tuple[Features, ...]:
    """Describe each face once; blendshapes count only when they were measured on this frame."""
    return tuple(_describe(frame, face) for face in faces)


def _describe(frame: Frame, face: Face) -> Features:
    current = face.landmarks
    if current is not None and current.measured_s != frame.captured_s:
        current = None
    return Features(
        track=face.track,
        label=face.label,
        captured_s=frame.captured_s,
        crop=aligned_crop(frame.image, face.keypoints),
        blendshapes=None if current is None else current.blendshapes,
        pose=None if current is None else head_pose(current.points),
    )
