"""What the ensemble sees and says while it is built: the device compares its own days with it.

The recurrent member's inputs come from its calibration sequences, made from the training split:
people at rest and moving, as the device shows them to it. The confidence is that of the converted
ensemble on the held-out split, because a network is surer of images it was trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from convert.predictions import fuse
from edge.bundle.manifest import DriftBaseline, Histogram
from edge.features.blendshapes import POSE, channel_names
from edge.health.drift import bin_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from convert.datasets import ChannelSequences
    from convert.member import ConvertedMember
    from convert.predictions import SplitPredictions

BINS: Final = 10
_DIGITS: Final = 5


def measure_baseline(
    members: Sequence[ConvertedMember],
    predictions: SplitPredictions,
    sequences: Mapping[str, ChannelSequences],
) -> DriftBaseline:
    """Count the first recurrent member's inputs and the ensemble's confidence.

    Args:
        members: The members, fitted.
        predictions: What they say of the held-out split.
        sequences: By the recurrent member's name.
    """
    probs = fuse(members, predictions.converted, len(predictions.images.rows))
    described = f"confidence: {len(probs)} pictures of FER2013 {predictions.images.split}"
    blendshapes: tuple[Histogram, ...] = ()
    recurrent = next((built.member for built in members if built.member.channels), None)
    if recurrent is not None and recurrent.channels is not None:
        steps = sequences[recurrent.name].calibration
        flat = steps.reshape(-1, steps.shape[-1])
        blendshapes = tuple(
            count(name, values)
            for name, values in zip(channel_names(recurrent.channels), flat.T, strict=True)
            if name not in POSE
        )
        seen = f"{len(flat)} steps of {len(steps)} sequences of the training split"
        described = f"blendshapes: {seen}; {described}"
    return DriftBaseline(
        blendshapes=blendshapes,
        confidence=count("confidence", probs.max(axis=1)),
        described=described,
    )


def count(name: str, values: NDArray[np.float32]) -> Histogram:
    """Cut values into bins that hold about equally many; fewer where many values are the same."""
    cuts = np.quantile(values, np.arange(1, BINS) / BINS)
    edges = np.unique(np.round(cuts.astype(np.float64), _DIGITS))
    counts = np.bincount(bin_numbers(values, edges.astype(np.float32)), minlength=len(edges) + 1)
    shares = np.round(counts / counts.sum(), _DIGITS)
    return Histogram(
        name=name,
        edges=tuple(float(edge) for edge in edges),
        shares=tuple(float(share) for share in shares),
    )
