"""Choosing a back end: what is configured, what is installed, what this processor can run."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from typing import TYPE_CHECKING, Final

import cv2

from edge.errors import UnavailableError
from edge.faces.blaze import Blaze
from edge.faces.direct import DirectFaces
from edge.faces.landmarker import Landmarker
from edge.faces.mediapipe import MediaPipeFaces
from edge.faces.processor import mediapipe_obstacle, read_cpuinfo
from edge.faces.search import InlineSearcher, ThreadSearcher
from edge.faces.yunet import YuNet

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config import Faces
    from edge.faces.detector import Detector
    from edge.faces.protocol import FaceFinder

LANDMARKER: Final = "face_landmarker.task"
"""File name of MediaPipe's bundle in the assets folder."""
YUNET: Final = "face_detection_yunet_2026may.onnx"
"""File name of the classroom detector in the assets folder."""


def open_faces(
    config: Faces,
    *,
    assets: Path,
    random_seed: int | None = None,
    threads: int = 1,
    background: bool | None = None,
) -> FaceFinder:
    """Open the back end that ``config.backend`` names.

    ``auto`` takes ``direct``, which runs on every board. Without the file of the classroom
    detector, ``direct`` finds faces with the Face Landmarker's own near-range detector and says
    so. ``mediapipe`` is taken as it is, or refused with the reason.

    Args:
        config: How faces are found.
        assets: Folder with `LANDMARKER` and, for classroom distances, `YUNET`.
        random_seed: Makes the tracks' random names repeatable; ``None`` for live sources.
        threads: Threads each landmark model, and OpenCV in this process, may use.
        background: Whether the detector has a thread of its own, so that results depend on
            timing; unset, only where no seed asks for repeatable results.

    Raises:
        InputError: A model file is missing or damaged.
        UnavailableError: The back end cannot run here.
    """
    if config.backend == "mediapipe":
        obstacle = mediapipe_missing()
        if obstacle is not None:
            raise UnavailableError(f'{obstacle}; set faces.backend = "direct"')
        return MediaPipeFaces(
            config, model=assets / LANDMARKER, random_seed=random_seed, reason="configured"
        )
    cv2.setNumThreads(threads)
    landmarker = Landmarker(assets / LANDMARKER, threads=threads)
    reason = "configured" if config.backend == "direct" else "runs on every board"
    detector: Detector
    if (assets / YUNET).is_file():
        detector = YuNet(assets / YUNET)
    else:
        detector = Blaze(assets / LANDMARKER, threads=threads)
        reason += f"; near range only: {YUNET} is not in {assets} (edge assets fetch)"
    if background is None:
        background = random_seed is None
    return DirectFaces(
        config,
        detector=detector,
        searcher=ThreadSearcher(detector) if background else InlineSearcher(detector),
        landmarker=landmarker,
        random_seed=random_seed,
        reason=reason,
    )


def mediapipe_missing() -> str | None:
    """Say why MediaPipe cannot be used here; ``None`` when it can be tried."""
    if importlib.util.find_spec("mediapipe") is None:
        return "MediaPipe is not installed"
    return mediapipe_obstacle(read_cpuinfo(), metadata.version("mediapipe"))
