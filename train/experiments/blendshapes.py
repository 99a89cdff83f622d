"""Train the recurrent net on FER2013's measured blendshapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.errors import InputError
from edge.features.blendshapes import LIMIT, channel_names
from train.data.ferplus import LABELS
from train.experiments.fit import write_history
from train.experiments.pictures import read_pictures
from train.experiments.recurrent import fit_recurrent, recurrent_scores
from train.features.motion import read_motion
from train.features.sequences import Director
from train.features.stills import Form, blink, fitted, read_stills
from train.features.table import read_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from train.experiments.recurrent import RecurrentRecipe

TABLE: Final = "fer2013-landmarks.parquet"
MOTION: Final = Path(__file__).parent.parent / "features" / "motion.json"
HELD_OUT: Final = 1024


def train_blendshapes(
    recipe: RecurrentRecipe,
    folder: Path,
    *,
    data: Path,
    cache: Path,
    tell: Callable[[str], None],
) -> None:
    """Train, and write ``net.keras``, ``net.json`` and ``training_history.csv`` into the run."""
    if not (cache / TABLE).exists():
        raise InputError(f"{cache / TABLE}: not measured yet; run `train landmarks` first")
    table = read_table(cache / TABLE)
    training = read_pictures(data, cache, "Training")
    form = Form()
    form = fitted(form, read_stills(table, training, form, both_sides=True))
    motion = read_motion(MOTION)

    def director(usage: str, *, both_sides: bool) -> Director:
        pictures = training if usage == "Training" else read_pictures(data, cache, usage)
        return Director(
            read_stills(table, pictures, form, both_sides=both_sides),
            script=recipe.script,
            form=form,
            motion=motion,
            blink=blink(form),
        )

    held_out = director("PublicTest", both_sides=False).draw(
        HELD_OUT, np.random.default_rng([recipe.seed, 1 << 20])
    )
    stills = read_stills(table, read_pictures(data, cache, "PublicTest"), form)
    model, history = fit_recurrent(
        recipe,
        director("Training", both_sides=True),
        lambda net: recurrent_scores(net, stills, form, held_out),
        width=len(channel_names(form)),
        tell=tell,
    )
    model.save(folder / "net.keras")
    write_history(folder / "training_history.csv", history)
    told = {
        "labels": LABELS,
        "step_s": round(recipe.script.step_s, 6),
        "channels": channel_names(form),
        "clipped_at": LIMIT,
        "form": form.as_json(),
        "public_test": {key: round(value, 4) for key, value in history[-1].items()},
    }
    (folder / "net.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
