"""Networks that classify the expression of a short sequence of images.

All take ``(batch, frames, side, side, 1)``, float32, ``(crop - 128) / 64``, and give one row of
logits ``(batch, classes)`` for the whole sequence. Recurrent layers are unrolled: three frames are
too few to pay for a loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import keras
from keras import layers

if TYPE_CHECKING:
    from collections.abc import Callable


def build_convlstm(
    shape: tuple[int, int], *, classes: int, filters: tuple[int, ...], units: int, dropout: float
) -> keras.Model:
    """Build convolutional LSTMs that keep the image's plane, and an LSTM that reads them out.

    Args:
        shape: Frames and side of the images in pixels.
        classes: Of the output.
        filters: Of each ConvLSTM2D; after each, batch normalisation, 3-D pooling and dropout.
        units: Of the LSTM.
        dropout: Share dropped after each stage and before the output.
    """
    inputs = _input(shape)
    x = inputs
    for width in filters:
        x = layers.ConvLSTM2D(width, 3, padding="same", return_sequences=True, unroll=True)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling3D((1, 2, 2))(x)
        x = layers.Dropout(dropout)(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.LSTM(units, unroll=True)(x)
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name="convlstm")


def build_cnn(
    shape: tuple[int, int], *, classes: int, filters: tuple[int, ...], units: int, dropout: float
) -> keras.Model:
    """Build a network that sees each frame alone and takes the mean of its answers."""
    side = shape[1]
    frame = keras.Input((side, side, 1))
    x = frame
    for width in filters:
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(units, activation="relu")(layers.Flatten()(x))
    x = layers.Dropout(dropout)(x)
    one = keras.Model(frame, layers.Dense(classes)(x))
    inputs = _input(shape)
    logits = layers.TimeDistributed(one)(inputs)
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(logits), name="cnn")


def build_rnn(
    shape: tuple[int, int], *, classes: int, filters: tuple[int, ...], units: int, dropout: float
) -> keras.Model:
    """Build an LSTM over the frames' pixels, without any convolution.

    ``filters`` is not used: the pixels are halved once for each of its stages but the first, so
    that all networks read the same plane.
    """
    inputs = _input(shape)
    x = inputs
    for _ in filters[1:]:
        x = layers.AveragePooling3D((1, 2, 2))(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.Dropout(dropout)(x)
    x = layers.LSTM(units, unroll=True)(x)
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name="rnn")


def _input(shape: tuple[int, int]) -> keras.KerasTensor:
    frames, side = shape
    return keras.Input((frames, side, side, 1), name="frames")


BUILDERS: Final[dict[str, Callable[..., keras.Model]]] = {
    "convlstm": build_convlstm,
    "cnn": build_cnn,
    "rnn": build_rnn,
}
