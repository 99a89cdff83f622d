"""Random changes to grey crops, seeded, in numpy and OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from train.recipe_table import NonNegative, RecipeTable, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Augmentation(RecipeTable):
    """How far crops may be changed.

    Attributes:
        rotation_deg: Largest turn either way.
        shift: Largest shift either way, as a share of the side.
        shear: Largest shear either way.
        zoom: Largest change of each axis' scale either way.
        flip: Chance of a mirrored image.
        crop_least: Smallest share of the side that a resized crop keeps; 1 for no crop.
        gamma: Largest change of the logarithm of gamma either way.
        contrast: Largest change of gain either way, before clipping.
        brightness: Largest change of level either way, in grey values, before clipping.
        coarse: Chance that the image is shrunk and enlarged, as a far face is.
        coarse_least: Smallest share of the side in that case.
        noise: Largest standard deviation of sensor noise, in grey values.
        erase: Chance of one filled rectangle.
        erase_most: Largest side of it, as a share of the image's.
    """

    rotation_deg: NonNegative = 30.0
    shift: NonNegative = 0.2
    shear: NonNegative = 0.2
    zoom: NonNegative = 0.2
    flip: Share = 0.5
    crop_least: Share = 1.0
    gamma: NonNegative = 0.3
    contrast: NonNegative = 0.3
    brightness: NonNegative = 30.0
    coarse: Share = 0.2
    coarse_least: Share = 0.4
    noise: NonNegative = 4.0
    erase: Share = 0.2
    erase_most: Share = 0.3


def augment(
    crops: NDArray[np.uint8],
    how: Augmentation,
    rng: np.random.Generator,
    *,
    side_px: int,
    strength: float = 1.0,
) -> NDArray[np.uint8]:
    """Change every crop at random and bring it to ``side_px``.

    Args:
        crops: Shape ``(n, height, width)``, uint8 grey.
        how: The limits.
        rng: The only source of chance, drawn from in a fixed order.
        side_px: Side of the result.
        strength: Multiplies every geometric limit and every chance but that of the flip.

    Returns:
        Shape ``(n, side_px, side_px)``, uint8.
    """
    n, height, width = crops.shape
    out = np.empty((n, side_px, side_px), np.uint8)
    matrices = _matrices(n, how, rng, strength, source=(height, width), side_px=side_px)
    tables = _tone_tables(n, how, rng)
    coarse = _chance(n, how.coarse * strength, rng)
    share: NDArray[np.float64] = rng.uniform(how.coarse_least, 1.0, size=(n,))
    for i in range(n):
        picture = crops[i]
        if coarse[i]:
            small = max(4, round(width * share[i])), max(4, round(height * share[i]))
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        picture = cv2.LUT(picture, tables[i])
        cv2.warpAffine(
            picture,
            matrices[i],
            (side_px, side_px),
            dst=out[i],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    _add_noise(out, how, rng)
    _erase(out, how, rng, strength)
    return out


def _chance(n: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    return np.asarray(rng.random(size=(n,)) < share, np.bool_)


def _matrices(
    n: int,
    how: Augmentation,
    rng: np.random.Generator,
    strength: float,
    *,
    source: tuple[int, int],
    side_px: int,
) -> NDArray[np.float64]:
    """Return ``(n, 2, 3)`` forward maps from source to result pixels."""

    def draw(limit: float) -> NDArray[np.float64]:
        return rng.uniform(-limit * strength, limit * strength, n)

    angle = np.deg2rad(draw(how.rotation_deg))
    shear = draw(how.shear)
    zoom_x, zoom_y = 1.0 + draw(how.zoom), 1.0 + draw(how.zoom)
    mirror = np.where(rng.random(n) < how.flip, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)
    lean = np.zeros((n, 2, 2))
    lean[:, 0, 0], lean[:, 0, 1], lean[:, 1, 1] = zoom_x * mirror, shear, zoom_y
    height, width = source
    linear = (turn @ lean) * np.array([[side_px / width], [side_px / height]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = np.stack([draw(how.shift), draw(how.shift)], -1) * side_px
    offset = (side_px - 1) / 2 + shift - linear @ centre
    whole = np.concatenate([linear, offset[..., None]], axis=2)
    return _cropped(whole, how.crop_least, rng, side_px) if how.crop_least < 1.0 else whole


def _cropped(
    matrices: NDArray[np.float64], least: float, rng: np.random.Generator, side_px: int
) -> NDArray[np.float64]:
    """Let each map enlarge a square part of its result, which lies inside, to the whole."""
    share = rng.uniform(least, 1.0, (len(matrices), 1))
    corner = rng.random((len(matrices), 2)) * (1.0 - share) * (side_px - 1)
    matrices = matrices / share[..., None]
    matrices[..., 2] -= corner / share
    return np.asarray(matrices, np.float64)


def _tone_tables(n: int, how: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return ``(n, 256)`` tables of gamma, gain and level, clipped as a sensor does."""
    gamma = np.exp(rng.uniform(-how.gamma, how.gamma, (n, 1)))
    gain = 1.0 + rng.uniform(-how.contrast, how.contrast, (n, 1))
    level = rng.uniform(-how.brightness, how.brightness, (n, 1))
    ramp = np.linspace(0.0, 1.0, 256)[None]
    toned = (255.0 * ramp**gamma - 128.0) * gain + 128.0 + level
    return np.clip(np.rint(toned), 0, 255).astype(np.uint8)


def _add_noise(out: NDArray[np.uint8], how: Augmentation, rng: np.random.Generator) -> None:
    if how.noise <= 0:
        return
    amount = rng.uniform(0.0, how.noise, (len(out), 1, 1)).astype(np.float32)
    noise = rng.standard_normal(out.shape, dtype=np.float32) * amount
    np.clip(out + noise, 0, 255, out=noise)
    out[...] = noise.astype(np.uint8)


def _erase(
    out: NDArray[np.uint8], how: Augmentation, rng: np.random.Generator, strength: float
) -> None:
    n, side, _ = out.shape
    chosen = _chance(n, how.erase * strength, rng)
    spans = rng.uniform(0.1, max(how.erase_most, 0.1), (n, 2)) * side
    starts = rng.random((n, 2))
    greys: NDArray[np.int64] = rng.integers(0, 256, size=(n,))
    for i in np.flatnonzero(chosen):
        high, wide = int(spans[i, 0]), int(spans[i, 1])
        top, left = int(starts[i, 0] * (side - high)), int(starts[i, 1] * (side - wide))
        out[i, top : top + high, left : left + wide] = greys[i]
