"""The network for small faces against MediaPipe's models on the sample clip."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.faces.direct import PRESENCE
from edge.faces.landmarker import Landmarker
from edge.faces.roi import roi_of_landmarks
from edge.faces.small_face import FOLDER, SCALES_NAME, SmallFaceNetwork
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.faces.roi import Roi
    from edge.values import Frame


@pytest.fixture(scope="module")
def network() -> SmallFaceNetwork:
    return SmallFaceNetwork()


def first_region(frame: Frame, landmarker: Landmarker) -> Roi:
    from edge.faces.roi import Roi

    whole = Roi(frame.width_px / 2, frame.height_px / 2, 100, 100, 0.0)
    return roi_of_landmarks(landmarker.measure(frame.image, whole).points)


@pytest.mark.clip
def test_it_sees_what_mediapipe_sees(
    network: SmallFaceNetwork, landmarker: Path, sample_frames: list[Frame]
) -> None:
    """Its landmarks lie within a tenth of the eyes' distance, and it is sure of the face."""
    reference = Landmarker(landmarker)
    for frame in sample_frames[::10]:
        roi = first_region(frame, reference)
        true = reference.measure(frame.image, roi).points
        (mesh,), shapes = network.measure(frame.image, [roi])
        eyes = np.linalg.norm(true[263, :2] - true[33, :2])
        assert np.linalg.norm(mesh.points[:, :2] - true[:, :2], axis=1).mean() < 0.1 * eyes
        assert mesh.presence > 0.8
        assert shapes.shape == (1, 52)


@pytest.mark.clip
def test_a_batch_is_the_same_as_one_by_one(
    network: SmallFaceNetwork, landmarker: Path, sample_frames: list[Frame]
) -> None:
    """Faces measured together are measured as each alone."""
    roi = first_region(sample_frames[0], Landmarker(landmarker))
    rois = [roi.moved(off, off, 1 + off / 50) for off in (-2.0, 0.0, 3.0)]
    together, shapes = network.measure(sample_frames[0].image, rois)
    for row, one in enumerate(rois):
        (alone,), seen = network.measure(sample_frames[0].image, [one])
        assert np.array_equal(alone.points, together[row].points)
        assert np.array_equal(seen[0], shapes[row])
    assert network.measure(sample_frames[0].image, [])[0] == []


def test_an_empty_wall_is_no_face(network: SmallFaceNetwork) -> None:
    """Where there is nothing, it says so."""
    from edge.faces.roi import Roi

    wall = np.full((200, 200, 3), 128, np.uint8)
    (mesh,), _ = network.measure(wall, [Roi(100, 100, 90, 90, 0.0)])
    assert mesh.presence < PRESENCE


@pytest.mark.parametrize("damage", ["missing", "altered", "swapped", "not JSON"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    """Files that do not belong together are named, with what to do."""
    folder = tmp_path / "network"
    shutil.copytree(FOLDER, folder)
    scales = folder / SCALES_NAME
    if damage == "missing":
        scales.unlink()
    elif damage == "altered":
        (folder / "small_face.tflite").write_bytes(b"no model")
    elif damage == "swapped":
        card = json.loads(scales.read_text(encoding="utf-8"))
        scales.write_text(json.dumps(card | {"schema": "emoshift.bundle/2"}), encoding="utf-8")
    else:
        scales.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="install emoshift again"):
        SmallFaceNetwork(folder)
