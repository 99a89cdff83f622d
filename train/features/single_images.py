"""Channel levels of a data set's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.features.blendshapes import levels, mirrored
from edge.features.pose import head_pose
from train.features.synthetic_sequences import Stills

if TYPE_CHECKING:
    from edge.bundle.manifest import ChannelTransform
    from train.data.images import Images
    from train.features.table import FeatureTable

TURN = np.array([-1.0, 1.0, -1.0], np.float32)
"""What mirroring does to yaw, pitch and roll."""


def read_stills(
    table: FeatureTable, images: Images, transform: ChannelTransform, *, both_sides: bool = False
) -> Stills:
    """Return the levels of one split's images in which a face and an emotion were seen.

    With ``both_sides`` every image appears again as its mirror image.
    """
    usable = table.found[images.rows] & (images.vote_weight > 0)
    rows = images.rows[usable]
    shapes, pose = table.blendshapes[rows], head_pose(table.points[rows])
    votes, majority = images.votes[usable], images.majority[usable]
    if both_sides:
        shapes = np.concatenate([shapes, mirrored(shapes)])
        pose = np.concatenate([pose, pose * TURN])
        rows, votes, majority = (np.concatenate([a, a]) for a in (rows, votes, majority))
    return Stills(rows=rows, levels=levels(shapes, pose, transform), votes=votes, majority=majority)
