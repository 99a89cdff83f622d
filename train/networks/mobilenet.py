"""A MobileNet with two heads: a teacher for the image networks, far too large for a device.

Howard et al., 2017, with width 1, for grey images; its convolutions can begin with those of a
network for face recognition (`train.networks.face_recognition`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import keras
from keras import layers

from train.networks.residual import two_heads

if TYPE_CHECKING:
    from train.networks.config import MobileNet

FIRST: Final = "conv1"
BLOCKS: Final = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Channels and stride of each block of a depthwise and a pointwise convolution."""
CONVOLUTIONS: Final = (
    FIRST,
    *(f"conv_{kind}_{block}" for block in range(1, len(BLOCKS) + 1) for kind in ("dw", "pw")),
)
"""Names of the convolutions in their order, the same as in the network for face recognition."""
NORMALISATION: Final = "_bn"
"""Ends the name of the batch normalisation that follows a convolution."""
EPSILON: Final = 1e-3


def build_mobilenet(shape: MobileNet, image_size: int | None = 48) -> keras.Model:
    """Build the network; inputs, outputs and ``image_size`` are those of `build_residual`."""
    inputs = keras.Input((image_size, image_size, 1), name="crop")
    x = inputs
    if image_size is not None and image_size < shape.image_size:
        x = layers.Resizing(shape.image_size, shape.image_size)(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name=FIRST)(x)
    x = _normalised(x, FIRST)
    for block, (channels, stride) in enumerate(BLOCKS, start=1):
        name = f"conv_dw_{block}"
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=name)(x)
        x = _normalised(x, name)
        name = f"conv_pw_{block}"
        x = layers.Conv2D(channels, 1, use_bias=False, name=name)(x)
        x = _normalised(x, name)
    return keras.Model(inputs, two_heads(x, shape.dropout), name="mobilenet")


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=0.95, epsilon=EPSILON, name=name + NORMALISATION)(x)
    return layers.ReLU(6.0)(x)
