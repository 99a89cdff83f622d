"""Train the recurrent net on FER2013's measured blendshapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.features.blendshapes import LIMIT, channel_names, channels
from train.data.ferplus import LABELS
from train.data.images import read_pictures
from train.evaluation.reports import draw_run, write_report
from train.experiments.checkpoint import load_checkpoint
from train.experiments.progress import forecast
from train.experiments.recurrent import fit_recurrent, recurrent_scores, still_logits
from train.experiments.score import softmax
from train.experiments.telling import teller
from train.features.channel_transform import fitted, open_form
from train.features.faces import measured_table
from train.features.motion import read_motion
from train.features.single_images import read_stills
from train.features.synthetic_sequences import Director

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.bundle.manifest import ChannelTransform
    from train.experiments.request import Request
    from train.features.synthetic_sequences import Stills
    from train.recipe import RecurrentRecipe

MOTION: Final = Path(__file__).parent.parent / "features" / "motion.json"
HELD_OUT: Final = 512
CONVERTER: Final = 256
"""Sequences of each split that are kept beside the net for its conversion."""
GRID: Final = 127 / LIMIT
"""Levels of int8 a standard deviation, in the kept sequences."""


def train_blendshapes(
    recipe: RecurrentRecipe, folder: Path, request: Request, tell: Callable[[str], None]
) -> None:
    """Train, and write ``net.keras``, ``net.json``, ``net.npz`` and the history into the run.

    The JSON holds the channel transform, the npz channel sequences of the Training and PublicTest
    split and single pictures, which conversion to int8 is calibrated and judged on.
    """
    table = measured_table(request.cache)
    pictures = {
        usage: read_pictures(request.data, request.cache, usage)
        for usage in ("Training", "PublicTest", "PrivateTest")
    }
    material = read_stills(table, pictures["Training"], open_form(), both_sides=True)
    form = fitted(open_form(), material.levels, material.resting)
    stills = read_stills(table, pictures["PublicTest"], form)
    motion = read_motion(MOTION)
    training = Director(material, script=recipe.script, form=form, motion=motion)
    others = Director(stills, script=recipe.script, form=form, motion=motion)
    held_out = others.draw(HELD_OUT, np.random.default_rng([recipe.seed, 1 << 20]))
    model, history = fit_recurrent(
        recipe,
        training,
        lambda net: recurrent_scores(net, stills, form, held_out),
        width=len(channel_names(form)),
        folder=folder,
        start=None if request.resume is None else load_checkpoint(request.resume),
        told=teller(folder, recipe.epochs, request.keep, tell),
        expected=lambda s: tell(f"{recipe.epochs} epochs, {forecast(s)}; Ctrl-C stops"),
    )
    model.save(folder / "net.keras")
    shown = still_logits(model, stills, form)
    write_report(folder, softmax(shown), stills.majority, LABELS)
    draw_run(folder)
    write_form(folder / "net.json", form, recipe, history[-1])
    rng = np.random.default_rng([recipe.seed, 1 << 21])
    report = read_stills(table, pictures["PrivateTest"], form)
    with (folder / "net.npz").open("wb") as stream:
        np.savez_compressed(
            stream,
            calibration=_grid(training.draw(CONVERTER, rng).channels),
            held_out=_grid(others.draw(CONVERTER, rng).channels),
            origin=np.array(f"train run, seed {recipe.seed}: Training and PublicTest of FER2013"),
            **_shown("still", stills, form),
            **_shown("report", report, form),
        )


def write_form(
    path: Path, form: ChannelTransform, recipe: RecurrentRecipe, scores: dict[str, float]
) -> None:
    """Write what the device must know beside the weights."""
    told = {
        "channels": form.model_dump(),
        "channel_names": channel_names(form),
        "step_s": round(recipe.script.step_s, 6),
        "labels": LABELS,
        "clipped_at": LIMIT,
        "neutral": "median raw level less mean, nought for yaw, pitch and roll; nought if unknown",
        "public_test": {key: round(value, 4) for key, value in scores.items()},
    }
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _shown(name: str, stills: Stills, form: ChannelTransform) -> dict[str, Any]:
    key = "stills" if name == "still" else name
    return {
        key: _grid(channels(stills.levels, form)),
        f"{name}_rows": stills.rows.astype(np.int32),
    }


def _grid(values: NDArray[np.float32]) -> NDArray[np.int8]:
    return np.asarray(np.rint(values * GRID), np.int8)
