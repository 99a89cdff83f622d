"""Take lighting out of a grey face crop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROP_SIDE_PX: Final = 48
MIDDLE: Final = 128
"""The grey value that stands for the crop's own mean."""
GAIN: Final = 48.0
"""Grey values for one standard deviation, so that clipping starts beyond 2.6 of them."""
STD_FLOOR: Final = 8.0
"""Grey values; a flatter crop is not stretched further, so that noise stays noise."""
INPUT_SCALE: Final = 1.0 / 64.0
"""The networks read ``(crop - MIDDLE) * INPUT_SCALE``: as int8, simply ``crop - 128``."""


def standardise_crop(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring each crop to mean 128 and a standard deviation of 48 grey values.

    Args:
        crop: Shape ``(..., height, width)``, uint8 grey.

    Returns:
        Same shape, uint8, clipped at 0 and 255.
    """
    values = crop.astype(np.float32)
    values -= values.mean(axis=(-2, -1), keepdims=True)
    std = np.sqrt(np.mean(values * values, axis=(-2, -1), keepdims=True))
    values *= np.float32(GAIN) / np.maximum(std, np.float32(STD_FLOOR))
    values += np.float32(MIDDLE)
    np.rint(values, out=values)
    np.maximum(values, 0, out=values)
    np.minimum(values, 255, out=values)
    return values.astype(np.uint8)
