"""Channel levels of a data set's pictures, and the form they are brought to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.features.blendshapes import (
    INFORMATIVE,
    NAMES,
    POSE,
    levels,
    mirrored,
)
from edge.features.pose import head_pose
from train.features.sequences import NEUTRAL, Stills

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.experiments.pictures import Pictures
    from train.features.table import FeatureTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How channels are made: a `edge.features.blendshapes.ChannelForm` with defaults."""

    blendshapes: tuple[str, ...] = INFORMATIVE
    pose: bool = True
    log_floor: float | None = 0.02
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pair: bool = True
    subtract_neutral: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the form for a file."""
        return asdict(self)


def read_stills(
    table: FeatureTable, pictures: Pictures, form: Form, *, both_sides: bool = False
) -> Stills:
    """Return the levels of one split's pictures in which a face and an emotion were seen.

    With ``both_sides`` every picture appears again as its mirror image.
    """
    kept = table.found[pictures.rows] & (pictures.trust > 0)
    rows = pictures.rows[kept]
    shapes = table.blendshapes[rows]
    pose = head_pose(table.points[rows])
    votes = pictures.votes[kept]
    if both_sides:
        shapes = np.concatenate([shapes, mirrored(shapes)])
        turned = pose * np.array([-1.0, 1.0, -1.0], np.float32)
        pose = np.concatenate([pose, turned])
        votes = np.concatenate([votes, votes])
    return Stills(levels=levels(shapes, pose, form), votes=votes)


def fitted(form: Form, stills: Stills) -> Form:
    """Return the form with the resting mean and the overall spread of ``stills``.

    Pose is centred on nought, so that turning left and right are read alike.
    """
    resting = stills.votes[:, NEUTRAL] >= 0.7
    mean = stills.levels[resting].mean(axis=0)
    std = stills.levels.std(axis=0)
    if form.pose:
        mean[-len(POSE) :] = 0.0
    return replace(
        form,
        mean=tuple(round(float(value), 5) for value in mean),
        std=tuple(round(max(float(value), 1e-3), 5) for value in std),
    )


def blink(form: Form, height: float = 0.5) -> NDArray[np.float32]:
    """Return how a blink changes the levels, ``(channels,)``: both lids rise from 0.1."""
    at_rest = np.full((1, len(NAMES)), 0.1, np.float32)
    closed = at_rest.copy()
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        closed[0, NAMES.index(name)] += np.float32(height)
    change = levels(closed, None, form) - levels(at_rest, None, form)
    return np.asarray(change[0], np.float32)
