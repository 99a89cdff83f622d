"""What a search's trials learn from and are judged by: FER2013's measured blendshapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.features.blendshapes import channel_names, channels
from train.data.ferplus import LABELS
from train.data.images import read_pictures
from train.experiments.blendshapes import HELD_OUT, MOTION
from train.features.channel_transform import fitted, open_form
from train.features.faces import measured_table
from train.features.motion import read_motion
from train.features.single_images import read_stills
from train.features.synthetic_sequences import Director, Script

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from train.experiments.tune_recipe import TuneRecipe

WIDTH: Final = len(channel_names(open_form()))
CLASSES: Final = len(LABELS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """The same for every trial.

    Attributes:
        inputs: Channels ``(n, [steps,] WIDTH)``, float32.
        targets: Vote distributions ``(n, [steps,] 8)``, float32.
        held_inputs: Of PublicTest.
        held_targets: Likewise.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    held_inputs: NDArray[np.float32]
    held_targets: NDArray[np.float32]


def read_material(recipe: TuneRecipe, *, data: Path, cache: Path) -> Material:
    """Read Training to learn from and PublicTest to judge by; PrivateTest is not touched.

    Raises:
        InputError: The features have not been measured.
    """
    table = measured_table(cache)
    seen = read_stills(table, read_pictures(data, cache, "Training"), open_form(), both_sides=True)
    form = fitted(open_form(), seen.levels, seen.resting)
    held = read_stills(table, read_pictures(data, cache, "PublicTest"), form)
    if recipe.net == "dense":
        return Material(
            inputs=channels(seen.levels, form),
            targets=seen.votes,
            held_inputs=channels(held.levels, form),
            held_targets=held.votes,
        )
    motion = read_motion(MOTION)
    drawn = [
        Director(stills, script=Script(), form=form, motion=motion).draw(
            count, np.random.default_rng([recipe.seed, part])
        )
        for part, (stills, count) in enumerate(((seen, recipe.sequences), (held, HELD_OUT)))
    ]
    return Material(
        inputs=drawn[0].channels,
        targets=drawn[0].targets,
        held_inputs=drawn[1].channels,
        held_targets=drawn[1].targets,
    )
