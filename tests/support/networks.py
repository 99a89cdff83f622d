"""Writes small Keras networks, good and bad ones: ``python networks.py FOLDER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

CHANNELS = 5


@keras.saving.register_keras_serializable("tests")
class Sorted(layers.Layer):
    """Sorts, which no int8 operator does."""

    def call(self, x):
        """Return the pixels of each picture in order."""
        flat = keras.ops.reshape(x, (-1, 48 * 48))
        return keras.ops.sort(keras.ops.erf(flat), axis=1)[:, :64]


def picture(*, side: int | None = 48, classes: int = 8) -> keras.Model:
    """Return a network that reads a bright band's height."""
    inputs = keras.Input((side, side, 1), name="crop")
    x = layers.AveragePooling2D((2, 4), padding="same")(inputs) if side else inputs
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(16, (24, 12), activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = {
        "ferplus": layers.Dense(classes, name="ferplus")(x),
        "fer2013": layers.Dense(
            7, name="fer2013", kernel_initializer=keras.initializers.GlorotUniform(seed=3)
        )(x),
        "other": layers.Dense(3, name="other")(x),
    }
    return keras.Model(inputs, outputs)


def odd_sides() -> keras.Model:
    """Return a network that pools 25 pixels to 13, so that the last windows reach over the edge."""
    inputs = keras.Input((48, 48, 1), name="crop")
    x = layers.Resizing(50, 50)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D(2, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, {"ferplus": layers.Dense(8, name="ferplus")(x)})


def fitted(model: keras.Model, folder: Path) -> keras.Model:
    """Train on the small data set beside the networks."""
    from convert.datasets import read_images

    some = read_images(folder / "fer2013", "Training")
    x = ((some.crops.astype(np.float32) - 128) / 64)[..., None]
    both = {"ferplus": some.labels, "fer2013": some.fer2013}
    loss = dict.fromkeys(both, keras.losses.SparseCategoricalCrossentropy(True))
    model.compile("adam", loss)
    model.fit(x, both, epochs=12, batch_size=16, verbose=0)
    return model


def recurrent() -> keras.Model:
    """Return an LSTM with a dense layer."""
    inputs = keras.Input((None, CHANNELS), name="channels")
    x = layers.LSTM(12, return_sequences=True, name="lstm")(inputs)
    return keras.Model(inputs, layers.Dense(8, name="dense", kernel_initializer="normal")(x))


def two_layers() -> keras.Model:
    """Return a recurrent network that cannot be exported as one step."""
    inputs = keras.Input((None, CHANNELS))
    x = layers.LSTM(4, return_sequences=True)(layers.LSTM(4, return_sequences=True)(inputs))
    return keras.Model(inputs, layers.Dense(8)(x))


def with_nan() -> keras.Model:
    """Return a network with a weight that is no number."""
    model = picture()
    layer = model.get_layer("ferplus")
    kernel, bias = layer.get_weights()
    kernel[0, 0] = np.nan
    layer.set_weights([kernel, bias])
    return model


def unsupported() -> keras.Model:
    """Return a network with an operator that has no int8 form."""
    inputs = keras.Input((48, 48, 1))
    return keras.Model(inputs, layers.Dense(8)(Sorted()(inputs)))


def crashing() -> keras.Model:
    """Return a network whose conversion to int8 ends the converter: a whole LSTM."""
    inputs = keras.Input((48, 48, 1))
    x = layers.LSTM(8)(layers.Reshape((48, 48))(inputs))
    return keras.Model(inputs, layers.Dense(8)(x))


def main(folder: Path) -> None:
    """Write them all."""
    keras.utils.set_random_seed(3)
    fitted(picture(), folder).save(folder / "cnn_a.keras")
    picture(side=None).save(folder / "dynamic.keras")
    picture(classes=7).save(folder / "seven.keras")
    odd_sides().save(folder / "odd_sides.keras")
    recurrent().save(folder / "lstm_a.keras")
    two_layers().save(folder / "two_layers.keras")
    with_nan().save(folder / "nan.keras")
    unsupported().save(folder / "unsupported.keras")
    crashing().save(folder / "crashing.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
