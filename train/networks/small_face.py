"""The network that reads landmarks and blendshapes of a small face from a grey crop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from edge.faces.mesh import BLENDSHAPES, POINTS
from edge.faces.small_face import SIDE_PX
from train.networks.residual import convolution, residual_block

if TYPE_CHECKING:
    from train.networks.config import SmallFaceNet


def build_small_face(shape: SmallFaceNet) -> keras.Model:
    """Build the network.

    Input ``(batch, 64, 64, 1)``, float32, ``(crop - 128) / 64``. Outputs ``points``
    ``(batch, 478 * 3)`` and ``shapes`` ``(batch, 52)``, both standardised, and ``presence``
    ``(batch, 1)``, a logit. The last feature map is not pooled: where things are is what is asked.
    """
    inputs = keras.Input((SIDE_PX, SIDE_PX, 1), name="crop")
    x = convolution(inputs, shape.stem, kernel=5, stride=2)
    for width, blocks in zip(shape.widths, shape.blocks, strict=True):
        for block in range(blocks):
            x = residual_block(x, width, stride=2 if block == 0 else 1, squeeze=0)
    x = layers.Flatten()(x)
    x = layers.Dense(shape.units, use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))
    x = layers.Dropout(shape.dropout)(x)
    outputs = {
        "points": layers.Dense(POINTS * 3, name="points")(
            layers.Dense(shape.components, name="components")(x)
        ),
        "shapes": layers.Dense(BLENDSHAPES, name="shapes")(x),
        "presence": layers.Dense(1, name="presence")(x),
    }
    return keras.Model(inputs, outputs, name="small_face")
