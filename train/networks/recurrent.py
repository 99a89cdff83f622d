"""The network over blendshape channels: one LSTM layer, one dense layer."""

from __future__ import annotations

import keras
from keras import layers


def build_recurrent(
    channels: int, *, units: int = 40, classes: int = 8, noise: float = 0.0, dropout: float = 0.0
) -> keras.Model:
    """Build the network for sequences of any length.

    Input ``(batch, steps, channels)``, float32. Output ``(batch, steps, classes)`` logits, one
    answer at every step from what came before. The layers that carry weights are named ``lstm``
    and ``dense``, so that a single step can be rebuilt from them.
    """
    inputs = keras.Input((None, channels), name="channels")
    x = layers.GaussianNoise(noise)(inputs) if noise else inputs
    x = layers.LSTM(units, return_sequences=True, name="lstm")(x)
    x = layers.Dropout(dropout)(x) if dropout else x
    return keras.Model(inputs, layers.Dense(classes, name="dense")(x), name="recurrent")
