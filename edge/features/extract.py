"""From the faces of a frame to what the networks are shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.features.crop import aligned_crop
from edge.features.pose import head_pose
from edge.values import Features

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.values import Face, Frame, Landmarks


def describe(
    frame: Frame, faces: Iterable[Face], *, since_s: float | None = None
) -> tuple[Features, ...]:
    """Describe each face once; blendshapes count only when they are new.

    Args:
        frame: The picture the faces were found in.
        faces: Whom to describe.
        since_s: Blendshapes measured then or later are new; unless given, those measured on this
            very frame.
    """
    seen = tuple(faces)
    new_s = frame.captured_s if since_s is None else since_s
    measured = [_new_landmarks(face, new_s) for face in seen]
    poses = iter(_poses([landmarks for landmarks in measured if landmarks is not None]))
    return tuple(
        Features(
            track=face.track,
            label=face.label,
            captured_s=frame.captured_s,
            crop=aligned_crop(frame.image, face.keypoints),
            blendshapes=None if landmarks is None else landmarks.blendshapes,
            pose=None if landmarks is None else next(poses),
        )
        for face, landmarks in zip(seen, measured, strict=True)
    )


def _new_landmarks(face: Face, new_s: float) -> Landmarks | None:
    current = face.landmarks
    return current if current is not None and current.measured_s >= new_s else None


def _poses(measured: list[Landmarks]) -> NDArray[np.float32]:
    """Every head pose in one go: a call for each would cost as much as all of them."""
    if not measured:
        return np.empty((0, 3), np.float32)
    return head_pose(np.stack([landmarks.points for landmarks in measured]))
