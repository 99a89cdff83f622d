"""Batches for the small-face network: known faces, shrunk and blurred as far ones are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.faces.small_face import LOG_FLOOR, SIDE_PX
from edge.features.blendshapes import mirrored
from edge.standardise import standardise_crop
from train.chance import step_chance
from train.data.images import as_input
from train.recipe_table import NonNegative, RecipeTable, Share
from train.small_face.measure import PATCH_PX, PATCH_SIDE
from train.small_face.mirror import mirrored_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.small_face.measure import FaceSamples

FACE_PX: Final = PATCH_PX / PATCH_SIDE / 1.5
"""Longer side of a face in its patch, pixels."""


class FarFaces(RecipeTable):
    """How samples are changed.

    Attributes:
        narrowest_px: Least width of a face before it is enlarged for the network.
        widest_px: Largest; drawn evenly on a logarithmic scale, and wider than a patch shows it
            leaves the patch as it is.
        rotation_deg: Standard deviation of the turn of the region against the face.
        shift: Standard deviation of its shift, sides of the region.
        zoom: Standard deviation of the logarithm of its size.
        gamma: Largest change of the logarithm of gamma either way.
        contrast: Largest change of gain either way.
        brightness: Largest change of level either way, grey values.
        blur: Chance of motion blur, before a face is shrunk.
        noise: Largest standard deviation of sensor noise, grey values.
        surroundings: Chance that what lies outside the picture is filled with other pictures.
        elsewhere: Chance that the region shows no face as it should be shown.
        plain: Chance that it shows a plain surface, such as a wall.
    """

    narrowest_px: NonNegative = 14.0
    widest_px: NonNegative = 110.0
    rotation_deg: NonNegative = 7.0
    shift: NonNegative = 0.035
    zoom: NonNegative = 0.08
    gamma: NonNegative = 0.35
    contrast: NonNegative = 0.35
    brightness: NonNegative = 35.0
    blur: Share = 0.15
    noise: NonNegative = 5.0
    surroundings: Share = 0.5
    elsewhere: Share = 0.1
    plain: Share = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceBatches:
    """Batches that follow from the seed, the epoch and the step alone.

    Attributes:
        samples: Faces and what was measured on them.
        how: How they are changed.
        batch_size: Faces a step.
        seed: Of all chance.
    """

    samples: FaceSamples
    how: FarFaces
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Return the steps of an epoch."""
        return len(self.samples.patches) // self.batch_size

    def draw(
        self, epoch: int, step: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return inputs, landmarks, blendshapes and whether there is a face.

        Returns:
            ``(n, 64, 64, 1)`` as the network takes them; ``(n, 478, 3)`` in sides of the region,
            its middle at 0; ``(n, 52)`` as `shape_levels` gives them; ``(n,)``, 0 or 1.
        """
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.samples.patches))
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        return make_batch(self.samples, chosen, self.how, step_chance(self.seed, epoch, step))


def shape_levels(blendshapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blendshapes on the scale that the network predicts: ``log(x + LOG_FLOOR)``."""
    return np.log(np.maximum(blendshapes, 0.0) + np.float32(LOG_FLOOR)).astype(np.float32)


def make_batch(
    samples: FaceSamples,
    chosen: NDArray[np.intp],
    how: FarFaces,
    rng: np.random.Generator,
    *,
    width_px: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Change the chosen samples at random; ``width_px`` fixes how wide the faces are."""
    n = len(chosen)
    crops = np.empty((n, SIDE_PX, SIDE_PX), np.uint8)
    points = np.empty((n, samples.points.shape[1], 3), np.float32)
    shapes = samples.blendshapes[chosen].copy()
    kinds = rng.random(n)
    there = (kinds >= how.elsewhere + how.plain).astype(np.float32)
    low, high = math.log(how.narrowest_px), math.log(how.widest_px)
    widths = np.exp(rng.uniform(low, high, n)) if width_px is None else np.full(n, width_px)
    for i, index in enumerate(chosen):
        patch = samples.patches[index]
        if rng.random() < how.surroundings:
            other = samples.patches[rng.integers(len(samples.patches))]
            patch = np.where(samples.inside[index], patch, np.roll(other, PATCH_PX // 2, axis=1))
        patch = _tone(_as_seen(patch, float(widths[i]), how, rng), how, rng)
        view = _Region.draw(how, rng, face=bool(there[i]))
        flip = bool(rng.random() < 0.5)
        local = samples.points[index].astype(np.float32)
        if flip:
            patch, local = patch[:, ::-1], mirrored_points(local, 1.0)
            shapes[i] = mirrored(shapes[i])
        matrix = view.matrix(patch.shape[0])
        cv2.warpAffine(
            np.ascontiguousarray(patch),
            matrix,
            (SIDE_PX, SIDE_PX),
            dst=crops[i],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        points[i] = view.seen(local)
        if how.elsewhere <= kinds[i] < how.elsewhere + how.plain:
            crops[i] = _plain_surface(rng)
    return as_input(standardise_crop(crops)), points, shape_levels(shapes), there


def _as_seen(
    patch: NDArray[np.uint8], width_px: float, how: FarFaces, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Blur and shrink a patch, and add a sensor's noise."""
    if rng.random() < how.blur:
        length = int(rng.integers(2, 7))
        kernel = np.zeros((length, length), np.float32)
        if rng.random() < 0.5:
            kernel[length // 2] = 1 / length
        else:
            kernel[:, length // 2] = 1 / length
        patch = cv2.filter2D(patch, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    if width_px < FACE_PX:
        side = max(8, round(PATCH_PX * width_px / FACE_PX))
        patch = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA)
    noise = rng.normal(0.0, rng.uniform(0.0, how.noise), patch.shape).astype(np.float32)
    seen: NDArray[np.uint8] = np.clip(patch + noise, 0, 255).astype(np.uint8)
    return seen


def _plain_surface(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A wall: one grey level that may fall off to one side, and a sensor's noise."""
    across, down = np.meshgrid(*[np.linspace(-1, 1, SIDE_PX, dtype=np.float32)] * 2)
    direction = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0, 40) * (rng.random() < 0.7)
    level = rng.uniform(20, 235) + slope * (
        math.cos(direction) * across + math.sin(direction) * down
    )
    noise = rng.normal(0, rng.uniform(0, 4), (SIDE_PX, SIDE_PX))
    seen: NDArray[np.uint8] = np.clip(level + noise, 0, 255).astype(np.uint8)
    return seen


def _tone(patch: NDArray[np.uint8], how: FarFaces, rng: np.random.Generator) -> NDArray[np.uint8]:
    levels = np.arange(256) / 255.0
    levels = levels ** math.exp(rng.uniform(-how.gamma, how.gamma)) * 255.0
    levels = (levels - 128) * (1 + rng.uniform(-how.contrast, how.contrast)) + 128
    levels = levels + rng.uniform(-how.brightness, how.brightness)
    return np.asarray(cv2.LUT(patch, np.clip(levels, 0, 255).astype(np.uint8)), np.uint8)


@dataclass(frozen=True, slots=True)
class _Region:
    """Where the network looks: middle and side in sides of the patch, turn in radians."""

    x: float
    y: float
    side: float
    angle: float

    @classmethod
    def draw(cls, how: FarFaces, rng: np.random.Generator, *, face: bool) -> _Region:
        side = 1.0 / PATCH_SIDE
        if face:
            off_x, off_y = np.clip(rng.normal(0.0, how.shift, 2), -0.15, 0.15) * side
            zoom = math.exp(float(np.clip(rng.normal(0.0, how.zoom), -0.3, 0.3)))
            turn = math.radians(float(np.clip(rng.normal(0.0, how.rotation_deg), -30, 30)))
            return cls(0.5 + off_x, 0.5 + off_y, side * zoom, turn)
        kind = rng.integers(3)
        direction = rng.uniform(0, 2 * math.pi)
        far = rng.uniform(0.55, 0.9) * side if kind == 0 else 0.0
        zoom = rng.choice((rng.uniform(0.25, 0.4), rng.uniform(2.2, 3.5))) if kind == 1 else 1.0
        turn = rng.uniform(math.pi * 0.5, math.pi * 1.5) if kind == 2 else 0.0
        return cls(
            0.5 + far * math.cos(direction), 0.5 + far * math.sin(direction), side * zoom, turn
        )

    def matrix(self, patch_px: int) -> NDArray[np.float64]:
        """Map pixels of the crop to pixels of the patch."""
        step = self.side * patch_px / SIDE_PX
        cos, sin = math.cos(self.angle) * step, math.sin(self.angle) * step
        half = SIDE_PX / 2
        return np.array(
            (
                (cos, -sin, self.x * patch_px - half * (cos - sin)),
                (sin, cos, self.y * patch_px - half * (sin + cos)),
            )
        )

    def seen(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Landmarks in sides of the region from its middle."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        moved = points - np.array((self.x, self.y, 0.0), np.float32)
        turned = np.empty_like(moved)
        turned[:, 0] = cos * moved[:, 0] + sin * moved[:, 1]
        turned[:, 1] = -sin * moved[:, 0] + cos * moved[:, 1]
        turned[:, 2] = moved[:, 2]
        return turned / np.float32(self.side)
