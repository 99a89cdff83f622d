"""The transform of the channels of this project's recurrent network, and its statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.bundle.manifest import ChannelTransform
from edge.features.blendshapes import INFORMATIVE, NAMES, POSE, channel_names, levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST: Final = 0.02
"""Added before the logarithm: below it blendshapes are noise."""


def unfitted_transform(names: tuple[str, ...] = INFORMATIVE) -> ChannelTransform:
    """Return a transform without statistics: mean 0 and deviation 1."""
    bare = ChannelTransform(
        blendshapes=names, pose=True, log_floor=SMALLEST, mean=(), std=(), pair=True
    )
    width = len(channel_names(bare))
    return bare.model_copy(update={"mean": (0.0,) * width, "std": (1.0,) * width})


def fitted(
    transform: ChannelTransform, seen: NDArray[np.float32], resting: NDArray[np.bool_]
) -> ChannelTransform:
    """Return the transform with the mean of resting faces and the spread of all.

    Pose is centred on nought, so that turning left and right are read alike.

    Args:
        transform: Names and transform.
        seen: Levels, ``(n, channels)``.
        resting: ``(n,)``: which faces are neutral.
    """
    mean = seen[resting].mean(axis=0)
    mean[-len(POSE) :] = 0.0
    std = np.maximum(seen.std(axis=0), 1e-3)
    return transform.model_copy(
        update={
            "mean": tuple(round(float(value), 5) for value in mean),
            "std": tuple(round(float(value), 5) for value in std),
        }
    )


def blink(transform: ChannelTransform, height: float = 0.5) -> NDArray[np.float32]:
    """Return how a blink changes the levels, ``(channels,)``: both lids rise from 0.1."""
    at_rest = np.full((1, len(NAMES)), 0.1, np.float32)
    closed = at_rest.copy()
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        closed[0, NAMES.index(name)] += np.float32(height)
    change = levels(closed, None, transform) - levels(at_rest, None, transform)
    return np.asarray(change[0], np.float32)
