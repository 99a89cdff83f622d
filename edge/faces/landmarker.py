"""MediaPipe's landmark and blendshape models, run directly on one face at a time."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.faces.mesh import BLENDSHAPE_POINTS, POINTS
from edge.litert import TFLiteModel
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.faces.roi import Roi

SIDE_PX: Final = 256
"""Side of the square that the landmark model sees."""


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """What the landmark model says of one region.

    Attributes:
        points: Shape ``(478, 3)``, float32, pixels of the frame, unsmoothed.
        presence: Probability that the region holds a face, 0 to 1.
    """

    points: NDArray[np.float32]
    presence: float


def read_task(path: Path, name: str) -> bytes:
    """Take one model out of MediaPipe's ``face_landmarker.task``, which is a zip archive.

    Raises:
        InputError: The archive is missing, damaged, or holds no such model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; fetch it with: edge assets fetch") from None
    except (zipfile.BadZipFile, KeyError, OSError) as why:
        raise InputError(
            f"{path}: damaged or of another kind ({why}); fetch it again with: edge assets fetch"
        ) from why


class Landmarker:
    """The two models with their working memory; not for two threads at a time.

    Args:
        task: Path of ``face_landmarker.task``.
        threads: Threads each model may use.

    Raises:
        InputError: The archive is missing or damaged, or lacks one of them.
        BundleError: One of them is no model that the runtime can run.
    """

    def __init__(self, task: Path, *, threads: int = 1) -> None:
        self._mesh = TFLiteModel(read_task(task, "face_landmarks_detector.tflite"), threads=threads)
        self._shapes = TFLiteModel(read_task(task, "face_blendshapes.tflite"), threads=threads)
        self._crop = np.empty((SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        self._input = np.empty((1, SIDE_PX, SIDE_PX, 3), dtype=np.float32)
        self._shape_input = np.empty((1, len(BLENDSHAPE_POINTS), 2), dtype=np.float32)

    def measure(self, image: NDArray[np.uint8], roi: Roi) -> Mesh:
        """Find the landmarks inside ``roi`` of a BGR picture."""
        matrix = roi.matrix(SIDE_PX)
        cv2.warpAffine(
            image,
            matrix,
            (SIDE_PX, SIDE_PX),
            dst=self._crop,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        cv2.cvtColor(self._crop, cv2.COLOR_BGR2RGB, dst=self._crop)
        np.multiply(self._crop, np.float32(1 / 255), out=self._input[0])
        raw, presence, *_ = self._mesh.run({0: self._input})
        crop = raw.reshape(POINTS, 3)
        points = np.empty((POINTS, 3), dtype=np.float32)
        points[:, :2] = crop[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        points[:, 2] = crop[:, 2] * np.float32(roi.width / SIDE_PX)
        return Mesh(points, 1.0 / (1.0 + math.exp(-float(presence.reshape(-1)[0]))))

    def blendshapes(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read the 52 blendshapes from landmarks of shape ``(478, 3)``."""
        np.take(points[:, :2], BLENDSHAPE_POINTS, axis=0, out=self._shape_input[0])
        (shapes,) = self._shapes.run({0: self._shape_input})
        return np.asarray(shapes, dtype=np.float32)
