"""The label file: what it means, and what is said of a bad one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from emoshift.emotions import Emotion
from emoshift.errors import InputError
from train.transitions.labels import read_labels
from train.transitions.streams import Change

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 64)
    )
    for _ in range(50):
        writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    return tmp_path


def write(folder: Path, content: object) -> Path:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_frames_become_seconds(folder: Path) -> None:
    """Frames are counted at the clip's own rate."""
    labels = write(
        folder,
        {"clip.mp4": {"fps": 25, "start": "sad", "must": [[25, "happy"]], "may": [[30, 40]]}},
    )
    (truth,) = read_labels(labels, folder).values()
    assert truth.start == Emotion.SAD
    assert truth.changes == (Change(at_s=1.0, after=Emotion.HAPPY),)
    assert truth.may == ((1.2, 1.6),)
    assert truth.duration_s == 2.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("{", "expected per clip", id="not JSON"),
        pytest.param({}, "names no clip", id="empty"),
        pytest.param({"clip.mp4": {"fps": 0, "start": "sad"}}, "clip.mp4.fps", id="no rate"),
        pytest.param({"clip.mp4": {"fps": 25, "start": "glad"}}, "'glad'", id="no emotion"),
        pytest.param(
            {"clip.mp4": {"fps": 25, "start": "sad", "must": [[60, "happy"]]}},
            "has 50 frames",
            id="beyond the end",
        ),
        pytest.param(
            {"clip.mp4": {"fps": 25, "start": "sad", "may": [[9, 3]]}}, "ends before", id="reversed"
        ),
        pytest.param({"clip.mp4": {"fps": 25, "start": "sad", "mst": []}}, "mst", id="mistyped"),
        pytest.param({"other.mp4": {"fps": 25, "start": "sad"}}, "no such file", id="no clip"),
    ],
)
def test_bad_labels(folder: Path, content: object, says: str) -> None:
    """One line says which file, where in it, and what was expected."""
    with pytest.raises(InputError, match=says):
        read_labels(write(folder, content), folder)
