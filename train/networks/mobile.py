"""MobileNet V1 (Howard et al., 2017) with the picture nets' two heads, to begin from other weights.

Batch normalisation is folded into the convolutions, as it is in weights published for inference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import keras
from keras import layers

from train.networks.residual import two_heads

if TYPE_CHECKING:
    from train.networks.shapes import MobileNet

STEM: Final = 32
BLOCKS: Final = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""Channels and stride of each block: a depthwise convolution of 3x3 and a pointwise one."""


def build_mobile(shape: MobileNet, side_px: int | None = 48) -> keras.Model:
    """Build the net; input and outputs are those of `train.networks.residual.build_residual`."""
    inputs = keras.Input((side_px, side_px, 1), name="crop")
    x = inputs
    if shape.side_px:
        x = layers.Resizing(shape.side_px, shape.side_px)(x)
    x = layers.Conv2D(STEM, 3, strides=2, padding="same", name="conv")(x)
    x = layers.ReLU(6.0)(x)
    for number, (channels, stride) in enumerate(BLOCKS[: shape.blocks], start=1):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", name=f"depthwise_{number}")(x)
        x = layers.ReLU(6.0)(x)
        x = layers.Conv2D(channels, 1, padding="same", name=f"pointwise_{number}")(x)
        x = layers.ReLU(6.0)(x)
    return keras.Model(inputs, two_heads(x, shape.dropout), name="mobile")
