"""The project's own network for faces of any size: landmarks and blendshapes, many at once.

It learned from MediaPipe's models what they say of a face, and reads it from a grey crop of 64
pixels (``models/small_face/CARD.md``).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.faces.landmarker import Mesh
from edge.faces.mesh import BLENDSHAPES, POINTS
from edge.grey_crop import sample_grey
from edge.litert import TFLiteModel
from edge.standardise import INPUT_SCALE, MIDDLE, standardise_crop
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.faces.roi import Roi
    from edge.litert import TensorInfo

SIDE_PX: Final = 64
"""Side of the crop that the network sees."""
LOG_FLOOR: Final = 0.02
"""Blendshapes are predicted as ``log(x + LOG_FLOOR)``, as the recurrent network reads them."""
SCHEMA: Final = "emoshift.small_face/1"
FOLDER: Final = Path(__file__).parent / "small_face_model"
"""In a checkout a link to ``models/small_face``, in an installed package the files themselves."""
MODEL_NAME: Final = "small_face.tflite"
SCALES_NAME: Final = "small_face.json"


class SmallFaceNetwork:
    """The network with its working memory; not for two threads at a time.

    Args:
        folder: Holds the model, and the means and deviations that its outputs are standardised by.
        threads: Threads it may use.

    Raises:
        InputError: A file is missing or damaged, or they do not belong together.
    """

    def __init__(self, folder: Path = FOLDER, *, threads: int = 1) -> None:
        content, scales = _read(folder)
        self._model = TFLiteModel(content, threads=threads)
        self._points = _scale(scales, "points", (POINTS, 3))
        self._shapes = _scale(scales, "shapes", (BLENDSHAPES,))
        self._input = self._model.inputs[0]
        greys = (np.arange(256, dtype=np.float32) - MIDDLE) * np.float32(INPUT_SCALE)
        scale, zero = _quantisation(self._input)
        self._table = np.clip(np.rint(greys / scale) + zero, -128, 127).astype(np.int8)
        self._outputs = {
            width: (place, *_quantisation(info))
            for place, info in enumerate(self._model.outputs)
            for width in (info.shape[-1],)
        }
        self._rows = self._input.shape[0]

    def measure(
        self, image: NDArray[np.uint8], rois: Sequence[Roi]
    ) -> tuple[list[Mesh], NDArray[np.float32]]:
        """Measure the faces inside these regions of a BGR picture, all in one batch.

        Returns:
            Of each region its landmarks, and the blendshapes ``(n, 52)``, 0 to 1.
        """
        if not rois:
            return [], np.empty((0, BLENDSHAPES), np.float32)
        crops = np.stack([sample_grey(image, roi.to_crop(SIDE_PX), SIDE_PX) for roi in rois])
        local, shapes, presence = self.read(standardise_crop(crops))
        meshes = []
        for row, roi in enumerate(rois):
            matrix = roi.matrix(SIDE_PX)
            points = np.empty((POINTS, 3), np.float32)
            inside = (local[row, :, :2] + np.float32(0.5)) * np.float32(SIDE_PX)
            points[:, :2] = inside @ matrix[:, :2].T + matrix[:, 2]
            points[:, 2] = local[row, :, 2] * np.float32(roi.width)
            meshes.append(Mesh(points, float(presence[row])))
        return meshes, shapes

    def read(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Read standardised crops of shape ``(n, 64, 64)``.

        Returns:
            Landmarks ``(n, 478, 3)`` in sides of the crop from its middle, blendshapes ``(n, 52)``
            from 0 to 1, and the probability of a face ``(n,)``.
        """
        if len(crops) != self._rows:
            self._model.resize({self._input.name: (len(crops), SIDE_PX, SIDE_PX, 1)})
            self._rows = len(crops)
        out = self._model.run({0: np.take(self._table, crops)[..., None]})
        mean, std = self._points
        points: NDArray[np.float32] = self._real(out, POINTS * 3).reshape(-1, POINTS, 3) * std
        points += mean
        mean, std = self._shapes
        shapes = np.exp(self._real(out, BLENDSHAPES) * std + mean) - np.float32(LOG_FLOOR)
        shapes = np.minimum(np.maximum(shapes, 0.0), 1.0)
        presence = 1.0 / (1.0 + np.exp(-self._real(out, 1)[:, 0]))
        return points, shapes.astype(np.float32, copy=False), presence.astype(np.float32)

    def _real(self, out: tuple[NDArray[np.int8], ...], width: int) -> NDArray[np.float32]:
        place, scale, zero = self._outputs[width]
        return (out[place].astype(np.float32) - zero) * scale


def _quantisation(info: TensorInfo) -> tuple[np.float32, np.float32]:
    if info.scale is None or info.zero_point is None:
        raise InputError(f"{MODEL_NAME}: {info.name} is no int8 tensor; install emoshift again")
    return np.float32(info.scale), np.float32(info.zero_point)


def _scale(
    scales: dict[str, list[float]], name: str, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean, std = (np.array(scales[f"{name}_{what}"], np.float32) for what in ("mean", "std"))
    return mean.reshape(shape), std.reshape(shape)


def _read(folder: Path) -> tuple[bytes, dict[str, list[float]]]:
    """Read both files and see that they belong together."""
    try:
        content = (folder / MODEL_NAME).read_bytes()
        scales = json.loads((folder / SCALES_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise InputError(f"{folder}: {why}; install emoshift again") from why
    if scales.get("schema") != SCHEMA or scales["sha256"] != hashlib.sha256(content).hexdigest():
        raise InputError(
            f"{folder}: {SCALES_NAME} does not belong to {MODEL_NAME}; install emoshift again"
        )
    return content, scales
