"""What a search's trials learn from and are judged by: FER2013's measured blendshapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.features.blendshapes import channel_names, channels
from train.data.ferplus import LABELS
from train.data.images import read_images
from train.features.channel_transform import fitted, unfitted_transform
from train.features.faces import measured_table
from train.features.motion import read_motion
from train.features.single_images import read_stills
from train.features.synthetic_sequences import Director, Script
from train.training.recurrent_task import HELD_OUT, MOTION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from train.recipe import TuneRecipe

WIDTH: Final = len(channel_names(unfitted_transform()))
CLASSES: Final = len(LABELS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """The same for every trial.

    Attributes:
        inputs: Channels ``(n, [steps,] WIDTH)``, float32.
        targets: Vote distributions ``(n, [steps,] 8)``, float32.
        held_out_inputs: Of PublicTest.
        held_out_targets: Likewise.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    held_out_inputs: NDArray[np.float32]
    held_out_targets: NDArray[np.float32]


def read_dataset(recipe: TuneRecipe, *, data: Path, cache: Path) -> Dataset:
    """Read Training to learn from and PublicTest to judge by; PrivateTest is not touched.

    Raises:
        InputError: The features have not been measured.
    """
    table = measured_table(data, cache)
    train = read_stills(
        table, read_images(data, cache, "Training"), unfitted_transform(), both_sides=True
    )
    transform = fitted(unfitted_transform(), train.levels, train.resting)
    held_out = read_stills(table, read_images(data, cache, "PublicTest"), transform)
    if recipe.net == "dense":
        return Dataset(
            inputs=channels(train.levels, transform),
            targets=train.votes,
            held_out_inputs=channels(held_out.levels, transform),
            held_out_targets=held_out.votes,
        )
    motion = read_motion(MOTION)
    drawn = [
        Director(stills, script=Script(), transform=transform, motion=motion).draw(
            count, np.random.default_rng([recipe.seed, part])
        )
        for part, (stills, count) in enumerate(((train, recipe.sequences), (held_out, HELD_OUT)))
    ]
    return Dataset(
        inputs=drawn[0].channels,
        targets=drawn[0].targets,
        held_out_inputs=drawn[1].channels,
        held_out_targets=drawn[1].targets,
    )
