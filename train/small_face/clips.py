"""Faces of clips: how one face moves, which single pictures do not show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assets import DEMO_CLIP, LANDMARKER, SAMPLE_CLIP, SMILE_CLIP, fetch_asset
from edge.capture.clip import Clip
from edge.faces.blazeface import ShortRangeBlazeFace
from edge.faces.detector import Region
from edge.faces.landmarker import Landmarker
from edge.faces.roi import Roi, roi_of_keypoints, roi_of_landmarks
from edge.grey_crop import sample_grey
from train.small_face.measure import (
    PATCH_PX,
    SURE,
    FaceSamples,
    in_patch,
    look,
    patch_region,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.values import Frame

STRIDE: Final = 2
"""Every second frame is taken: neighbours show nearly the same."""


def training_clips(data: Path | None = None) -> list[Path]:
    """The clips it learns from: the shared ``clips`` where they lie, and those for demonstrations.

    Two of them teach the change detector's regression too, where the shared ``clips`` have labels;
    none of those that its figures are counted on (``streams``, posed onsets, rooms) is among them.
    """
    folder = (data or Path(os.environ.get("EMOSHIFT_DATA", ""))) / "clips"
    return [*sorted(folder.glob("*.mp4")), *map(fetch_asset, (DEMO_CLIP, SAMPLE_CLIP, SMILE_CLIP))]


def measure_clips(
    clips: Sequence[Path], *, log: Callable[[str], None] = lambda _: None
) -> FaceSamples:
    """Measure the largest face of every second frame of clips."""
    task = fetch_asset(LANDMARKER)
    landmarker, detector = Landmarker(task), ShortRangeBlazeFace(task)
    patches, points, shapes, rows = [], [], [], []
    for number, clip in enumerate(clips):
        log(f"clip {clip.name}")
        for frame, roi in _faces(clip, landmarker, detector):
            seen = look(frame.image, roi, landmarker)
            if seen is None:
                continue
            wide = patch_region(seen[0])
            patches.append(sample_grey(frame.image, wide.to_crop(PATCH_PX), PATCH_PX))
            points.append(in_patch(seen[0], wide))
            shapes.append(seen[1])
            rows.append(number)
    return FaceSamples(
        patches=np.array(patches, np.uint8),
        inside=np.ones((len(patches), PATCH_PX, PATCH_PX), np.bool_),
        points=np.array(points, np.float16),
        blendshapes=np.array(shapes, np.float32),
        rows=np.array(rows, np.int64),
    )


def _faces(
    clip: Path, landmarker: Landmarker, detector: ShortRangeBlazeFace
) -> Iterator[tuple[Frame, Roi]]:
    """Follow the largest face; yields the frames to take and the region it is in."""
    roi: Roi | None = None
    for frame in Clip(clip).frames():
        if roi is None:
            whole = Region(x=0, y=0, width=frame.width_px, height=frame.height_px, scale=1.0)
            found = detector.search(frame.image, whole)
            if not found:
                continue
            roi = roi_of_keypoints(max(found, key=lambda one: one.box.width).keypoints)
        mesh = landmarker.measure(frame.image, roi)
        roi = None if mesh.presence < SURE else roi_of_landmarks(mesh.points)
        if roi is not None and frame.seq % STRIDE == 0:
            yield frame, roi
