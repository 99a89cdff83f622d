"""The landmark models run directly give what MediaPipe gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.faces.blazeface import SHORT, ShortRangeBlazeFace
from edge.faces.detector import Region
from edge.faces.landmarker import Landmarker
from edge.faces.one_euro import OneEuro
from edge.faces.roi import Roi, roi_of_keypoints, roi_of_landmarks

if TYPE_CHECKING:
    from edge.values import Frame

Reference = list[tuple[NDArray[np.float64], NDArray[np.float64]] | None]


def reference(
    model: Path, images: list[NDArray[np.uint8]], *, video: bool, step_ms: int = 33
) -> Reference:
    """MediaPipe's own landmarks (pixels) and blendshapes of the one face in each picture."""
    mediapipe = pytest.importorskip(
        "mediapipe", reason="needs MediaPipe: requirements/mediapipe.txt"
    )
    from mediapipe.tasks.python import BaseOptions, vision

    mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=mode,
        num_faces=1,
        output_face_blendshapes=True,
    )
    found: Reference = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for number, bgr in enumerate(images):
            image = mediapipe.Image(
                image_format=mediapipe.ImageFormat.SRGB, data=cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            )
            result = (
                landmarker.detect_for_video(image, number * step_ms)
                if video
                else landmarker.detect(image)
            )
            if not result.face_landmarks:
                found.append(None)
                continue
            height, width = bgr.shape[:2]
            points = [(p.x * width, p.y * height) for p in result.face_landmarks[0]]
            shapes = [c.score for c in result.face_blendshapes[0]]
            found.append((np.array(points), np.array(shapes)))
    return found


class Differences:
    """Landmark distances over the inter-ocular distance, and blendshape differences."""

    def __init__(self) -> None:
        self.places: list[float] = []
        self.shapes: list[NDArray[np.float64]] = []

    def add(
        self,
        points: NDArray[np.float32],
        shapes: NDArray[np.float32],
        wanted: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> None:
        """Compare one face with MediaPipe's."""
        true_points, true_shapes = wanted
        eyes = np.linalg.norm(true_points[263] - true_points[33])
        off = np.linalg.norm(points[:, :2] - true_points, axis=1).mean()
        self.places.append(float(off / eyes))
        self.shapes.append(np.abs(shapes - true_shapes))

    def check(self) -> None:
        """The project's bar: 1 % of the inter-ocular distance, 0.02 mean, 0.1 at the 99th."""
        assert len(self.places) > 5
        assert np.mean(self.places) < 0.01
        assert np.mean(self.shapes) < 0.02
        assert np.percentile(np.stack(self.shapes), 99) < 0.1


def near_region(image: NDArray[np.uint8], detector: ShortRangeBlazeFace) -> Roi:
    """The region of the one face by the bundle's own detector."""
    height, width = image.shape[:2]
    whole = Region(x=0, y=0, width=width, height=height, scale=1.0)
    return roi_of_keypoints(detector.search(image, whole)[0].keypoints)


def first_region(image: NDArray[np.uint8], detector: ShortRangeBlazeFace) -> Roi:
    """MediaPipe's own first region: the detector's raw box, half as large again, turned level."""
    height, width = image.shape[:2]
    whole = Region(x=0, y=0, width=width, height=height, scale=1.0)
    found = detector.search(image, whole)[0]
    (x0, y0), (x1, y1) = found.keypoints[:2].tolist()
    wide, high = found.box.width / SHORT.wider, found.box.height / SHORT.taller
    x, y = found.box.centre
    return Roi(x, y + SHORT.box_up * high, 1.5 * wide, 1.5 * high, math.atan2(y1 - y0, x1 - x0))


@pytest.mark.clip
def test_pictures(landmarker: Path, sample_frames: list[Frame]) -> None:
    """On single pictures, from the same detector's region."""
    images = [frame.image for frame in sample_frames[::10]]
    detector, models = ShortRangeBlazeFace(landmarker), Landmarker(landmarker)
    differences = Differences()
    for image, wanted in zip(images, reference(landmarker, images, video=False), strict=True):
        assert wanted is not None
        mesh = models.measure(image, first_region(image, detector))
        assert mesh.presence > 0.9
        differences.add(mesh.points, models.blendshapes(mesh.points), wanted)
    differences.check()


@pytest.mark.clip
def test_the_clip_by_tracking(landmarker: Path, sample_frames: list[Frame]) -> None:
    """On the sample clip, each region from the landmarks before, smoothed as MediaPipe does."""
    images = [frame.image for frame in sample_frames[:60]]
    models, smooth = Landmarker(landmarker), OneEuro()
    roi = near_region(images[0], ShortRangeBlazeFace(landmarker))
    differences = Differences()
    for number, (image, wanted) in enumerate(
        zip(images, reference(landmarker, images, video=True), strict=True)
    ):
        mesh = models.measure(image, roi)
        roi = roi_of_landmarks(mesh.points)
        points = smooth.apply(mesh.points, number * 0.033)
        if number >= 10 and wanted is not None:  # the first regions come from detectors
            differences.add(points, models.blendshapes(points), wanted)
    differences.check()


@pytest.mark.data
def test_real_people(landmarker: Path) -> None:
    """On real clips of other people, likewise."""
    clips = sorted(Path("../shared/data/clips").glob("*.mp4"))
    if not clips:
        pytest.skip("needs the shared data set in ../shared/data")
    for clip in clips[1:3]:
        capture = cv2.VideoCapture(str(clip))
        images = [capture.read()[1] for _ in range(30)]
        capture.release()
        models, smooth = Landmarker(landmarker), OneEuro()
        roi = near_region(images[0], ShortRangeBlazeFace(landmarker))
        differences = Differences()
        for number, (image, wanted) in enumerate(
            zip(images, reference(landmarker, images, video=True), strict=True)
        ):
            mesh = models.measure(image, roi)
            roi = roi_of_landmarks(mesh.points)
            points = smooth.apply(mesh.points, number * 0.033)
            if number >= 10 and wanted is not None:
                differences.add(points, models.blendshapes(points), wanted)
        differences.check()
