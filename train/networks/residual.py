"""The bundle's image members: a residual network that leaves 48x48 early, with two heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from train.networks.config import ResidualNet

FERPLUS_CLASSES = 8
FER2013_CLASSES = 7


def build_residual(shape: ResidualNet, image_size: int | None = 48) -> keras.Model:
    """Build the network.

    Input ``(batch, side, side, 1)``, float32, ``(crop - 128) / 64``. Outputs, as logits:
    ``ferplus`` ``(batch, 8)`` in the order of `train.data.ferplus.LABELS`, and ``fer2013``
    ``(batch, 7)``. An input smaller than the shape's size is enlarged to it, bilinearly; with
    ``image_size=None`` any side fits and is taken as it is.
    """
    inputs = keras.Input((image_size, image_size, 1), name="crop")
    x = inputs
    if image_size is not None and image_size < shape.image_size:
        x = layers.Resizing(shape.image_size, shape.image_size)(x)
    x = convolution(x, shape.stem, kernel=5, stride=2)
    for stage, (width, blocks) in enumerate(zip(shape.widths, shape.blocks, strict=True)):
        for block in range(blocks):
            x = residual_block(
                x, width, stride=2 if stage > 0 and block == 0 else 1, squeeze=shape.squeeze
            )
    if shape.top:
        x = convolution(x, shape.top, kernel=1)
    return keras.Model(inputs, two_heads(x, shape.dropout), name="residual")


def two_heads(x: keras.KerasTensor, dropout: float) -> dict[str, keras.KerasTensor]:
    """Return the logits of both heads over a feature map, float32 whatever the rest is in."""
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return {
        "ferplus": layers.Dense(FERPLUS_CLASSES, name="ferplus", dtype="float32")(x),
        "fer2013": layers.Dense(FER2013_CLASSES, name="fer2013", dtype="float32")(x),
    }


def convolution(
    x: keras.KerasTensor, channels: int, *, kernel: int = 3, stride: int = 1, relu: bool = True
) -> keras.KerasTensor:
    """Return a normalised convolution of ``x``."""
    x = layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = layers.BatchNormalization(momentum=0.95)(x)
    return layers.ReLU()(x) if relu else x


def residual_block(
    x: keras.KerasTensor, channels: int, *, stride: int, squeeze: int
) -> keras.KerasTensor:
    """Return a residual block of two convolutions over ``x``; the skip is pooled if it strides."""
    kept = x
    if stride != 1 or x.shape[-1] != channels:
        if stride != 1:
            kept = layers.AveragePooling2D(stride, padding="same")(kept)
        kept = convolution(kept, channels, kernel=1, relu=False)
    y = convolution(x, channels, stride=stride)
    y = convolution(y, channels, relu=False)
    if squeeze:
        y = _excite(y, channels, squeeze)
    return layers.ReLU()(layers.Add()([y, kept]))


def _excite(x: keras.KerasTensor, channels: int, ratio: int) -> keras.KerasTensor:
    """Weigh channels by what the whole image holds (Hu et al., 2018)."""
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(max(8, channels // ratio), 1, activation="relu")(gate)
    gate = layers.Conv2D(channels, 1, activation="sigmoid")(gate)
    return layers.Multiply()([x, gate])


def multiply_adds(model: keras.Model, side_px: int = 48) -> int:
    """Count the multiply-adds of convolutions and dense layers for one image."""
    probe = keras.Model(model.inputs, [layer.output for layer in model.layers])
    shapes = probe.compute_output_shape((1, side_px, side_px, 1))
    total = 0
    for layer, shape in zip(model.layers, shapes, strict=True):
        if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D):
            weights = int(layer.kernel.shape[0] * layer.kernel.shape[1] * layer.kernel.shape[2])
            total += int(shape[1] * shape[2]) * weights * int(layer.kernel.shape[3])
        elif isinstance(layer, layers.Dense):
            total += int(layer.kernel.shape[0] * layer.kernel.shape[1])
    return total
