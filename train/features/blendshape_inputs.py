"""One image's blendshapes as the inputs of a network that reads single images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.bundle.manifest import ChannelTransform
from edge.features.blendshapes import INFORMATIVE, NAMES, levels, mirrored
from edge.features.pose import head_pose
from train.features.channel_transform import SMALLEST
from train.features.geometry import geometry, mirrored_geometry
from train.features.single_images import TURN
from train.recipe_table import RecipeTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.features.table import FeatureTable

LIMIT = 5.0
"""Standardised inputs are clipped here, in standard deviations."""


class BlendshapeInputs(RecipeTable):
    """What is taken of an image.

    Attributes:
        blendshapes: The 33 that tell emotions apart, or all 52.
        log: Whether they become logarithms.
        pair: Whether a left and right pair becomes its mean and its difference.
        pose: Whether yaw, pitch and roll follow.
        geometry: Whether the places of brows, lids, nose and lips follow.
        standardise: Whether every input is brought to mean 0 and deviation 1.
    """

    blendshapes: Literal["informative", "all"] = "informative"
    log: bool = False
    pair: bool = False
    pose: bool = False
    geometry: bool = False
    standardise: bool = False


def raw_inputs(
    table: FeatureTable, rows: NDArray[np.intp], features: BlendshapeInputs, *, mirror: bool = False
) -> NDArray[np.float32]:
    """Return the inputs of some rows before they are standardised, ``(n, inputs)``."""
    shapes, points = table.blendshapes[rows], table.points[rows]
    pose = head_pose(points)
    if mirror:
        shapes, pose = mirrored(shapes), pose * TURN
    values = levels(shapes, pose, _transform(features))
    if not features.geometry:
        return values
    places = geometry(points)
    if mirror:
        places = mirrored_geometry(places)
    return np.concatenate([values, places], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """Mean and deviation of every input, ``(inputs,)``, float32."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardise and clip inputs ``(n, inputs)``."""
        scaled = (values - self.mean) / self.std
        return np.asarray(np.clip(scaled, -LIMIT, LIMIT), np.float32)


def fit_scaling(values: NDArray[np.float32], features: BlendshapeInputs) -> Scaling:
    """Return the scaling of the training images; one that changes nothing where not asked."""
    if not features.standardise:
        width = values.shape[1]
        return Scaling(mean=np.zeros(width, np.float32), std=np.ones(width, np.float32))
    return Scaling(mean=values.mean(axis=0), std=np.maximum(values.std(axis=0), 1e-4))


def _transform(features: BlendshapeInputs) -> ChannelTransform:
    return ChannelTransform(
        blendshapes=NAMES if features.blendshapes == "all" else INFORMATIVE,
        pose=features.pose,
        log_floor=SMALLEST if features.log else None,
        mean=(),
        std=(),
        pair=features.pair,
    )
