"""Logits of a saved net, Keras or TFLite, over grey crops."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edge.litert import TensorInfo, TFLiteModel
from emoshift.errors import InputError
from train.data.images import view
from train.huggingface.names import is_classifier, require_torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

HEADS = {8: "ferplus", 7: "fer2013"}


Scorer: TypeAlias = "Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]"
"""Turns net inputs ``(n, 48, 48, 1)`` into logits by head name."""


def open_scorer(path: Path) -> Scorer:
    """Open a ``.keras`` or ``.tflite`` file, or a Hugging Face classifier's folder or hub name.

    Raises:
        InputError: It is none of these.
        UnavailableError: A classifier, without torch and transformers.
    """
    if is_classifier(path):
        require_torch()
        from train.huggingface.scorer import open_classifier_scorer

        return open_classifier_scorer(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; expected a .keras or .tflite net")
    if path.suffix == ".keras":
        model = _load(path)
        return lambda inputs: _keras_logits(model, inputs)
    if path.suffix == ".tflite":
        lite = TFLiteModel(path, threads=2)
        return lambda inputs: _lite_logits(lite, inputs)
    raise InputError(f"{path}: found {path.suffix or 'no suffix'}, expected .keras or .tflite")


def read_weights(path: Path) -> list[NDArray[np.float32]]:
    """Return a ``.keras`` net's weights; raises `InputError` for anything else."""
    if path.suffix != ".keras" or not path.exists():
        raise InputError(f"{path}: not there; expected a .keras net to take the weights of")
    found: list[NDArray[np.float32]] = _load(path).get_weights()
    return found


def _load(path: Path) -> keras.Model:
    import keras

    return keras.saving.load_model(path, compile=False)


def logits(
    scorer: Scorer, crops: NDArray[np.uint8], *, mirrored: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Return the logits of grey crops ``(n, 48, 48)``; the mean over both views if ``mirrored``."""
    one = scorer(view(crops, crops.shape[1]))
    if not mirrored:
        return one
    other = scorer(view(crops, crops.shape[1], mirrored=True))
    return {head: np.mean([one[head], other[head]], axis=0) for head in one}


def _keras_logits(
    model: keras.Model, inputs: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    found = model.predict(inputs, batch_size=256, verbose=0)
    if isinstance(found, dict):
        return {head: np.asarray(value, np.float32) for head, value in found.items()}
    return {HEADS[found.shape[-1]]: np.asarray(found, np.float32)}


def _lite_logits(lite: TFLiteModel, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    if len(lite.inputs) != 1:
        raise InputError(f"found {len(lite.inputs)} inputs, expected the one of a picture net")
    rows: dict[str, list[NDArray[np.float32]]] = {}
    for one in inputs:
        fed = _quantised(one[None], lite.inputs[0])
        for info, value in zip(lite.outputs, lite.run({0: fed}), strict=True):
            rows.setdefault(HEADS[info.shape[-1]], []).append(_real(value, info)[0])
    return {head: np.stack(found) for head, found in rows.items()}


def _quantised(values: NDArray[np.float32], info: TensorInfo) -> NDArray[np.generic]:
    if info.scale is None or info.zero_point is None:
        return values
    limits = np.iinfo(info.dtype)
    levels = np.rint(values / np.float32(info.scale)) + info.zero_point
    return np.asarray(np.clip(levels, limits.min, limits.max), info.dtype)


def _real(values: NDArray[np.generic], info: TensorInfo) -> NDArray[np.float32]:
    found = np.asarray(values, np.float32)
    if info.scale is None or info.zero_point is None:
        return found
    return (found - np.float32(info.zero_point)) * np.float32(info.scale)
