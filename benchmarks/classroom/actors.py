"""The people of the simulated classroom: heads cut from short clips, with known faces."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from benchmarks.classroom.finders import landmark_model
from edge.assets import SAMPLE_CLIP, find_asset
from edge.capture.clip import Clip
from edge.faces.blazeface import ShortRangeBlazeFace
from edge.faces.detector import Region
from edge.faces.landmarker import Landmarker
from edge.faces.mesh import mesh_box
from edge.faces.roi import roi_of_keypoints, roi_of_landmarks
from edge.values import Box, frozen
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

FACE_PX: Final = 140
"""Heads are kept with faces about this wide, or as wide as the clip shows them."""
FRAMES: Final = 120
"""Frames kept of each clip; they are played forth and back."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassroomActor:
    """One person.

    Attributes:
        name: The clip's name.
        heads: Each of shape ``(height, width, 3)``, uint8, BGR, read-only.
        alpha: Shape ``(height, width)``, float32, 0 to 1: the head's soft outline.
        boxes: The face in each of ``heads``, pixels.
        fps: Frames a second.
        changes: Known changes of emotion: frame and label.
    """

    name: str
    heads: tuple[NDArray[np.uint8], ...]
    alpha: NDArray[np.float32]
    boxes: tuple[Box, ...]
    fps: float
    changes: tuple[tuple[int, str], ...]

    @property
    def face_px(self) -> float:
        """Middle width of the face as kept."""
        return float(np.median([box.width for box in self.boxes]))

    def at(self, clip_s: float) -> int:
        """Number of the head at a time; the clip is played forth and back for ever."""
        last = len(self.heads) - 1
        step = int(clip_s * self.fps) % (2 * last)
        return step if step <= last else 2 * last - step


def clip_paths(data: Path | None = None) -> list[Path]:
    """List the clips that can serve: the sample clip, and the shared ones where they lie.

    Args:
        data: Folder of the shared data; ``EMOSHIFT_DATA`` by default.
    """
    data = data or Path(os.environ.get("EMOSHIFT_DATA", ""))
    paths = sorted((data / "clips").glob("*.mp4"))
    sample = find_asset(SAMPLE_CLIP)
    return [*([] if sample is None else [sample]), *paths]


def load_actors(
    data: Path | None = None, *, clips: Sequence[Path] = ()
) -> tuple[ClassroomActor, ...]:
    """Cut the clips given, or every usable one.

    Raises:
        InputError: There is no clip, or no landmark model.
    """
    paths = list(clips) or clip_paths(data)
    if not paths:
        raise InputError(
            f"no clip to cut heads from: {SAMPLE_CLIP.name} is missing, and so are shared clips;"
            " run: edge assets fetch"
        )
    task = landmark_model()
    detector, landmarker = ShortRangeBlazeFace(task), Landmarker(task)
    return tuple(_cut(path, detector, landmarker) for path in paths)


def _cut(path: Path, detector: ShortRangeBlazeFace, landmarker: Landmarker) -> ClassroomActor:
    frames = list(_frames(path))
    fps = Clip(path).fps
    boxes = _follow(path, frames, detector, landmarker)
    left = min(b.x for b in boxes)
    right = max(b.x + b.width for b in boxes)
    upper = min(b.y for b in boxes)
    lower = max(b.y + b.height for b in boxes)
    wide, high = (right - left) * 1.5, (lower - upper) * 1.6
    x0, y0 = (left + right - wide) / 2, (upper + lower) / 2 - high * 0.54
    scale = min(1.0, FACE_PX / float(np.median([b.width for b in boxes])))
    size = (round(wide * scale), round(high * scale))
    matrix = np.array(((1 / scale, 0.0, x0), (0.0, 1 / scale, y0)))
    heads = []
    for frame in frames:
        # Shrinking by area first, as a camera's optics and sensor would.
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        shift = matrix.copy()
        shift[:, :2] = np.eye(2)
        shift[:, 2] *= scale
        heads.append(
            frozen(
                cv2.warpAffine(
                    small,
                    shift,
                    size,
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_REPLICATE,
                )
            )
        )
    return ClassroomActor(
        name=path.stem,
        heads=tuple(heads),
        alpha=frozen(_outline(size)),
        boxes=tuple(
            Box(
                x=(b.x - x0) * scale,
                y=(b.y - y0) * scale,
                width=b.width * scale,
                height=b.height * scale,
            )
            for b in boxes
        ),
        fps=fps,
        changes=_changes(path),
    )


def _frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    for frame in itertools.islice(Clip(path).frames(), FRAMES):
        yield frame.image


def _follow(
    path: Path,
    frames: list[NDArray[np.uint8]],
    detector: ShortRangeBlazeFace,
    landmarker: Landmarker,
) -> list[Box]:
    """Find the one face of a near-range clip in every frame, by its landmarks."""
    boxes = []
    roi = None
    for number, frame in enumerate(frames):
        if roi is None:
            height, width = frame.shape[:2]
            found = detector.search(frame, Region(x=0, y=0, width=width, height=height, scale=1.0))
            if not found:
                raise InputError(f"{path}: no face in frame {number}")
            roi = roi_of_keypoints(max(found, key=lambda d: d.box.width).keypoints)
            roi = roi_of_landmarks(landmarker.measure(frame, roi).points)
        mesh = landmarker.measure(frame, roi)
        roi = roi_of_landmarks(mesh.points)
        boxes.append(mesh_box(mesh.points))
    return boxes


def _outline(size: tuple[int, int]) -> NDArray[np.float32]:
    """A soft ellipse."""
    width, height = size
    mask = np.zeros((height, width), dtype=np.float32)
    centre, axes = (width // 2, height // 2), (int(width * 0.44), int(height * 0.45))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), width * 0.02), dtype=np.float32)


def _changes(path: Path) -> tuple[tuple[int, str], ...]:
    labels = path.parent / "labels.json"
    if not labels.is_file():
        return ()
    known = json.loads(labels.read_text(encoding="utf-8")).get(path.name, {})
    return tuple((int(frame), str(emotion)) for frame, emotion in known.get("must", ()))
