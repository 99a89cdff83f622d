"""Published networks, for comparison: one head, one label an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from train.networks.config import BlendshapeNet, ConvolutionNet


def build_convolution(
    shape: ConvolutionNet, classes: int, *, side_px: int = 48, name: str = "model_x"
) -> keras.Model:
    """Build stages of convolution, batch normalisation, ReLU, pooling and dropout.

    Input ``(batch, side, side, 1)``, float32, ``(crop - 128) / 64``; output ``(batch, classes)``
    logits.
    """
    inputs = keras.Input((side_px, side_px, 1), name="crop")
    x, kernel = inputs, shape.kernel
    for width in shape.widths:
        for _ in range(shape.convolutions):
            x = layers.Conv2D(width, kernel, padding="same", use_bias=not shape.normalise)(x)
            x = layers.BatchNormalization(momentum=0.95)(x) if shape.normalise else x
            x = layers.ReLU()(x)
            kernel = 3
        x = layers.MaxPooling2D(2)(x)
        x = layers.SpatialDropout2D(shape.dropout)(x) if shape.dropout else x
    x = layers.Dense(shape.dense, activation="relu")(layers.Flatten()(x))
    x = layers.Dropout(shape.dense_dropout)(x) if shape.dense_dropout else x
    return keras.Model(inputs, layers.Dense(classes, name="classes")(x), name=name)


def build_dense(shape: BlendshapeNet, width: int, classes: int) -> keras.Model:
    """Build a dense network: input ``(batch, width)``, output ``(batch, classes)`` logits."""
    inputs = keras.Input((width,), name="channels")
    x = layers.GaussianNoise(shape.noise)(inputs) if shape.noise else inputs
    for units in shape.units:
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(shape.dropout)(x) if shape.dropout else x
    return keras.Model(inputs, layers.Dense(classes, name="classes")(x), name="dense")


def build_reference_lstm(shape: BlendshapeNet, width: int, classes: int) -> keras.Model:
    """Build the reference form: an LSTM with ReLU, dense layers with ReLU, the outputs.

    Input ``(batch, width)``, read as a sequence of one step; output ``(batch, classes)`` logits.
    """
    inputs = keras.Input((width,), name="channels")
    x = layers.Reshape((1, width))(inputs)
    x = layers.GaussianNoise(shape.noise)(x) if shape.noise else x
    x = layers.LSTM(shape.units[0], activation="relu")(x)
    for units in shape.units[1:]:
        x = layers.Dropout(shape.dropout)(x) if shape.dropout else x
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(classes, name="classes")(x), name="lstm_reference")
