"""The random changes of `train.augment` as JAX operations, for batches made where they are used.

Limits and distributions are the same; the chance is JAX', so single images differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from edge.standardise import GAIN, INPUT_SCALE, MIDDLE, STD_FLOOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from train.augment import Augmentation

LEAST_SIDE_PX = 4
"""Of an image that is shrunk and enlarged."""


class DeviceAugmentation:
    """Changes square crops at random and brings them to a size."""

    def __init__(self, how: Augmentation, crop_side_px: int) -> None:
        """Prepare.

        Args:
            how: The limits.
            crop_side_px: Side of the crops.
        """
        self._how = how
        self._coarse = jnp.asarray(coarse_maps(crop_side_px))

    def augment(
        self, key: jax.Array, crops: jax.Array, *, side_px: int, strength: float | jax.Array = 1.0
    ) -> jax.Array:
        """Change every crop; `train.augment.augment` says how.

        Args:
            key: The only source of chance.
            crops: ``(n, side, side)``, uint8 grey.
            side_px: Side of the result.
            strength: Multiplies every geometric limit and every chance but that of the flip.

        Returns:
            ``(n, side_px, side_px)``, float32, whole grey values.
        """
        how, n = self._how, len(crops)
        coarse_key, tone_key, map_key, noise_key, erase_key = jax.random.split(key, 5)
        images = self._coarsened(coarse_key, crops.astype(jnp.float32), strength)
        images = _toned(tone_key, images, how)
        inverse, offset = _inverse_maps(
            map_key, n, how, strength, source=crops.shape[1], side_px=side_px
        )
        images = _warped(images, inverse, offset, side_px)
        images = _noisy(noise_key, images, how)
        return _erased(erase_key, images, how, strength)

    def _coarsened(
        self, key: jax.Array, images: jax.Array, strength: float | jax.Array
    ) -> jax.Array:
        """Shrink and enlarge some of the images, as far faces are."""
        how, (n, side, _) = self._how, images.shape
        chosen, share = jax.random.split(key)
        shares = jax.random.uniform(share, (n,), minval=how.coarse_least, maxval=1.0)
        small = jnp.maximum(LEAST_SIDE_PX, jnp.rint(side * shares)).astype(jnp.int32)
        small = jnp.where(_chance(chosen, n, how.coarse * strength), small, side)
        maps = self._coarse[small - LEAST_SIDE_PX]
        coarse = jnp.einsum("nij,njk,nlk->nil", maps, images, maps, precision="highest")
        return _whole(coarse)


def coarse_maps(side_px: int) -> NDArray[np.float32]:
    """Return what shrinking to each size from `LEAST_SIDE_PX` on, and enlarging, does to an axis.

    Returns:
        ``(side_px - LEAST_SIDE_PX + 1, side_px, side_px)``: a row of each for every result pixel.
        The last, of an image that is not shrunk, changes nothing.
    """
    identity = np.eye(side_px, dtype=np.float32)
    maps = []
    for small_px in range(LEAST_SIDE_PX, side_px + 1):
        small = cv2.resize(identity, (side_px, small_px), interpolation=cv2.INTER_AREA)
        maps.append(cv2.resize(small, (side_px, side_px), interpolation=cv2.INTER_LINEAR))
    return np.stack(maps)


def as_input_on_device(crops: jax.Array) -> jax.Array:
    """Standardise crops ``(n, h, w)`` and return a network's input ``(n, h, w, 1)``.

    The same as `edge.standardise.standardise_crop` and `train.data.images.as_input`.
    """
    values = crops - crops.mean(axis=(-2, -1), keepdims=True)
    std = jnp.sqrt((values * values).mean(axis=(-2, -1), keepdims=True))
    values = _whole(values * (GAIN / jnp.maximum(std, STD_FLOOR)) + MIDDLE)
    return ((values - MIDDLE) * INPUT_SCALE)[..., None]


def _whole(values: jax.Array) -> jax.Array:
    return jnp.clip(jnp.rint(values), 0.0, 255.0)


def _chance(key: jax.Array, n: int, share: float | jax.Array) -> jax.Array:
    return jax.random.uniform(key, (n,)) < share


def _draws(key: jax.Array, n: int) -> Callable[[float | jax.Array], jax.Array]:
    """Return a function that draws ``n`` values within a limit either way, others each time."""
    keys = iter(jax.random.split(key, 8))

    def draw(limit: float | jax.Array) -> jax.Array:
        return limit * jax.random.uniform(next(keys), (n,), minval=-1.0, maxval=1.0)

    return draw


def _toned(key: jax.Array, images: jax.Array, how: Augmentation) -> jax.Array:
    draw = _draws(key, len(images))
    gamma, contrast, level = (
        draw(limit)[:, None, None] for limit in (how.gamma, how.contrast, how.brightness)
    )
    toned = (255.0 * (images / 255.0) ** jnp.exp(gamma) - 128.0) * (1.0 + contrast)
    return _whole(toned + 128.0 + level)


def _inverse_maps(
    key: jax.Array,
    n: int,
    how: Augmentation,
    strength: float | jax.Array,
    *,
    source: int,
    side_px: int,
) -> tuple[jax.Array, jax.Array]:
    """Return ``(n, 2, 2)`` and ``(n, 2)``: which source pixel each result pixel shows."""
    flip_key, share_key, corner_key, draw_key = jax.random.split(key, 4)
    draw = _draws(draw_key, n)
    angle, shear = jnp.deg2rad(draw(how.rotation_deg * strength)), draw(how.shear * strength)
    zoom_x, zoom_y = 1.0 + draw(how.zoom * strength), 1.0 + draw(how.zoom * strength)
    mirror = jnp.where(_chance(flip_key, n, how.flip), -1.0, 1.0)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    across, down = zoom_x * mirror, zoom_y
    scale = side_px / source
    # Turn times lean, [[across, shear], [0, down]], and its inverse.
    determinant = across * down * scale
    first = jnp.stack([shear * sin + down * cos, down * sin - shear * cos], -1)
    second = jnp.stack([-across * sin, across * cos], -1)
    inverse = jnp.stack([first, second], 1) / determinant[:, None, None]
    shift = jnp.stack([draw(how.shift * strength), draw(how.shift * strength)], -1) * side_px
    middle = (side_px - 1) / 2 + shift
    shares = jax.random.uniform(share_key, (n, 1), minval=how.crop_least, maxval=1.0)
    corner = jax.random.uniform(corner_key, (n, 2)) * (1.0 - shares) * (side_px - 1)
    offset = (source - 1) / 2 + jnp.einsum(
        "nij,nj->ni", inverse, corner - middle, precision="highest"
    )
    return inverse * shares[..., None], offset


def _warped(images: jax.Array, inverse: jax.Array, offset: jax.Array, side_px: int) -> jax.Array:
    """Look each result pixel up, bilinearly; past the edge is what lies at the edge."""
    n, side, _ = images.shape
    y, x = jnp.meshgrid(jnp.arange(side_px), jnp.arange(side_px), indexing="ij")
    grid = jnp.stack([x, y], -1).reshape(-1, 2).astype(jnp.float32)
    at = jnp.einsum("nij,pj->npi", inverse, grid, precision="highest") + offset[:, None]
    at = jnp.clip(at, 0.0, side - 1.0)
    low = jnp.floor(at)
    share_x, share_y = (at - low)[..., 0], (at - low)[..., 1]
    x0, y0 = low[..., 0].astype(jnp.int32), low[..., 1].astype(jnp.int32)
    x1, y1 = jnp.minimum(x0 + 1, side - 1), jnp.minimum(y0 + 1, side - 1)
    flat = images.reshape(n, -1)

    def row(y: jax.Array) -> jax.Array:
        left, right = (jnp.take_along_axis(flat, y * side + x, axis=1) for x in (x0, x1))
        return left * (1.0 - share_x) + right * share_x

    warped = row(y0) * (1.0 - share_y) + row(y1) * share_y
    return _whole(warped.reshape(n, side_px, side_px))


def _noisy(key: jax.Array, images: jax.Array, how: Augmentation) -> jax.Array:
    amount, noise = jax.random.split(key)
    amounts = jax.random.uniform(amount, (len(images), 1, 1), maxval=how.noise)
    noisy = images + jax.random.normal(noise, images.shape) * amounts
    return jnp.floor(jnp.clip(noisy, 0.0, 255.0))  # as the sensor of the other form cuts off


def _erased(
    key: jax.Array, images: jax.Array, how: Augmentation, strength: float | jax.Array
) -> jax.Array:
    """Fill a rectangle in some of the images."""
    n, side, _ = images.shape
    chosen_key, span_key, start_key, grey_key = jax.random.split(key, 4)
    chosen = _chance(chosen_key, n, how.erase * strength)
    most = max(how.erase_most, 0.1)
    spans = jnp.floor(jax.random.uniform(span_key, (n, 2), minval=0.1, maxval=most) * side)
    starts = jnp.floor(jax.random.uniform(start_key, (n, 2)) * (side - spans))
    greys = jax.random.randint(grey_key, (n, 1, 1), 0, 256).astype(jnp.float32)
    pixel = jnp.arange(side)
    inside = (pixel >= starts[..., None]) & (pixel < (starts + spans)[..., None])
    erased = inside[:, 0, :, None] & inside[:, 1, None, :] & chosen[:, None, None]
    return jnp.where(erased, greys, images)
