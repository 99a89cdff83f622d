"""Measurements that are made once: FER2013's landmarks, its framing, motion in clips."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.capture.clip import Clip
from edge.features.blendshapes import channel_names, levels
from edge.features.pose import head_pose
from emoshift.emotions import Emotion
from emoshift.errors import InputError
from train.data.fer2013 import fer2013_source, read_fer2013
from train.data.near_duplicates import fingerprint
from train.features.channel_transform import unfitted_transform
from train.features.landmarks import measure, measure_clip
from train.features.motion import measure_motion, write_motion
from train.features.table import FeatureTable, mismatch, read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TABLE: Final = "fer2013-landmarks.parquet"
STEP_S: Final = 1 / 15
PARTS: Final = {
    "right_eye": (33, 133),
    "left_eye": (362, 263),
    "nose_tip": (1,),
    "mouth_right": (61,),
    "mouth_left": (291,),
    "mouth": (61, 291),
    "chin": (152,),
    "forehead": (10,),
}
"""Landmarks whose mean is a part's place; right and left are the person's own."""
FRONTAL_DEG: Final = 15.0


def measure_fer2013(data: Path, cache: Path, model: Path, framing_path: Path) -> list[str]:
    """Measure every picture, keep table and framing, and say what share had a face."""
    fer = read_fer2013(fer2013_source(data), cache)
    path = cache / TABLE
    if not path.exists():
        write_table(path, measure(fer.pixels, model), pictures=fingerprint(fer.pixels))
    table = read_table(path)
    if problem := mismatch(table, fer):
        raise InputError(f"{path}: {problem} under {data}; give another --cache, or remove it")
    write_framing(framing_path, table)
    lines = [f"found {table.found.mean():.1%} of {len(table.found)}"]
    for emotion in Emotion:
        found = table.found[fer.labels == emotion]
        lines.append(f"{emotion.label}: {found.mean():.1%} of {len(found)}")
    return lines


def framing(table: FeatureTable) -> dict[str, dict[str, list[float]]]:
    """Return mean and spread of each part's place in 48x48 pixels, over frontal faces.

    Pixel centres lie at whole numbers plus a half, so the middle of the picture is (24, 24).
    """
    pose = head_pose(table.points)
    frontal = table.found & (np.abs(pose[:, 0]) < FRONTAL_DEG) & (np.abs(pose[:, 2]) < FRONTAL_DEG)
    values: dict[str, dict[str, list[float]]] = {}
    for part, indices in PARTS.items():
        place = table.points[frontal][:, list(indices), :2].mean(axis=1)
        values[part] = {
            "mean": _rounded(place.mean(axis=0)),
            "std": _rounded(place.std(axis=0)),
            "median": _rounded(np.median(place, axis=0)),
        }
    return values


def _rounded(values: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 2) for value in values]


def write_framing(path: Path, table: FeatureTable) -> None:
    """Write the framing as JSON."""
    values = {
        "unit": "pixels of the 48x48 picture, x right, y down, middle at (24, 24)",
        "faces": f"FER2013, all splits, |yaw| and |roll| below {FRONTAL_DEG:.0f} degrees",
        "landmarks": {part: list(indices) for part, indices in PARTS.items()},
        "parts": framing(table),
    }
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def measure_clips(clips: Sequence[Path], model: Path, output: Path) -> None:
    """Measure motion in clips without a change of emotion and write it.

    Raises:
        InputError: A clip cannot be read, or hardly shows a face.
    """
    transform = unfitted_transform()
    seen: list[tuple[NDArray[np.float32], float]] = []
    for clip in clips:
        frames, rate = _read_clip(clip)
        shapes, points = measure_clip(frames, model, rate=rate)
        if len(shapes) < rate:
            raise InputError(f"{clip}: a face in {len(shapes)} frames, expected a second of one")
        seen.append((levels(shapes, head_pose(points), transform), rate))
    found = measure_motion(seen, STEP_S)
    source = ", ".join(clip.name for clip in clips)
    write_motion(output, found, source=source, channels=channel_names(transform))


def _read_clip(path: Path) -> tuple[list[NDArray[np.uint8]], float]:
    clip = Clip(path)
    frames = [
        np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB), np.uint8)
        for frame in clip.frames()
    ]
    return frames, clip.fps
